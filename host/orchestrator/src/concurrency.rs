//! Concurrency groups: how many runs of a group may go on beside each other, and who begins next. Plain code.
//!
//! Runs of a group begin in the order of their priority, then in that in which they came. A run with `cancel_in_progress`
//! ends those before it that are too many, running or waiting, and begins when enough of them have ended.

use std::collections::{BTreeMap, HashMap};

use oxide_core::id::{ProjectId, RunId};

/// A group. Projects do not share theirs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupKey {
    pub project: Option<ProjectId>,
    pub name: String,
}

/// A run of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub run: RunId,
    pub pipeline: String,
    pub number: u64,
    pub priority: i64,
    /// How many runs of the group may go on when this one begins, itself included.
    pub limit: u32,
    /// It ends those before it that are too many.
    pub cancel_in_progress: bool,
}

/// What follows when a run enters its group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entered {
    /// It may begin at once.
    pub begins: bool,
    /// Runs that are to be cancelled because it came.
    pub superseded: Vec<RunId>,
}

#[derive(Default)]
pub(crate) struct Groups {
    groups: HashMap<GroupKey, Group>,
    group_of: HashMap<RunId, GroupKey>,
}

#[derive(Default)]
struct Group {
    /// Those that have begun, in that order.
    going_on: Vec<Member>,
    /// Those that wait, by their place.
    waiting: BTreeMap<(std::cmp::Reverse<i64>, u64), Member>,
    /// How many ever entered.
    entered: u64,
}

impl Groups {
    /// A run comes.
    pub(crate) fn enter(&mut self, key: GroupKey, member: Member) -> Entered {
        let run = member.run;
        self.group_of.insert(run, key.clone());
        let group = self.groups.entry(key).or_default();
        let mut superseded = Vec::new();
        if member.cancel_in_progress {
            let before: Vec<_> = group.going_on.iter().chain(group.waiting.values()).map(|member| member.run).collect();
            let too_many = before.len().saturating_sub(member.limit.saturating_sub(1) as usize);
            superseded.extend(&before[..too_many]);
        }
        group.wait(member);
        Entered { begins: group.begin().contains(&run), superseded }
    }

    /// A run that had begun before this process looked.
    pub(crate) fn restore(&mut self, key: GroupKey, member: Member) {
        self.group_of.insert(member.run, key.clone());
        self.groups.entry(key).or_default().going_on.push(member);
    }

    /// A run that waited before this process looked. It does not begin before [`Groups::begin_restored`].
    pub(crate) fn restore_waiting(&mut self, key: GroupKey, member: Member) {
        self.group_of.insert(member.run, key.clone());
        self.groups.entry(key).or_default().wait(member);
    }

    /// Those of the restored that may begin now.
    pub(crate) fn begin_restored(&mut self) -> Vec<RunId> {
        self.groups.values_mut().flat_map(Group::begin).collect()
    }

    /// A run has ended. Answers with those that may begin now.
    pub(crate) fn leave(&mut self, run: RunId) -> Vec<RunId> {
        let Some(key) = self.group_of.remove(&run) else { return Vec::new() };
        let Some(group) = self.groups.get_mut(&key) else { return Vec::new() };
        group.going_on.retain(|member| member.run != run);
        group.waiting.retain(|_, member| member.run != run);
        let begun = group.begin();
        if group.going_on.is_empty() && group.waiting.is_empty() {
            self.groups.remove(&key);
        }
        begun
    }

    /// Runs that wait in the group of this one (which may have left it), each with its reason.
    pub(crate) fn reasons(&self, key: &GroupKey) -> Vec<(RunId, String)> {
        let Some(group) = self.groups.get(key) else { return Vec::new() };
        let mut ahead: Vec<&Member> = group.going_on.iter().collect();
        let mut reasons = Vec::new();
        for member in group.waiting.values() {
            reasons.push((member.run, reason(&key.name, member, &ahead)));
            ahead.push(member);
        }
        reasons
    }

    pub(crate) fn group_of(&self, run: RunId) -> Option<&GroupKey> {
        self.group_of.get(&run)
    }
}

impl Group {
    fn wait(&mut self, member: Member) {
        self.entered += 1;
        self.waiting.insert((std::cmp::Reverse(member.priority), self.entered), member);
    }

    /// Lets those begin whose turn it is.
    fn begin(&mut self) -> Vec<RunId> {
        let mut begun = Vec::new();
        while let Some(next) = self.waiting.first_entry() {
            if self.going_on.len() >= next.get().limit.max(1) as usize {
                break;
            }
            let member = next.remove();
            begun.push(member.run);
            self.going_on.push(member);
        }
        begun
    }
}

fn reason(group: &str, waits: &Member, ahead: &[&Member]) -> String {
    let name = |member: &Member| match member.pipeline == waits.pipeline {
        true => format!("run #{}", member.number),
        false => format!("run #{} of `{}`", member.number, member.pipeline),
    };
    match ahead {
        [] => format!("waits for its turn in the group `{group}`"),
        [one] => format!("waits for {} of the group `{group}`", name(one)),
        [first, others @ ..] => format!("waits for {} and {} more of the group `{group}`", name(first), others.len()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn run(number: u64) -> RunId {
        RunId(Uuid::from_u128(number.into()))
    }

    fn member(number: u64, limit: u32) -> Member {
        Member { run: run(number), pipeline: "build".into(), number, priority: 0, limit, cancel_in_progress: false }
    }

    fn key() -> GroupKey {
        GroupKey { project: None, name: "deploy".into() }
    }

    #[test]
    fn runs_of_a_group_go_one_after_the_other_and_say_for_whom_they_wait() {
        let mut groups = Groups::default();
        assert!(groups.enter(key(), member(1, 1)).begins);
        assert!(!groups.enter(key(), member(2, 1)).begins);
        assert!(!groups.enter(key(), Member { priority: 5, ..member(3, 1) }).begins);
        assert!(!groups.enter(key(), Member { pipeline: "other".into(), ..member(4, 1) }).begins);
        let other = GroupKey { project: Some(ProjectId(Uuid::from_u128(7))), name: "deploy".into() };
        assert!(groups.enter(other, member(9, 1)).begins, "projects do not share groups");
        let expected = [
            (run(3), "waits for run #1 of the group `deploy`".to_owned()),
            (run(2), "waits for run #1 and 1 more of the group `deploy`".to_owned()),
            (run(4), "waits for run #1 of `build` and 2 more of the group `deploy`".to_owned()),
        ];
        assert_eq!(groups.reasons(&key()), expected);
        assert_eq!(groups.leave(run(1)), [run(3)]);
        assert_eq!(groups.leave(run(2)), [], "one that waits may leave, too");
        assert_eq!(groups.leave(run(3)), [run(4)]);
        assert_eq!(groups.leave(run(4)), []);
        assert!(!groups.groups.contains_key(&key()) && groups.group_of(run(4)).is_none());
    }

    #[test]
    fn a_limit_lets_several_go_on() {
        let mut groups = Groups::default();
        assert!(groups.enter(key(), member(1, 2)).begins);
        assert!(groups.enter(key(), member(2, 2)).begins);
        assert!(!groups.enter(key(), member(3, 2)).begins);
        assert!(!groups.enter(key(), member(4, 1)).begins);
        assert_eq!(groups.leave(run(2)), [run(3)]);
        assert_eq!(groups.leave(run(1)), [], "the one that wants to be alone waits for both");
        assert_eq!(groups.leave(run(3)), [run(4)]);
    }

    #[test]
    fn a_newer_run_supersedes_those_before_it() {
        let newest = |number| Member { cancel_in_progress: true, ..member(number, 1) };
        let mut groups = Groups::default();
        assert_eq!(groups.enter(key(), newest(1)), Entered { begins: true, superseded: Vec::new() });
        assert_eq!(groups.enter(key(), newest(2)), Entered { begins: false, superseded: vec![run(1)] });
        assert_eq!(groups.enter(key(), newest(3)), Entered { begins: false, superseded: vec![run(1), run(2)] });
        assert_eq!(groups.leave(run(2)), [], "it was cancelled while it waited");
        assert_eq!(groups.leave(run(1)), [run(3)]);
        let pair = |number| Member { limit: 2, ..newest(number) };
        assert_eq!(groups.enter(key(), pair(4)), Entered { begins: true, superseded: Vec::new() });
        assert_eq!(groups.enter(key(), pair(5)), Entered { begins: false, superseded: vec![run(3)] });
    }

    #[test]
    fn after_a_restart_those_that_had_begun_go_on_and_the_others_wait() {
        let mut groups = Groups::default();
        groups.restore(key(), member(1, 1));
        groups.restore_waiting(key(), member(2, 1));
        assert_eq!(groups.begin_restored(), []);
        assert_eq!(groups.leave(run(1)), [run(2)]);
        groups.restore_waiting(key(), member(3, 2));
        assert_eq!(groups.begin_restored(), [run(3)]);
    }
}
