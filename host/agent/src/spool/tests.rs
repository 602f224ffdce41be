//! What goes into the spool comes out of it, in order, whatever happened to the process or the disk.

use std::{env, io::Write, process::Command};

use bytes::Bytes;
use oxide_core::{
    id::StepIndex,
    protocol::{LogChunk, Report},
};
use proptest::prelude::*;

use super::*;
use crate::testing::{agent_id, attempt_id, until};

fn report(attempt: AttemptId, number: u64, bytes: usize) -> Message {
    let body = Bytes::from(vec![u8::try_from(number % 251).unwrap(); bytes]);
    let chunk = LogChunk { step: StepIndex(0), first_line: number, line_count: 1, raw_bytes: 9, marks: vec![], body };
    Message::Report(Report { agent: agent_id(), attempt, number, changes: vec![], logs: vec![chunk] })
}

fn numbers(left: &left::LeftAttempt) -> (Vec<u64>, Option<String>) {
    let (mut numbers, mut damage) = (Vec::new(), None);
    for message in left.messages() {
        match message {
            Ok(Message::Report(report)) => numbers.push(report.number),
            Ok(Message::Complete(_)) => numbers.push(0),
            Err(found) => damage = Some(found.to_string()),
        }
    }
    (numbers, damage)
}

fn files_of(spool: &AttemptSpool) -> Vec<String> {
    let entries = fs::read_dir(&spool.directory).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn messages_come_out_in_order_and_files_go_when_they_are_not_needed() {
    let data = tempfile::tempdir().unwrap();
    let (agent, attempt) = (agent_id(), attempt_id());
    let all = Spool::of(data.path(), agent, 1 << 20);
    let (mut spool, made) = all.begin(attempt);
    made.unwrap();
    assert_eq!(all.left().len(), 1, "an attempt is known before it has anything to say");
    let messages: Vec<_> = (1..=20).map(|number| report(attempt, number, 20_000)).collect();
    messages.iter().for_each(|message| spool.append(message).unwrap());
    assert_eq!(files_of(&spool).len(), 5);
    for message in &messages[..10] {
        assert_eq!(spool.head().unwrap().read().unwrap(), *message);
        spool.pop();
    }
    assert!(files_of(&spool).len() < 5);
    // As a later process sees it: some of it may have been told before.
    let [left] = <[_; 1]>::try_from(all.left()).unwrap();
    assert_eq!(left.attempt, attempt);
    let (found, damage) = numbers(&left);
    assert!(found[0] <= 11 && found.last() == Some(&20) && damage.is_none(), "{found:?} {damage:?}");
    spool.clear();
    assert!(spool.is_empty() && files_of(&spool).is_empty() && all.budget.used() == 0);
    spool.append(&messages[0]).unwrap();
    spool.forget();
    assert!(all.left().is_empty() && all.budget.used() == 0);
}

#[test]
fn the_bound_is_for_all_attempts_together() {
    let data = tempfile::tempdir().unwrap();
    let all = Spool::of(data.path(), agent_id(), 100_000);
    let ((mut one, _), (mut other, _)) = (all.begin(attempt_id()), all.begin(attempt_id()));
    let message = report(attempt_id(), 1, 30_000);
    one.append(&message).unwrap();
    other.append(&message).unwrap();
    let full = one.append(&message).unwrap_err();
    assert_eq!(full.to_string(), "the spool has reached its limit of 100000 bytes");
    assert_eq!(one.len(), 1);
    other.pop();
    one.append(&message).unwrap();
    drop((one, other));
    assert_eq!(all.budget.used(), 0);
}

/// The kernel says that the disk is full in the middle of a record: what is on disk then is as if nobody had tried.
#[test]
fn a_disk_that_takes_half_a_record_does_not_spoil_the_rest() {
    let data = tempfile::tempdir().unwrap();
    let attempt = attempt_id();
    let all = Spool::of(data.path(), agent_id(), 1 << 30);
    let (mut spool, _) = all.begin(attempt);
    spool.append(&report(attempt, 1, 1000)).unwrap();
    // A file that cannot grow, as on a full disk: writing to it fails.
    let good = std::mem::replace(
        &mut spool.files[0].file,
        Arc::new(OpenOptions::new().write(true).open("/dev/full").unwrap()),
    );
    let failed = spool.append(&report(attempt, 2, 1000)).unwrap_err();
    assert!(failed.to_string().starts_with("could not write to "), "{failed}");
    assert_eq!(spool.len(), 1);
    // That device cannot be cut either, so the next record goes into a file of its own.
    (&*good).write_all(b"\x10\0\0\0half").unwrap();
    spool.files[0].file = good;
    spool.append(&report(attempt, 2, 1000)).unwrap();
    spool.append(&report(attempt, 3, 1000)).unwrap();
    assert_eq!(files_of(&spool).len(), 2);
    let (found, damage) = numbers(&all.left()[0]);
    assert_eq!((found, damage), (vec![1, 2, 3], None));
}

#[test]
fn a_changed_byte_ends_what_can_be_told() {
    let data = tempfile::tempdir().unwrap();
    let attempt = attempt_id();
    let all = Spool::of(data.path(), agent_id(), 1 << 20);
    let (mut spool, _) = all.begin(attempt);
    (1..=10).for_each(|number| spool.append(&report(attempt, number, 20_000)).unwrap());
    let second = spool.directory.join("000002.records");
    let mut bytes = fs::read(&second).unwrap();
    bytes[40_000] ^= 1;
    fs::write(&second, bytes).unwrap();
    let (found, damage) = numbers(&all.left()[0]);
    assert!(found.len() >= 4 && found.len() < 10, "{found:?}");
    assert!(damage.unwrap().contains("000002.records is damaged at byte "));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However much of the last file a killed process has written: what is whole is found, in order, and nothing else.
    #[test]
    fn a_file_that_ends_anywhere_gives_its_whole_records(cut in 0usize..9000, count in 1u64..9) {
        let data = tempfile::tempdir().unwrap();
        let attempt = attempt_id();
        let all = Spool::of(data.path(), agent_id(), 1 << 30);
        let (mut spool, _) = all.begin(attempt);
        let mut ends = vec![0];
        for number in 1..=count {
            spool.append(&report(attempt, number, 400)).unwrap();
            ends.push(spool.files[0].bytes);
        }
        let file = spool.directory.join("000001.records");
        let length = (cut as u64).min(*ends.last().unwrap());
        OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count() as u64 - 1;
        let (found, damage) = numbers(&all.left()[0]);
        prop_assert_eq!(found, (1..=whole).collect::<Vec<_>>());
        prop_assert_eq!(damage.is_some(), !ends.contains(&length));
    }
}

const HELPER: &str = "OXIDE_TEST_SPOOL_DATA";

/// Not a test by itself: the process that is killed while it writes.
#[test]
fn helper_that_writes_until_it_is_killed() {
    let Ok(data) = env::var(HELPER) else { return };
    let attempt = attempt_id();
    let (mut spool, _) = Spool::of(Path::new(&data), AgentId(uuid::Uuid::from_u128(7)), 1 << 30).begin(attempt);
    for number in 1.. {
        spool.append(&report(attempt, number, 300_000)).unwrap();
    }
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_writes_leaves_whole_records() {
    for milliseconds in [0, 7, 23, 61] {
        let data = tempfile::tempdir().unwrap();
        let mut helper = Command::new(env::current_exe().unwrap())
            .args(["spool::tests::helper_that_writes_until_it_is_killed", "--exact"])
            .env(HELPER, data.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let all = Spool::of(data.path(), AgentId(uuid::Uuid::from_u128(7)), 1 << 30);
        let whole = |left: &left::LeftAttempt| left.messages().take_while(Result::is_ok).take(3).count();
        until("it writes", || all.left().first().is_some_and(|left| whole(left) > 2)).await;
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        helper.kill().unwrap();
        helper.wait().unwrap();
        let (found, _) = numbers(&all.left()[0]);
        assert!(found.len() > 2);
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
    }
}
