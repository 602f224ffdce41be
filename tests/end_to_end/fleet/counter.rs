//! A job that counts aloud, and keeps an account of its own outside of all that is tested.

use std::{
    fs,
    path::{Path, PathBuf},
};

use oxide_core::{api::run::RunDetails, id::RunId, outcome::Status};

use super::deployment::Fleet;

/// What a job counts into.
pub struct Counter {
    witness: PathBuf,
    to: u32,
}

impl Counter {
    /// A job that counts to a number, a line each, with this pause.
    pub fn new(folder: &Path, to: u32, pause: &str) -> (Counter, String) {
        let witness = folder.join("witness");
        let path = witness.display();
        let pipeline = format!(
            r#"
version: "1"
name: counter
stages:
  count:
    environment: host
    steps:
      - shell: sh
        run: |
          i=0
          account={path}.$(echo "$OXIDE_ATTEMPT" | tr / -)
          while [ $i -lt {to} ]; do
            i=$((i+1))
            echo "$i" >> "$account"
            echo "line $i"
            sleep {pause}
          done
"#
        );
        (Counter { witness, to }, pipeline)
    }

    /// How far the attempts have counted, each by the account that its commands wrote: oldest first.
    pub fn counted(&self) -> Vec<u32> {
        let folder = self.witness.parent().unwrap();
        let mut accounts: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("witness."))
            .collect();
        accounts.sort();
        let last = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default().lines().count() as u32;
        accounts.iter().map(last).collect()
    }

    /// Waits until some attempt has counted so far.
    pub fn wait_until(&self, fleet: &Fleet, number: u32) {
        fleet.wait_for("the job to count", || self.counted().iter().any(|counted| *counted >= number));
    }

    /// The promises: the run succeeded; each attempt counted at most once; the log of the last attempt has each line once and
    /// in order; those of earlier attempts have no gap and no line twice. Answers with how many attempts there were.
    pub fn nothing_is_lost(&self, fleet: &Fleet, run: RunId) -> u32 {
        let details = fleet.ended(run);
        assert_eq!(details.about.status, Status::Success, "{:?}\n{}", details.about.reason, fleet.logs());
        let attempts = attempts(&details);
        for attempt in 1..=attempts {
            let lines = fleet.lines(run, attempt);
            let expected: Vec<String> = (1..=lines.len()).map(|number| format!("line {number}")).collect();
            assert_eq!(lines, expected, "the log of attempt {attempt} has a gap or a line twice");
        }
        assert_eq!(fleet.lines(run, attempts).len(), self.to as usize, "lines of the last attempt are lost");
        assert!(self.counted().iter().all(|counted| *counted <= self.to), "an attempt ran twice: {:?}", self.counted());
        attempts
    }
}

fn attempts(details: &RunDetails) -> u32 {
    details.stages[0].jobs[0].attempts.iter().map(|attempt| attempt.attempt).max().unwrap_or(0)
}
