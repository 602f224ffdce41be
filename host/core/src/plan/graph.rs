//! The order of the stages: each after those that it depends on, else as in the file.

use std::collections::BTreeMap;

use crate::{
    diagnostic::Diagnostic,
    pipeline::{Stage, StageDependency},
};

/// How many stages a pipeline may have.
const MAX_STAGES: usize = 1000;

/// The positions of the stages in an order in which they can run. After an error, an order that lets planning go on.
pub(super) fn order(stages: &[Stage], errors: &mut Vec<Diagnostic>) -> Vec<usize> {
    if stages.len() > MAX_STAGES {
        let message = format!("the pipeline has {} stages; it may have {MAX_STAGES}", stages.len());
        errors.push(Diagnostic::at(stages[MAX_STAGES].span, message));
        return Vec::new();
    }
    let positions: BTreeMap<&str, usize> =
        stages.iter().enumerate().map(|(position, stage)| (stage.name.as_str(), position)).collect();
    let mut needs: Vec<Vec<usize>> = Vec::new();
    for stage in stages {
        let mut of_stage = Vec::new();
        for dependency in &stage.depends_on {
            match positions.get(dependency.stage.as_str()) {
                Some(position) => of_stage.push(*position),
                None if dependency.optional => {}
                None => errors.push(unknown_stage(dependency, stage, stages)),
            }
        }
        needs.push(of_stage);
    }

    let mut order = Vec::new();
    let mut placed = vec![false; stages.len()];
    while order.len() < stages.len() {
        let ready = (0..stages.len()).find(|at| !placed[*at] && needs[*at].iter().all(|need| placed[*need]));
        let Some(ready) = ready else {
            errors.push(circle(stages, &needs, &placed));
            order.extend((0..stages.len()).filter(|at| !placed[*at]));
            break;
        };
        placed[ready] = true;
        order.push(ready);
    }
    order
}

fn unknown_stage(dependency: &StageDependency, stage: &Stage, stages: &[Stage]) -> Diagnostic {
    let name = &dependency.stage;
    let names = || stages.iter().map(|stage| stage.name.as_str()).filter(|known| *known != stage.name);
    let error =
        Diagnostic::at(dependency.span, format!("stage `{}` depends on `{name}`, which does not exist", stage.name));
    let error = error.did_you_mean(name, names());
    match error.hint {
        Some(_) => error,
        None => error.hint(format!("the other stages are: {}", names().take(20).collect::<Vec<_>>().join(", "))),
    }
}

/// Names one circle among the stages that could not be placed.
fn circle(stages: &[Stage], needs: &[Vec<usize>], placed: &[bool]) -> Diagnostic {
    let mut path: Vec<usize> = Vec::new();
    let mut at = placed.iter().position(|placed| !placed).unwrap_or(0);
    // Every stage that is left needs one that is left, so this walk returns to a stage that it has seen.
    while !path.contains(&at) {
        path.push(at);
        at = needs[at].iter().copied().find(|need| !placed[*need]).unwrap_or(at);
    }
    let begin = path.iter().position(|seen| *seen == at).unwrap_or(0);
    let mut names: Vec<&str> = path[begin..].iter().map(|position| stages[*position].name.as_str()).collect();
    names.push(names[0]);
    let stage = &stages[at];
    let next = names[1];
    let place = stage.depends_on.iter().find(|dependency| dependency.stage == next).map_or(stage.span, |d| d.span);
    Diagnostic::at(place, format!("the stages depend on each other in a circle: {}", names.join(" → ")))
        .hint("remove one of these dependencies")
}
