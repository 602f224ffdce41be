//! `matrix:` of a stage: the values of which each combination becomes a job.

use serde_json::{Map, Value as Json};

use super::reader::Reader;
use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, Span, parse_bool, parse_integer},
};

/// `matrix:` as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// The axes in the order of the file.
    pub axes: Vec<MatrixAxis>,
    /// Combinations to add, or values to add to combinations.
    pub include: Vec<Map<String, Json>>,
    /// Combinations to leave out.
    pub exclude: Vec<Map<String, Json>>,
    /// One failed job cancels the others.
    pub fail_fast: bool,
    /// How many jobs may run at the same time.
    pub max_parallel: Option<u32>,
    /// Where it was written.
    pub span: Span,
}

/// One axis of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixAxis {
    /// The name.
    pub name: String,
    /// The values; at least one.
    pub values: Vec<Json>,
}

impl Matrix {
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<Matrix> {
        let entries = reader.entries(node, "a matrix")?;
        let errors_before = reader.errors.len();
        let mut matrix = Matrix {
            axes: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            fail_fast: true,
            max_parallel: None,
            span: node.span,
        };
        for (key, value) in entries {
            match key.as_text().unwrap_or("") {
                "include" => matrix.include = cells(value, "`include`", reader),
                "exclude" => matrix.exclude = cells(value, "`exclude`", reader),
                "fail_fast" => matrix.fail_fast = reader.boolean(value, "`fail_fast`").unwrap_or(true),
                "max_parallel" => {
                    let number = reader.number(value, "`max_parallel`", 1, 1000);
                    matrix.max_parallel = number.and_then(|number| u32::try_from(number).ok());
                }
                "fail-fast" | "max-parallel" => {
                    reader.unknown_key(key, "a matrix", &["include", "exclude", "fail_fast", "max_parallel"]);
                }
                _ => matrix.axes.extend(axis(key, value, reader)),
            }
        }
        for cell in &matrix.exclude {
            for name in cell.keys().filter(|name| !matrix.axes.iter().any(|axis| axis.name == **name)) {
                let names = matrix.axes.iter().map(|axis| axis.name.as_str());
                let error =
                    Diagnostic::at(node.span, format!("`exclude` names `{name}`, which is no axis of the matrix"));
                reader.error(error.did_you_mean(name, names));
            }
            for axis in &matrix.axes {
                let Some(value) = cell.get(&axis.name).filter(|value| !axis.values.contains(value)) else { continue };
                let name = &axis.name;
                let message = format!("`exclude` names the value `{value}` of `{name}`, which the axis does not have");
                let values: Vec<String> = axis.values.iter().take(20).map(|value| format!("`{value}`")).collect();
                let more = if axis.values.len() > values.len() { ", ..." } else { "" };
                let hint = format!("the values of `{name}` are: {}{more}", values.join(", "));
                reader.error(Diagnostic::at(node.span, message).hint(hint));
            }
        }
        // Values that could not be read have been told.
        let settings = ["exclude", "fail_fast", "max_parallel", "fail-fast", "max-parallel"];
        let has_values = entries.iter().any(|(key, _)| !key.as_text().is_some_and(|name| settings.contains(&name)));
        let was_told = has_values && reader.errors.len() > errors_before;
        if matrix.axes.is_empty() && matrix.include.is_empty() && !was_told {
            let error = Diagnostic::at(node.span, "the matrix has no values");
            reader.error(error.hint("write an axis, such as `matrix: { rust: [\"1.94\", \"1.95\"] }`"));
        }
        Some(matrix)
    }
}

fn axis(key: &Node, value: &Node, reader: &mut Reader) -> Option<MatrixAxis> {
    let name = reader.id(key, "the name of a matrix axis")?;
    let items = reader.list(value, &format!("the matrix axis `{name}`"))?;
    if items.is_empty() {
        reader.error(Diagnostic::at(value.span, format!("the matrix axis `{name}` has no values")));
        return None;
    }
    let mut values = Vec::new();
    for item in items {
        let value = scalar(item, reader)?;
        if values.contains(&value) {
            reader.error(Diagnostic::at(item.span, format!("the matrix axis `{name}` has this value twice")));
        }
        values.push(value);
    }
    Some(MatrixAxis { name, values })
}

fn cells(node: &Node, what: &str, reader: &mut Reader) -> Vec<Map<String, Json>> {
    let Some(items) = reader.list(node, what) else { return Vec::new() };
    let mut cells = Vec::new();
    for item in items {
        let Some(entries) = reader.entries(item, &format!("an entry of {what}")) else { continue };
        let mut cell = Map::new();
        for (key, value) in entries {
            if let (Some(name), Some(value)) = (reader.id(key, "the name of a matrix axis"), scalar(value, reader)) {
                cell.insert(name, value);
            }
        }
        if cell.is_empty() {
            reader.error(Diagnostic::at(item.span, format!("an entry of {what} must name at least one value")));
        }
        cells.push(cell);
    }
    cells
}

/// The value of a cell. Whole numbers and booleans are what they look like; a number with a point stays text, because
/// `3.10` is a version more often than a number.
fn scalar(node: &Node, reader: &mut Reader) -> Option<Json> {
    let text = reader.text(node, "a value of a matrix")?;
    if text.contains("${{") {
        reader.error(Diagnostic::at(node.span, "the values of a matrix cannot hold expressions"));
        return None;
    }
    if let Content::Scalar { plain: true, .. } = node.content {
        if let Some(value) = parse_bool(&text) {
            return Some(Json::from(value));
        }
        // `007` and `0x10` are written that way for a reason, so they stay as they are.
        if let Some(value) = parse_integer(&text).filter(|value| value.to_string() == text)
            && let Ok(value) = i64::try_from(value)
        {
            return Some(Json::from(value));
        }
    }
    Some(Json::String(text))
}
