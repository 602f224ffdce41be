//! The cells of a matrix.

use serde_json::{Map, Value as Json};

use crate::{diagnostic::Diagnostic, pipeline::Stage};

/// How many jobs a stage may have.
pub const MAX_JOBS_PER_STAGE: usize = 256;
/// How many combinations are made before `exclude` takes some away.
const MAX_COMBINATIONS: usize = 4096;
/// The largest number of jobs that is told as it is: the product of a huge matrix is not known exactly.
const MAX_TOLD: usize = 1_000_000;

/// A combination of values, in the order of the file.
pub(super) type Cell = Map<String, Json>;

/// The cells of a stage; one without values if it has no matrix.
pub(super) fn expand(stage: &Stage, errors: &mut Vec<Diagnostic>) -> Vec<Cell> {
    let Some(matrix) = &stage.matrix else { return vec![Cell::new()] };
    let sizes: Vec<usize> = matrix.axes.iter().map(|axis| axis.values.len()).collect();
    let product = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size)).unwrap_or(usize::MAX);
    let too_many = |count: usize| {
        let count = if count > MAX_TOLD { "more than 1,000,000".to_owned() } else { count.to_string() };
        let factors: Vec<String> = sizes.iter().map(usize::to_string).collect();
        let how = if factors.len() > 1 { format!(" ({})", factors.join(" × ")) } else { String::new() };
        let message = format!(
            "the matrix of stage `{}` makes {count} jobs{how}; a stage may have {MAX_JOBS_PER_STAGE}",
            stage.name
        );
        Diagnostic::at(matrix.span, message).hint("leave values out, or split the stage")
    };
    if product > MAX_COMBINATIONS || (product > MAX_JOBS_PER_STAGE && matrix.exclude.is_empty()) {
        errors.push(too_many(product));
        return vec![first_of_each(stage)];
    }

    let mut cells: Vec<Cell> = if matrix.axes.is_empty() { Vec::new() } else { vec![Cell::new()] };
    for axis in &matrix.axes {
        let mut longer = Vec::with_capacity(cells.len() * axis.values.len());
        for cell in &cells {
            for value in &axis.values {
                let mut cell = cell.clone();
                cell.insert(axis.name.clone(), value.clone());
                longer.push(cell);
            }
        }
        cells = longer;
    }
    cells.retain(|cell| !matrix.exclude.iter().any(|excluded| agrees(cell, excluded)));
    include(&mut cells, &matrix.include, |name| matrix.axes.iter().any(|axis| axis.name == name));

    if cells.len() > MAX_JOBS_PER_STAGE {
        errors.push(too_many(cells.len()));
        return vec![first_of_each(stage)];
    }
    if cells.is_empty() {
        errors.push(Diagnostic::at(
            matrix.span,
            format!("`exclude` leaves nothing of the matrix of stage `{}`", stage.name),
        ));
        return vec![first_of_each(stage)];
    }
    cells
}

/// Adds `include`: an entry adds its values to the combinations that it agrees with in all axes; one that agrees with none
/// becomes a combination of its own.
fn include(cells: &mut Vec<Cell>, entries: &[Cell], is_axis: impl Fn(&str) -> bool) {
    let combinations = cells.len();
    for entry in entries {
        let mut added = false;
        for cell in &mut cells[..combinations] {
            if entry.iter().all(|(name, value)| !is_axis(name) || cell.get(name) == Some(value)) {
                cell.extend(entry.iter().map(|(name, value)| (name.clone(), value.clone())));
                added = true;
            }
        }
        if !added {
            cells.push(entry.clone());
        }
    }
}

/// Has the cell all values of this entry?
fn agrees(cell: &Cell, entry: &Cell) -> bool {
    entry.iter().all(|(name, value)| cell.get(name) == Some(value))
}

/// A cell that lets planning go on after an error.
fn first_of_each(stage: &Stage) -> Cell {
    let axes = stage.matrix.iter().flat_map(|matrix| &matrix.axes);
    axes.filter_map(|axis| Some((axis.name.clone(), axis.values.first()?.clone()))).collect()
}
