//! What was expected and what was seen: pure, text in and differences out.

use oxide_core::{
    diagnostic::Diagnostics,
    event::{Annotation, Severity},
    limit::Usage,
    outcome::Failure,
    plugin::Field,
    quantity,
    wit::{NamedType, Type, Value},
    yaml::{Node, Span},
};
use serde_json::{Map, Value as Json};

use super::{
    case::{Case, Expect, ExpectedAnnotation, Stored},
    content::Content,
    difference,
    files::Files,
    perform::Seen,
    yaml_text,
};

/// Something that is not as it was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which part.
    pub part: Part,
    /// In words.
    pub message: String,
    /// Where it was expected.
    pub span: Option<Span>,
    /// The difference, line by line.
    pub lines: Vec<String>,
}

/// The parts of what comes of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The script: commands, requests, calls of the container engine.
    Script,
    /// Success or failure.
    Outcome,
    /// The outputs.
    Outputs,
    /// The log.
    Log,
    /// The annotations.
    Annotations,
    /// The summary.
    Summary,
    /// Files of the workspace.
    Files,
    /// The cache.
    Cache,
    /// The artifacts.
    Artifacts,
    /// What was used up.
    Limits,
}

/// Everything that is not as it was expected.
///
/// # Errors
/// What is expected cannot be a value of the outputs of this plugin.
pub fn compare(case: &Case, outputs: &[Field], seen: &Seen) -> Result<Vec<Mismatch>, Diagnostics> {
    let mut found: Vec<Mismatch> = seen
        .problems
        .iter()
        .map(|problem| Mismatch {
            part: Part::Script,
            message: problem.message.clone(),
            span: problem.span,
            lines: problem.details.clone(),
        })
        .collect();
    let nothing = || Expect {
        outputs: None,
        failure: None,
        log: None,
        annotations: None,
        summary: None,
        files: Vec::new(),
        cache: Vec::new(),
        artifacts: Vec::new(),
        limits: Default::default(),
        limits_span: Span::default(),
    };
    let expect = case.expect.clone().unwrap_or_else(nothing);
    found.extend(outcome(&expect, outputs, &seen.outcome)?);
    found.extend(log(&expect, &seen.log));
    found.extend(annotations(&expect, &seen.annotations));
    if let Some(summary) = &expect.summary {
        let lines = difference::bytes(&summary.bytes, seen.summary.as_bytes());
        found.extend(differs(Part::Summary, "the summary", summary.span, lines));
    }
    for (path, content, span) in &expect.files {
        found.extend(file(Part::Files, path, content.as_ref(), *span, seen.after.get(path)));
    }
    found.extend(stored(Part::Cache, &expect.cache, &seen.cache));
    found.extend(stored(Part::Artifacts, &expect.artifacts, &seen.artifacts));
    found.extend(limits(&expect, &seen.usage));
    Ok(found)
}

fn differs(part: Part, what: &str, span: Span, lines: Vec<String>) -> Option<Mismatch> {
    (!lines.is_empty()).then(|| Mismatch { part, message: format!("{what} differs"), span: Some(span), lines })
}

fn outcome(
    expect: &Expect,
    fields: &[Field],
    seen: &Result<Map<String, Json>, Failure>,
) -> Result<Option<Mismatch>, Diagnostics> {
    let mismatch = |part, message: String, span, lines| Some(Mismatch { part, message, span, lines });
    Ok(match (&expect.failure, seen) {
        (Some((text, span)), Ok(_)) => mismatch(
            Part::Outcome,
            format!("the step succeeded, and a failure with `{text}` is expected"),
            Some(*span),
            vec![],
        ),
        (Some((text, span)), Err(failure)) => match failure.message.contains(text.as_str()) {
            true => None,
            false => mismatch(
                Part::Outcome,
                "the failure is another".to_owned(),
                Some(*span),
                difference::lines(text, &failure.message),
            ),
        },
        (None, Err(failure)) => {
            let message = format!("the step failed: {}", failure.message);
            let mut lines: Vec<String> = failure.hint.iter().map(|hint| format!("hint: {hint}")).collect();
            let tail: Vec<&str> = failure.stderr_tail.lines().collect();
            lines.extend(tail.iter().skip(tail.len().saturating_sub(10)).map(|line| format!("stderr: {line}")));
            mismatch(Part::Outcome, message, expect.outputs.as_ref().map(|node| node.span), lines)
        }
        (None, Ok(outputs)) => match &expect.outputs {
            None => None,
            Some(node) => {
                let wanted = typed(node, fields)?;
                let got = Json::Object(outputs.clone());
                let lines = match wanted == got {
                    true => Vec::new(),
                    false => difference::lines(&yaml_text::block(&wanted, 0), &yaml_text::block(&got, 0)),
                };
                differs(Part::Outputs, "`outputs`", node.span, lines)
            }
        },
    })
}

/// The expected outputs as the plugin would return them: the same text for the same value.
fn typed(node: &Node, fields: &[Field]) -> Result<Json, Diagnostics> {
    let types = fields.iter().map(|field| NamedType { name: field.name.clone(), ty: field.ty.clone() }).collect();
    let ty = Type::Record(types);
    let value = Value::from_node(node, &ty);
    let value =
        value.map_err(|errors| Diagnostics(errors.0.into_iter().map(|error| error.into_diagnostic()).collect()))?;
    Ok(value.to_json(&ty))
}

fn log(expect: &Expect, log: &[u8]) -> Option<Mismatch> {
    let log = String::from_utf8_lossy(log);
    let mut rest = log.lines();
    for (index, (text, span)) in expect.log.iter().flatten().enumerate() {
        if rest.any(|line| line.contains(text.as_str())) {
            continue;
        }
        let message = match index {
            _ if log.lines().any(|line| line.contains(text.as_str())) => {
                format!("the log has `{text}` before a line that it must follow")
            }
            _ => format!("no line of the log has `{text}`"),
        };
        return Some(Mismatch { part: Part::Log, message, span: Some(*span), lines: last_lines(&log) });
    }
    None
}

/// The end of a log.
pub fn last_lines(log: &str) -> Vec<String> {
    const LINES: usize = 12;
    let lines: Vec<&str> = log.lines().collect();
    let hidden = lines.len().saturating_sub(LINES);
    let gap = (hidden > 0).then(|| format!("log: … {}", quantity::how_many(hidden as u64, "earlier line")));
    let cut = |line: &str| line.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    gap.into_iter().chain(lines[hidden..].iter().map(|line| format!("log: {}", cut(line)))).collect()
}

fn annotations(expect: &Expect, seen: &[Annotation]) -> Option<Mismatch> {
    let (expected, span) = expect.annotations.as_ref()?;
    let fits = |expected: &ExpectedAnnotation, seen: &Annotation| {
        expected.severity.is_none_or(|severity| severity == seen.severity)
            && expected.message.as_ref().is_none_or(|message| *message == seen.message)
            && expected.file.as_ref().is_none_or(|file| Some(file) == seen.file.as_ref())
            && expected.line.is_none_or(|line| Some(line) == seen.line)
    };
    if expected.len() == seen.len() && expected.iter().zip(seen).all(|(expected, seen)| fits(expected, seen)) {
        return None;
    }
    // What fits is shown as it was seen, so that only the rest differs.
    let line = |index: usize, expected: &ExpectedAnnotation| match seen.get(index).filter(|seen| fits(expected, seen)) {
        Some(seen) => seen_line(seen),
        None => shown(expected.severity, expected.file.as_deref(), expected.line, expected.message.as_deref()),
    };
    let wanted: String = expected.iter().enumerate().map(|(index, expected)| line(index, expected)).collect();
    let got: String = seen.iter().map(seen_line).collect();
    Some(Mismatch {
        part: Part::Annotations,
        message: "the annotations differ".to_owned(),
        span: Some(*span),
        lines: difference::lines(&wanted, &got),
    })
}

fn seen_line(seen: &Annotation) -> String {
    shown(Some(seen.severity), seen.file.as_deref(), seen.line, Some(&seen.message))
}

fn shown(severity: Option<Severity>, file: Option<&str>, line: Option<u32>, message: Option<&str>) -> String {
    let severity = match severity {
        Some(Severity::Notice) => "notice: ",
        Some(Severity::Warning) => "warning: ",
        Some(Severity::Error) => "error: ",
        None => "",
    };
    let place = match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, Some(line)) => format!("line {line}: "),
        (None, None) => String::new(),
    };
    format!("{severity}{place}{}\n", message.unwrap_or("…").trim_end().replace('\n', "\\n"))
}

fn file(part: Part, path: &str, expected: Option<&Content>, span: Span, seen: Option<&Vec<u8>>) -> Option<Mismatch> {
    let say = |message: String, lines| Some(Mismatch { part, message, span: Some(span), lines });
    match (expected, seen) {
        (None, None) => None,
        (None, Some(bytes)) => {
            say(format!("`{path}` is there ({}), and must not be", quantity::bytes(bytes.len() as u64)), Vec::new())
        }
        (Some(_), None) => say(format!("`{path}` is not there"), Vec::new()),
        (Some(content), Some(bytes)) => {
            differs(part, &format!("`{path}`"), span, difference::bytes(&content.bytes, bytes))
        }
    }
}

fn stored(part: Part, expected: &[Stored], seen: &[(String, Option<Files>)]) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for (name, files, span) in expected {
        let what = if part == Part::Cache { "the cache has no entry" } else { "the run has no artifact" };
        let Some(stored) = seen.iter().find(|(known, _)| known == name).and_then(|(_, files)| files.as_ref()) else {
            let message = format!("{what} `{name}`");
            found.push(Mismatch { part, message, span: Some(*span), lines: Vec::new() });
            continue;
        };
        for (path, content) in files {
            let shown = format!("{name}/{path}");
            found.extend(file(part, &shown, Some(content), content.span, stored.get(path)));
        }
        let extra = stored.keys().filter(|path| !files.iter().any(|(known, _)| known == *path));
        found.extend(extra.filter_map(|path| file(part, &format!("{name}/{path}"), None, *span, stored.get(path))));
    }
    found
}

/// What was used, what was expected, and how both are shown.
type UsedUp = (&'static str, u64, Option<u64>, fn(u64) -> String);

/// What was used up, beside what was expected.
pub fn used_up(expect: &Expect, usage: &Usage) -> [UsedUp; 5] {
    let exact = |number: u64| number.to_string();
    [
        ("fuel", usage.fuel, expect.limits.fuel, exact),
        ("memory", usage.memory_bytes, expect.limits.memory_bytes, quantity::bytes),
        ("timeout", usage.wall_us.div_ceil(1000), expect.limits.timeout_ms, quantity::duration_ms),
        ("log", usage.log_bytes, expect.limits.log_bytes, quantity::bytes),
        ("output", usage.output_bytes, expect.limits.output_bytes, quantity::bytes),
    ]
}

fn limits(expect: &Expect, usage: &Usage) -> Vec<Mismatch> {
    let over = used_up(expect, usage).into_iter().filter_map(|(name, used, most, show)| {
        let most = most.filter(|most| used > *most)?;
        let message = format!("`{name}`: {} were used, and at most {} are expected", show(used), show(most));
        Some(Mismatch { part: Part::Limits, message, span: Some(expect.limits_span), lines: Vec::new() })
    });
    over.collect()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
