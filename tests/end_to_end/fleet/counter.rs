//! A job that counts aloud, and keeps an account of its own outside of all that is tested.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use oxide_core::{api::run::RunDetails, id::RunId, outcome::Status};

use super::deployment::Fleet;

/// A pause that is twenty times as long in the first attempt: that one does not come to its end before anybody ends it.
pub const SLOW_AT_FIRST: &str = r#"$([ "${OXIDE_ATTEMPT##*/}" = 1 ] && echo 1 || echo 0.05)"#;

/// What a job counts into.
pub struct Counter {
    witness: PathBuf,
    to: u32,
}

/// What is left of a counter's run: its log compared with what it had to say.
pub struct Kept {
    /// How many attempts there were.
    pub attempts: u32,
    /// Lines that the last attempt had to print and that are not in its log.
    pub missing: usize,
    lines: usize,
    twice: usize,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = if self.attempts == 1 { "attempt" } else { "attempts" };
        write!(f, "{} {attempts}, {} lines, ", self.attempts, self.lines)?;
        if self.twice == 0 { f.write_str("each once") } else { write!(f, "{} twice", self.twice) }
    }
}

/// Ends a story: says what was lost, out of what. Straight to standard error, for what a test prints is shown only if it fails.
pub fn tell(story: &str, lost: usize, found: &str) {
    let lost = if lost == 0 { "nothing".to_owned() } else { lost.to_string() };
    let _ = std::io::stderr().write_all(format!("fleet: {story}: lost: {lost} ({found})\n").as_bytes());
}

impl Counter {
    /// A job on the machine of its agent that counts to a number, a line each, with this pause.
    pub fn new(folder: &Path, to: u32, pause: &str) -> (Counter, String) {
        Counter::of_stage("environment: host", folder, to, pause)
    }

    /// The same in a stage with these keys, which is on the machine of its agent, too.
    pub fn of_stage(keys: &str, folder: &Path, to: u32, pause: &str) -> (Counter, String) {
        let witness = folder.join("witness");
        let text = pipeline(keys, &witness.display().to_string(), to, pause);
        (Counter { witness, to }, text)
    }

    /// The same in a container, whose account goes with it.
    pub fn in_container(image: &str, folder: &Path, to: u32, pause: &str) -> (Counter, String) {
        let text = pipeline(&format!("environment: {{ container: \"{image}\" }}"), "counted", to, pause);
        (Counter { witness: folder.join("witness"), to }, text)
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
    /// in order; those of earlier attempts have no gap and no line twice. Answers with what there is.
    pub fn nothing_is_lost(&self, fleet: &Fleet, run: RunId) -> Kept {
        let details = fleet.ended(run);
        assert_eq!(details.about.status, Status::Success, "{:?}\n{}", details.about.reason, fleet.logs());
        let attempts = attempts(&details);
        for attempt in 1..=attempts {
            let lines = fleet.lines(run, attempt);
            let expected: Vec<String> = (1..=lines.len()).map(|number| format!("line {number}")).collect();
            assert_eq!(lines, expected, "the log of attempt {attempt} has a gap or a line twice");
        }
        let kept = self.compare(attempts, &fleet.lines(run, attempts));
        assert_eq!((kept.missing, kept.twice), (0, 0), "lines of the last attempt are lost, or there twice");
        assert_eq!(kept.lines, self.to as usize, "there are lines that nobody wrote");
        assert!(self.counted().iter().all(|counted| *counted <= self.to), "an attempt ran twice: {:?}", self.counted());
        kept
    }

    fn compare(&self, attempts: u32, lines: &[String]) -> Kept {
        let distinct: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
        let missing = (1..=self.to).filter(|number| !distinct.contains(format!("line {number}").as_str())).count();
        Kept { attempts, missing, lines: lines.len(), twice: lines.len() - distinct.len() }
    }
}

fn pipeline(keys: &str, account: &str, to: u32, pause: &str) -> String {
    format!(
        r#"
version: "1"
name: counter
stages:
  count:
    {keys}
    steps:
      - shell: sh
        run: |
          i=0
          account={account}.$(echo "$OXIDE_ATTEMPT" | tr / -)
          while [ $i -lt {to} ]; do
            i=$((i+1))
            echo "$i" >> "$account"
            echo "line $i"
            sleep {pause}
          done
"#
    )
}

fn attempts(details: &RunDetails) -> u32 {
    details.stages[0].jobs[0].attempts.iter().map(|attempt| attempt.attempt).max().unwrap_or(0)
}
