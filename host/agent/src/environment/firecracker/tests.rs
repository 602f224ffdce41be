//! Everything but the machine itself is real here: drives, scripts, console, and an API that checks every request. Where the
//! machine would boot, a shell takes its drives and runs its first script.

mod vmm;

use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use serde_json::json;

use super::*;
use crate::{
    processes::{ATTEMPT_COOKIE, Cookies, signal_by_cookies},
    testing::{agent_id, attempt_id},
};
use vmm::{Vmm, dying_machine, machine};

/// A log in memory.
#[derive(Default)]
struct MemoryLog(std::sync::Mutex<String>);

#[async_trait]
impl LogSink for MemoryLog {
    async fn write(&self, _: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes));
        Ok(())
    }
}

/// A job in machines.
struct Job {
    _data: tempfile::TempDir,
    directory: JobDirectory,
    attempt: AttemptId,
    environment: FirecrackerEnvironment,
    vmm: Vmm,
    log: Arc<MemoryLog>,
}

impl Job {
    async fn new() -> Job {
        Job::with(machine(), 2).await
    }

    async fn with(program: &str, vcpus: u32) -> Job {
        let data = tempfile::tempdir().unwrap();
        let (agent, attempt) = (agent_id(), attempt_id());
        let directory = JobDirectory::of(data.path(), agent, attempt);
        directory.create().unwrap();
        let file = |name: &str, text: &str| {
            let path = data.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.to_string_lossy().into_owned()
        };
        let (kernel, rootfs) = (file("vmlinux", "a kernel"), file("rootfs.ext4", "a root file system"));
        let wish = Wish { kernel, rootfs, boot_args: Some("nokaslr".to_owned()), vcpus, memory_bytes: 256 << 20 };
        let firecracker = file("firecracker", program);
        let path = std::env::var("PATH").unwrap();
        let needs = Needs { firecracker, kvm: PathBuf::from("/dev/null"), path };
        let environment = FirecrackerEnvironment::with(wish, agent, attempt, &directory, needs).await.unwrap();
        let vmm = Vmm::begin(directory.tmp().join("vm"));
        Job { _data: data, directory, attempt, environment, vmm, log: Arc::default() }
    }

    fn step(&self) -> Arc<dyn StepEnvironment> {
        self.environment.for_step(vec![("STEP".to_owned(), "it's one".to_owned())])
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        let log: Arc<MemoryLog> = Arc::clone(&self.log);
        log
    }

    async fn shell(&self, script: &str) -> Result<Exit, EnvironmentError> {
        self.step().spawn(shell(script), self.sink()).await?.wait().await
    }

    fn printed(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    fn processes(&self) -> usize {
        let cookies = Cookies::new([(ATTEMPT_COOKIE, self.attempt.to_string().as_str())]);
        signal_by_cookies(&cookies, rustix::process::Signal::CONT)
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            let seconds = began.elapsed().as_secs();
            assert!(seconds < 120, "waited in vain until {what}; printed: {}", self.printed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn shell(script: &str) -> CommandSpec {
    CommandSpec {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("COMMAND".to_owned(), "two\nlines $HOME".to_owned())],
        working_directory: PathBuf::new(),
        stdin: Vec::new(),
        stdout: OutputTo::Log,
        stderr: OutputTo::Log,
    }
}

#[tokio::test]
async fn a_command_sees_the_workspace_and_what_it_makes_of_it_is_read_back() {
    let job = Job::new().await;
    let workspace = job.directory.workspace();
    fs::write(workspace.join("given"), "from the host").unwrap();
    fs::write(workspace.join("to remove"), "").unwrap();
    std::os::unix::fs::symlink("given", workspace.join("link")).unwrap();
    fs::create_dir(workspace.join("sub")).unwrap();
    let script = "cat ../link; echo; rm '../to remove'; mkdir -p ../made/empty; echo '#!/bin/sh' > ../made/program; \
                  chmod +x ../made/program; echo \"$STEP|$COMMAND|$CI\"; echo to stderr >&2; printf unfinished; exit 3";
    let spec = CommandSpec { working_directory: "sub".into(), ..shell(script) };
    let mut process = job.step().spawn(spec, job.sink()).await.unwrap();
    assert_eq!(process.wait().await, Ok(Exit::Code(3)), "{}", job.printed());
    assert_eq!(job.printed(), "from the host\nit's one|two\nlines $HOME|true\nto stderr\nunfinished");
    assert!(!workspace.join("to remove").exists() && workspace.join("made/empty").is_dir());
    assert_eq!(fs::read_link(workspace.join("link")).unwrap(), Path::new("given"));
    let mode = fs::metadata(workspace.join("made/program")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert!(!workspace.join("lost+found").exists());
    assert_eq!(process.wait().await, Ok(Exit::Code(3)), "may be asked again");
    let folder = job.directory.tmp().join("vm");
    let drive = |id: &str, root: bool| {
        let path = folder.join(format!("{id}.ext4"));
        (
            format!("PUT /drives/{id}"),
            json!({ "drive_id": id, "path_on_host": path, "is_root_device": root, "is_read_only": false }),
        )
    };
    let requests = job.vmm.requests();
    let (boot_args, expected) =
        (guest::boot_args(Some("nokaslr")).unwrap(), ["PUT /logger", "PUT /machine-config", "PUT /boot-source"]);
    assert_eq!(requests.iter().take(3).map(|(line, _)| line.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(requests[1].1, json!({ "vcpu_count": 2, "mem_size_mib": 256 }));
    assert_eq!(requests[2].1["boot_args"], boot_args);
    assert_eq!(requests[3..6], [drive("rootfs", true), drive("control", false), drive("workspace", false)]);
    assert_eq!(requests[6..], [("PUT /actions".to_owned(), json!({ "action_type": "InstanceStart" }))]);
}

#[tokio::test]
async fn what_a_plugin_reads_is_what_the_command_wrote_to_the_byte() {
    let job = Job::new().await;
    let spec = CommandSpec {
        stdin: b"a\r\nb\0c".to_vec(),
        stdout: OutputTo::Piped,
        stderr: OutputTo::Discarded,
        ..shell("cat; printf '\\nOXIDE-END 1 0\\n'; echo noise >&2")
    };
    let mut process = job.step().spawn(spec, job.sink()).await.unwrap();
    let mut read = Vec::new();
    loop {
        let piece = process.read(LogStream::Stdout, 3).await.unwrap();
        if piece.is_empty() {
            break;
        }
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, b"a\r\nb\0c\nOXIDE-END 1 0\n");
    assert_eq!(process.wait().await, Ok(Exit::Code(0)));
    assert_eq!(job.printed(), "");
    assert_eq!(job.step().workspace_path(), "/workspace");
    let found = job.step().find_program("sh").await.unwrap();
    assert!(found.is_some_and(|path| path.ends_with("/sh")));
    assert_eq!(job.step().find_program("no-such-program").await, Ok(None));
    assert_eq!(job.step().find_program("cd").await, Ok(None), "a word of the shell");
}

#[tokio::test]
async fn parallel_steps_take_turns() {
    let job = Job::new().await;
    let script = "test ! -e busy || exit 9; touch busy; sleep 0.2; rm busy; echo x >> done";
    let all = futures_util::future::join_all((0..3).map(|_| job.shell(script))).await;
    assert_eq!(all, [Ok(Exit::Code(0)), Ok(Exit::Code(0)), Ok(Exit::Code(0))]);
    assert_eq!(fs::read_to_string(job.directory.workspace().join("done")).unwrap(), "x\nx\nx\n");
}

#[tokio::test]
async fn a_command_that_is_asked_to_end_may_tidy_up_and_one_that_is_killed_leaves_nothing() {
    let job = Job::new().await;
    let step = job.step();
    // All of the group are asked, and `sleep` may end before the shell hears of it: only a loop surely comes to the trap.
    let script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 60 & wait; done";
    let mut process = step.spawn(shell(script), job.sink()).await.unwrap();
    job.until("it is ready", || job.printed().contains("ready")).await;
    assert!(step.terminate().await);
    assert_eq!(process.wait().await, Ok(Exit::Code(7)), "{}", job.printed());
    assert_eq!(job.printed(), "ready\nasked\n");
    assert!(!step.terminate().await, "nothing runs any more");
    let mut process = step.spawn(shell("echo again; touch made; sleep 60"), job.sink()).await.unwrap();
    job.until("it runs", || job.printed().contains("again")).await;
    process.signal(Signal::Kill).await.unwrap();
    assert_eq!(process.wait().await, Ok(Exit::Signalled(9)));
    job.environment.end().await;
    assert_eq!(job.processes(), 0);
    assert!(!job.directory.workspace().join("made").exists(), "a machine that was killed is not read back");
}

#[tokio::test]
async fn what_firecracker_refuses_is_told_in_its_words() {
    let job = Job::with(machine(), 64).await;
    let error = job.shell("true").await.unwrap_err().to_string();
    let expected = "Firecracker refused `PUT /machine-config`: The vCPU number is invalid! The vCPU number can only be 1 or an \
                    even number when hyperthreading is enabled.";
    assert_eq!(error, expected);
    job.until("it is ended", || job.processes() == 0).await;
}

#[tokio::test]
async fn a_machine_that_does_not_come_up_is_quoted() {
    let job = Job::with(dying_machine(), 1).await;
    let error = job.shell("true").await.unwrap_err().to_string();
    let expected = "the virtual machine ended before it ran the command; the last that it said: Kernel panic - not syncing: \
                    VFS: Unable to mount root fs";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn what_is_missing_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let (agent, attempt) = (agent_id(), attempt_id());
    let directory = JobDirectory::of(data.path(), agent, attempt);
    directory.create().unwrap();
    let wish = Wish {
        kernel: "/nowhere/vmlinux".to_owned(),
        rootfs: "/nowhere/rootfs".to_owned(),
        boot_args: None,
        vcpus: 1,
        memory_bytes: 128 << 20,
    };
    let needs = Needs { firecracker: "firecracker".into(), kvm: "/dev/null".into(), path: "/nonexistent".into() };
    let refused = async |wish: &Wish, needs: &Needs| {
        let made = FirecrackerEnvironment::with(wish.clone(), agent, attempt, &directory, needs.clone()).await;
        let failure = made.err().unwrap();
        format!("{}; {}", failure.message, failure.hint.unwrap())
    };
    let said = refused(&wish, &needs).await;
    assert!(said.contains("no program `firecracker` on this agent") && said.contains("github.com/firecracker-microvm"));
    let needs = Needs { firecracker: "/bin/sh".into(), ..needs };
    let said = refused(&wish, &Needs { kvm: "/nonexistent/kvm".into(), ..needs.clone() }).await;
    assert!(said.contains("/nonexistent/kvm cannot be opened") && said.contains("group `kvm`"), "{said}");
    let said = refused(&wish, &needs).await;
    assert!(said.contains("/nowhere/vmlinux") && said.contains("kernel"), "{said}");
    let file = data.path().join("file");
    fs::write(&file, "x").unwrap();
    let file = file.to_string_lossy().into_owned();
    let wish = Wish { kernel: file.clone(), rootfs: file, boot_args: Some("-- -c evil".to_owned()), ..wish };
    assert!(refused(&wish, &needs).await.contains("`boot_args` cannot hold `--`"));
}
