//! Stories of the queue, and a comparison with a queue that looks at everything.

use oxide_core::id::{JobIndex, RunId};
use uuid::Uuid;

use super::*;

fn attempt(number: u32) -> AttemptId {
    AttemptId { run: RunId(Uuid::from_u128(1)), job: JobIndex(number), number: 1 }
}

fn agent(number: u128) -> AgentId {
    AgentId(Uuid::from_u128(number))
}

fn labels(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn need(text: &str) -> Need {
    Need { labels: labels(text), capabilities: BTreeSet::new() }
}

fn worker(name: &str, text: &str) -> Worker {
    let capabilities = BTreeSet::new();
    Worker { name: name.into(), labels: labels(text), capabilities, slots: 1, taken: 0, drains: false, silent: false }
}

#[test]
fn priority_goes_before_age_and_labels_decide_who() {
    let mut queue = Queue::default();
    queue.put_worker(agent(1), worker("plain", "linux"));
    queue.push(attempt(1), need("linux"), 0, Timestamp(10));
    queue.push(attempt(2), need("linux gpu"), 0, Timestamp(5));
    queue.push(attempt(3), need(""), 5, Timestamp(20));
    queue.push(attempt(4), need("linux"), 0, Timestamp(10));
    queue.put_worker(agent(2), worker("big", "linux gpu"));
    assert_eq!(queue.order(), [attempt(3), attempt(2), attempt(1), attempt(4)]);
    assert_eq!(queue.next_for(agent(1)), Some(attempt(3)));
    assert!(queue.remove(attempt(3)) && !queue.remove(attempt(3)));
    assert_eq!(queue.next_for(agent(1)), Some(attempt(1)));
    assert_eq!(queue.next_for(agent(2)), Some(attempt(2)));
    assert!(queue.choice(agent(1)) < queue.choice(agent(2)));
    queue.worker_mut(agent(2)).unwrap().taken = 1;
    assert_eq!(queue.next_for(agent(2)), None);
    queue.clear();
    assert!(queue.is_empty() && queue.next_for(agent(1)).is_none());
}

#[test]
fn capabilities_are_needed_as_labels_are() {
    let mut queue = Queue::default();
    let docker = BTreeSet::from([AgentCapability::Docker]);
    queue.put_worker(agent(1), worker("plain", "linux"));
    queue.push(attempt(1), Need { labels: labels("linux"), capabilities: docker.clone() }, 0, Timestamp(1));
    assert_eq!(queue.next_for(agent(1)), None);
    assert_eq!(queue.reason(attempt(1)).unwrap(), "no agent with labels [linux] and docker; agents: [linux]");
    queue.put_worker(agent(1), Worker { capabilities: docker, ..worker("plain", "linux") });
    assert_eq!(queue.next_for(agent(1)), Some(attempt(1)));
}

#[test]
fn every_wait_has_a_reason() {
    let mut queue = Queue::default();
    queue.push(attempt(1), need("gpu"), 0, Timestamp(1));
    assert_eq!(queue.reason(attempt(1)).unwrap(), "no agent with labels [gpu]; agents: there is none");
    for (number, text) in [(1, "linux"), (2, "linux"), (3, "linux arm")] {
        queue.put_worker(agent(number), worker(&format!("a{number}"), text));
    }
    let reason = |queue: &mut Queue| {
        queue.look_at_reasons();
        queue.look_at_reasons();
        queue.reason(attempt(1)).unwrap()
    };
    assert_eq!(reason(&mut queue), "no agent with labels [gpu]; agents: [arm, linux] and [linux] (2)");
    queue.put_worker(agent(4), worker("big", "gpu"));
    assert_eq!(reason(&mut queue), "agent `big` has not asked for it yet");
    queue.worker_mut(agent(4)).unwrap().taken = 1;
    assert_eq!(reason(&mut queue), "agent `big` is busy");
    queue.put_worker(agent(5), Worker { taken: 1, ..worker("huge", "gpu") });
    assert_eq!(reason(&mut queue), "all 2 fitting agents are busy");
    queue.worker_mut(agent(5)).unwrap().silent = true;
    queue.worker_mut(agent(4)).unwrap().drains = true;
    assert_eq!(reason(&mut queue), "agent `big` drains");
    queue.worker_mut(agent(4)).unwrap().silent = true;
    assert_eq!(reason(&mut queue), "none of the 2 fitting agents was heard of for 30 s");
    queue.remove_worker(agent(4));
    assert_eq!(reason(&mut queue), "agent `huge` was not heard of for 30 s");
}

#[test]
fn a_reason_that_comes_and_goes_is_not_told_again_and_again() {
    let mut queue = Queue::default();
    queue.put_worker(agent(1), Worker { taken: 1, ..worker("box", "linux") });
    for number in 0..5 {
        queue.push(attempt(number), need("linux"), 0, Timestamp(1));
        assert_eq!(queue.reason(attempt(number)).unwrap(), "agent `box` is busy");
    }
    for _ in 0..10 {
        queue.worker_mut(agent(1)).unwrap().taken ^= 1;
        queue.look_at_reasons();
    }
    assert!(!queue.has_changed_reasons() && queue.changed_reasons(10).is_empty());
    queue.worker_mut(agent(1)).unwrap().drains = true;
    queue.look_at_reasons();
    assert!(queue.changed_reasons(10).is_empty(), "seen once only");
    queue.look_at_reasons();
    queue.remove(attempt(1));
    let told = queue.changed_reasons(3);
    assert_eq!(told.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [attempt(0), attempt(2), attempt(3)]);
    assert!(queue.has_changed_reasons());
    assert_eq!(queue.changed_reasons(3), [(attempt(4), "agent `box` drains".to_owned())]);
    assert!(!queue.has_changed_reasons());
}

/// A generator of numbers: the same seed, the same story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % limit
    }
}

#[test]
fn whatever_happens_an_agent_gets_the_best_that_it_fits() {
    let kinds = ["", "linux", "gpu", "linux gpu", "arm"];
    for seed in 0..200 {
        let mut chance = Chance(seed);
        let mut queue = Queue::default();
        let mut plain: Vec<(Reverse<i64>, i64, u32, &str)> = Vec::new();
        for number in 0..150 {
            match chance.below(5) {
                0 | 1 => {
                    let (priority, since) = (chance.below(3) as i64, chance.below(20) as i64);
                    let kind = kinds[chance.below(5) as usize];
                    queue.push(attempt(number), need(kind), priority, Timestamp(since));
                    plain.push((Reverse(priority), since, number, kind));
                }
                2 => queue.put_worker(agent(chance.below(4).into()), worker("w", kinds[chance.below(5) as usize])),
                3 => queue.remove_worker(agent(chance.below(4).into())),
                _ if !plain.is_empty() => {
                    let (.., number, _) = plain.swap_remove(chance.below(plain.len() as u64) as usize);
                    assert!(queue.remove(attempt(number)));
                }
                _ => {}
            }
            for id in (0..4).map(agent) {
                let expected = queue.worker(id).and_then(|worker| {
                    let fits = plain.iter().filter(|(.., kind)| labels(kind).is_subset(&worker.labels));
                    fits.min().map(|(.., number, _)| attempt(*number))
                });
                assert_eq!(queue.next_for(id), expected, "seed {seed}");
            }
            assert_eq!(queue.len(), plain.len());
        }
    }
}
