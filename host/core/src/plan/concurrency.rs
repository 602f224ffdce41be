//! `concurrency:` with its group evaluated.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    JobContext, PlannedConcurrency,
    expressions::{Known, Roots},
    matrix::Cell,
    size::Room,
};
use crate::{diagnostic::Diagnostic, pipeline::Pipeline};

/// How many characters the name of a group may have.
const GROUP_CHARACTERS_MAX: usize = 1000;

/// Which runs the run shares its turn with. A group that is an empty text, such as `${{ git.branch }}` of a tag, is none.
pub(super) fn plan(
    pipeline: &Pipeline,
    context: &JobContext,
    errors: &mut Vec<Diagnostic>,
) -> Option<PlannedConcurrency> {
    let written = pipeline.concurrency.as_ref()?;
    let known = Known {
        context,
        cells: &[],
        stages: &BTreeMap::new(),
        all_stages: BTreeSet::new(),
        env: BTreeSet::new(),
        steps: BTreeMap::new(),
        other_steps: BTreeMap::new(),
        room: &Room::new(),
    };
    let before = errors.len();
    known.check_node(&written.group, Roots::OfRuns, errors);
    if errors.len() > before {
        return None;
    }
    match Known::at_planning(context, &Cell::new(), &written.group) {
        Ok(group) if group.chars().count() > GROUP_CHARACTERS_MAX => {
            let message = format!("the name of the group is longer than {GROUP_CHARACTERS_MAX} characters");
            errors.push(Diagnostic::at(written.group.span, message));
            None
        }
        Ok(group) if group.trim().is_empty() => None,
        Ok(group) => Some(PlannedConcurrency {
            group,
            limit: u32::try_from(written.limit).unwrap_or(u32::MAX).max(1),
            cancel_in_progress: written.cancel_in_progress,
        }),
        Err(error) => {
            errors.push(error);
            None
        }
    }
}
