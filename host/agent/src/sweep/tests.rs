//! A process with a session is killed with -9, and the sweep of another one tidies up.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use super::*;
use crate::{
    Session,
    docker::containers::Containers,
    environment,
    testing::{attempt_id, until},
    workspace::JobDirectory,
};

const HELPER_DATA: &str = "OXIDE_TEST_SWEEP_DATA";
const HELPER_AGENT: &str = "OXIDE_TEST_SWEEP_AGENT";

/// Not a test by itself: the process that is killed. Begins a session, starts a daemon, and waits for its end.
#[tokio::test]
async fn helper_that_dies() {
    let (Ok(data), Ok(agent)) = (env::var(HELPER_DATA), env::var(HELPER_AGENT)) else { return };
    let (data, agent) = (PathBuf::from(data), agent.parse().unwrap());
    let session = Arc::new(Session::begin(&data, agent).unwrap());
    let attempt = attempt_id();
    let directory = JobDirectory::of(&data, agent, attempt);
    directory.create().unwrap();
    let spec = oxide_core::plan::EnvironmentSpec::Host;
    let (containers, _removals) = Containers::of(agent, attempt, None, session);
    let environment = environment::prepare(&spec, &[], &containers, &directory).await.unwrap();
    let link = Arc::new(crate::testing::MemoryLink::default());
    let reporter = crate::testing::reporter(&link);
    let log = crate::log::LogWriter::new(oxide_core::id::StepIndex(0), 1000, reporter, crate::system_clock());
    let daemon = oxide_runtime::environment::CommandSpec {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), "setsid sleep 300 & sleep 300".to_owned()],
        env: vec![],
        working_directory: PathBuf::new(),
        stdin: vec![],
        stdout: oxide_runtime::environment::OutputTo::Log,
        stderr: oxide_runtime::environment::OutputTo::Log,
    };
    let _process = environment.for_step(vec![]).spawn(daemon, Arc::new(log)).await.unwrap();
    std::fs::write(data.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

fn processes_of(agent: AgentId) -> usize {
    let cookies = Cookies::new([(AGENT_COOKIE, agent.to_string().as_str())]);
    crate::processes::signal_by_cookies(&cookies, rustix::process::Signal::CONT)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_left_is_removed_and_a_living_one_is_spared() {
    let data = tempfile::tempdir().unwrap();
    let (dead, living) = (crate::testing::agent_id(), crate::testing::agent_id());
    let mut helper = Command::new(env::current_exe().unwrap())
        .args(["sweep::tests::helper_that_dies", "--exact", "--nocapture"])
        .env(HELPER_DATA, data.path())
        .env(HELPER_AGENT, dead.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the helper has started", || data.path().join("ready").exists() && processes_of(dead) == 3).await;
    let _session = Session::begin(data.path(), living).unwrap();
    let living_work = work_directory(data.path(), living);
    fs::create_dir_all(&living_work).unwrap();
    assert!(sweep(data.path()).await.is_empty(), "both agents live");
    // A process that is just turning into another program cannot be told for a moment.
    until("all of them go on", || processes_of(dead) == 3).await;

    helper.kill().unwrap();
    helper.wait().unwrap();
    until("its commands outlive it", || processes_of(dead) >= 2).await;
    let (one, other) = tokio::join!(sweep(data.path()), sweep(data.path()));
    let found: Vec<_> = one.into_iter().chain(other).collect();
    let [gone] = <[DeadAgent; 1]>::try_from(found).unwrap();
    assert_eq!((gone.agent, gone.pid, gone.left_behind.len()), (dead, Some(helper.id()), 0));
    assert_eq!(processes_of(dead), 0);
    assert!(!work_directory(data.path(), dead).exists());
    assert!(living_work.exists());
    drop(gone);
    let again = sweep(data.path()).await;
    assert_eq!(again.len(), 1, "until somebody says that it is written down, the next sweep finds it again");
    again.into_iter().for_each(DeadAgent::forget);
    assert!(sweep(data.path()).await.is_empty());
}

#[tokio::test]
async fn containers_are_looked_for_where_they_were_made_and_only_then() {
    let data = tempfile::tempdir().unwrap();
    let dies = |note: bool| {
        let agent = crate::testing::agent_id();
        let session = Session::begin(data.path(), agent).unwrap();
        if note {
            session.note_containers("unix:///nonexistent/docker.sock").unwrap();
            session.note_containers("unix:///nonexistent/docker.sock").unwrap();
        }
        session.leave_to_the_sweep();
        agent
    };
    let (without, with) = (dies(false), dies(true));
    let mut dead = sweep(data.path()).await;
    dead.sort_by_key(|dead| dead.agent != without);
    let [first, second] = <[DeadAgent; 2]>::try_from(dead).unwrap();
    assert_eq!((first.agent, first.pid, first.left_behind.len()), (without, Some(std::process::id()), 0));
    assert_eq!((second.agent, second.pid), (with, Some(std::process::id())));
    let lock = sessions_directory(data.path()).join(format!("{with}.lock"));
    assert_eq!(
        second.left_behind,
        [format!(
            "its containers: could not reach Docker at unix:///nonexistent/docker.sock: there is no socket \
             /nonexistent/docker.sock; the next `oxide` command tries again, or type `rm {}` if there are none any more",
            lock.display()
        )]
    );
    first.forget();
    second.forget();
    let again = sweep(data.path()).await;
    assert_eq!(again.iter().map(|dead| dead.agent).collect::<Vec<_>>(), [with], "it is not forgotten");
}

#[test]
fn an_id_is_lived_under_once_at_a_time() {
    let data = tempfile::tempdir().unwrap();
    let agent = crate::testing::agent_id();
    let session = Session::begin(data.path(), agent).unwrap();
    assert!(Session::begin(data.path(), agent).is_err());
    drop(session);
    Session::begin(data.path(), agent).unwrap();
}

#[tokio::test]
async fn a_data_directory_without_sessions_is_fine() {
    assert!(sweep(Path::new("/nonexistent")).await.is_empty());
}
