//! The disk under the spool of an agent is full while its servers are away.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use oxide_core::outcome::Status;

use super::{
    deployment::{Fleet, Shape},
    on_both,
};

on_both!(the_disk_under_the_spool_is_full);

/// How much the disk takes.
const DISK_BYTES: usize = 4 << 20;
/// What the job prints is made of so many random bytes: compressed, it is far more than the disk takes.
const RANDOM_BYTES: usize = 3 * DISK_BYTES;

/// The kernel says that there is no room: the job is slowed down, and goes on when the servers are back. Every line arrives
/// once.
fn the_disk_under_the_spool_is_full(shape: Shape) {
    let mut fleet = Fleet::of_servers(shape, &[]);
    let name = "small";
    let Some(_disk) = SmallDisk::on(&fleet.data_of(name).join("spool")) else { return };
    let agent = fleet.join_with(name, None, &["--label", "small"]);
    fleet.wait_for_agents(1);
    let file = |name: &str| fleet.folder().join(name);
    let (begun, go_on, copy) = (file("begun"), file("go-on"), file("copy"));
    let run = fleet.run(fleet.pipeline(&pipeline(&begun, &go_on, &copy)));
    fleet.wait_for("the job to begin", || begun.exists());

    fleet.servers.iter_mut().for_each(|server| server.kill());
    fs::write(&go_on, "").unwrap();
    fleet.wait_for("the disk to be full", || {
        let log = fleet.agents[agent].log();
        log.contains("No space left on device") && log.contains("its job is slowed down until reports get through")
    });
    fleet.servers.iter_mut().for_each(|server| server.start());

    let details = fleet.ended(run);
    assert_eq!(details.about.status, Status::Success, "{:?}\n{}", details.about.reason, fleet.logs());
    assert_eq!(details.stages[0].jobs[0].attempts.len(), 1, "the attempt was given up although its agent lived");
    let lines = fleet.lines(run, 1);
    let written = fs::read_to_string(&copy).unwrap();
    let written: Vec<&str> = written.lines().collect();
    let missing = written.len().saturating_sub(lines.len());
    let differs = lines.iter().zip(&written).position(|(line, wanted)| line != wanted);
    assert_eq!((lines.len(), differs), (written.len(), None), "lines are lost, or there twice");
    let found = format!("1 attempt, {} lines, each once", lines.len());
    fleet.tells("the disk under the spool is full while the servers are away", missing, &found);
}

fn pipeline(begun: &Path, go_on: &Path, copy: &Path) -> String {
    let (begun, go_on, copy) = (begun.display(), go_on.display(), copy.display());
    format!(
        r#"
version: "1"
name: flood
stages:
  flood:
    environment: host
    runs_on: [small]
    steps:
      - shell: sh
        run: |
          touch {begun}
          until [ -e {go_on} ]; do sleep 0.1; done
          head -c {RANDOM_BYTES} /dev/urandom | base64 -w 500 | tee {copy}
"#
    )
}

/// A disk of its own below a path; taken away when it is dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// None if this process may not mount, which in CI is an error.
    fn on(path: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={DISK_BYTES},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "oxide-test"]).arg(path).output();
        let problem = match mounted {
            Ok(mounted) if mounted.status.success() => return Some(SmallDisk { path: path.to_owned() }),
            Ok(refused) => String::from_utf8_lossy(&refused.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI: {problem}");
        eprintln!("SKIPPED: no small disk can be had: {problem}");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The agent may still stand in it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
