//! A part of a plan: one stage with the stages that it needs.

use std::collections::BTreeMap;

use super::Plan;
use crate::id::{JobIndex, StageIndex};

impl Plan {
    /// The same plan with only this stage and those that it depends on, directly or not. None if there is no such stage.
    pub fn only(&self, stage: &str) -> Option<Plan> {
        let wanted = self.stages.iter().position(|planned| planned.name == stage)?;
        let mut kept = vec![false; self.stages.len()];
        kept[wanted] = true;
        // Each stage stands after those that it depends on, so one pass from the end finds them all.
        for index in (0..=wanted).rev() {
            if kept[index] {
                self.stages[index].depends_on.iter().for_each(|on| kept[on.stage.index()] = true);
            }
        }
        let mut renumbered = BTreeMap::new();
        let mut plan = Plan { stages: Vec::new(), jobs: Vec::new(), ..self.clone() };
        for (index, planned) in self.stages.iter().enumerate().filter(|(index, _)| kept[*index]) {
            let new_index = StageIndex(u32::try_from(plan.stages.len()).expect("a part is not larger than its whole"));
            renumbered.insert(index, new_index);
            let mut planned = planned.clone();
            planned.depends_on.iter_mut().for_each(|on| on.stage = renumbered[&on.stage.index()]);
            for job in &mut planned.jobs {
                let mut moved = self.job(*job).clone();
                moved.stage = new_index;
                *job = JobIndex(u32::try_from(plan.jobs.len()).expect("a part is not larger than its whole"));
                plan.jobs.push(moved);
            }
            plan.stages.push(planned);
        }
        Some(plan)
    }
}
