//! A server on an empty machine, used with nothing but the commands of the README, and killed in the middle.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use oxide_client::{
    Client, Received,
    sse::{SseEvent, SseReader},
};
use oxide_core::{
    api::{
        event::{ClientMessage, EventPayload, EventQuery},
        log::LogLines,
    },
    id::RunId,
    outcome::Status,
};
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{counter::tell, process::Process};
use crate::oxide::{free_port, root};

/// How far the job counts. The server is killed on the way, for which the first attempt waits.
const LAST: usize = 60;
/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

const PIPELINE: &str = r#"
version: "1"
name: counter
stages:
  count:
    environment: host
    retry: { max_attempts: 2, on: [agent_lost] }
    steps:
      - shell: sh
        run: |
          i=0
          while [ $i -lt 60 ]; do
            i=$((i+1))
            echo "line $i é"
            sleep 0.1
            case "$i $OXIDE_ATTEMPT" in "40 "*/1) sleep 600 ;; esac
          done
          printf 'an end without a line break'
"#;

/// The log by SSE and by `oxide logs -f`, both begun before the kill, and the log of the API say the same to the byte; events
/// come by a WebSocket in order, and none is missing or there twice.
#[test]
fn a_server_on_an_empty_machine_is_killed_and_all_its_streams_agree() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut story = Story::begin();
    let mut facts = story.shell(&format!("{}\necho $OXIDE_TOKEN $RUN", story.until("RUN=")), "facts");
    let facts = facts.wait(PATIENCE);
    let (token, run) = facts.trim().split_once(' ').unwrap_or_else(|| panic!("{facts:?}\n{}", story.server.tail()));
    (story.token, story.run) = (token.to_owned(), run.to_owned());
    let run: RunId = run.parse().unwrap();
    let client = story.client();
    let runtime = Runtime::new().unwrap();
    let events = follow_events(&runtime, client.clone(), run);
    let mut logs = story.shell(&format!("{} --plain", story.line("oxide logs -f")), "logs");
    let stream = story.shell(&story.line("logs/stream"), "stream");
    story.wait_for("20 lines, live", || texts(&stream.events()).len() >= 20);
    let seen = stream.events();
    let status = runtime.block_on(client.run(run)).unwrap().about.status;
    assert_eq!(status, Status::Running, "the lines came while the job was at work");
    assert_eq!(texts(&seen)[..20], lines(20), "from line 1");

    story.server.kill();
    let before = stream.events();
    story.server.start();
    let last_id = before.last().and_then(|event| event.id.clone()).unwrap();
    story.wait_until_it_answers(&runtime);
    let go_on = format!("{} -H 'Last-Event-ID: {last_id}'", story.line("logs/stream"));
    let mut rest = story.shell(&go_on, "rest");

    let shown = logs.wait(PATIENCE);
    rest.wait(PATIENCE);
    let mut streamed = before;
    streamed.extend(rest.events());
    assert_eq!(streamed.last().and_then(|event| event.event.as_deref()), Some("end"));
    let text = story.shell(r#"curl -s $S/api/v1/runs/$RUN/logs/text -H "$A" "#, "text").wait(PATIENCE);
    assert_eq!(shown, text, "`oxide logs -f` and the API");
    assert_eq!(texts(&streamed).join("\n") + "\n", text, "the stream and the API");
    let attempts = runtime.block_on(client.run(run)).unwrap();
    assert_eq!(attempts.about.status, Status::Success, "{:?}\n{}", attempts.about.reason, story.server.tail());
    let mut expected = lines(LAST);
    expected.push("an end without a line break".to_owned());
    let all: Vec<&str> = text.lines().collect();
    let (first, second) = all.split_at(all.len() - expected.len());
    assert_eq!(second, expected, "the second attempt has all lines");
    assert!(first.len() >= 20 && first == lines(first.len()), "the first has no gap: {first:?}");

    events_agree(&runtime.block_on(events).unwrap(), &runtime, &client, run);
    let missing = expected.iter().filter(|line| !second.contains(&line.as_str())).count();
    let found = format!("{} lines, the same by four ways", second.len());
    tell("a server is killed while its log is followed, on SQLite", missing, &found);
}

/// What the job prints first.
fn lines(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("line {number} é")).collect()
}

/// All lines of a stream of a log.
fn texts(events: &[SseEvent]) -> Vec<String> {
    let lines = events.iter().filter(|event| event.event.as_deref() == Some("lines"));
    lines.flat_map(|event| serde_json::from_str::<LogLines>(&event.data).unwrap().lines).map(|line| line.text).collect()
}

/// All events of the run by a WebSocket, connecting again behind the last one, until the run has ended.
fn follow_events(runtime: &Runtime, client: Client, run: RunId) -> JoinHandle<Vec<EventPayload>> {
    runtime.spawn(async move {
        let mut events: Vec<EventPayload> = Vec::new();
        loop {
            let Ok(mut socket) = client.subscribe().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let since = Some(events.last().map_or(0, |event| event.event.seq));
            let wanted = ClientMessage::Subscribe { channels: vec![format!("run.{run}.>")], since };
            if socket.send(&wanted).await.is_err() {
                continue;
            }
            while let Ok(Some(received)) = socket.next().await {
                let Received::Event(event) = received else { continue };
                let is_last = event.channel == format!("run.{run}.completed");
                events.push(event.payload);
                if is_last {
                    return events;
                }
            }
        }
    })
}

/// The WebSocket brought what the server has, in its order, and that order makes sense.
fn events_agree(events: &[EventPayload], runtime: &Runtime, client: &Client, run: RunId) {
    let query = EventQuery { channels: Some(format!("run.{run}.>")), since: Some(0) };
    let mut stream = client.follow_events(&query);
    let stored: Vec<EventPayload> = runtime.block_on(async {
        let mut stored = Vec::new();
        while stored.len() < events.len() {
            let next = tokio::time::timeout(PATIENCE, stream.next()).await;
            stored.push(next.expect("there are as many events as came by the WebSocket").unwrap().unwrap());
        }
        stored
    });
    let numbers = |events: &[EventPayload]| events.iter().map(|event| event.event.seq).collect::<Vec<_>>();
    assert_eq!(numbers(events), numbers(&stored));
    assert!(numbers(events).is_sorted_by(|one, next| one < next));
    let kinds: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned())
        .filter(|kind| kind != "step.output")
        .collect();
    let attempt = ["job.queued", "job.started", "step.started", "step.completed", "job.completed"];
    let mut expected = vec!["run.queued"];
    expected.extend(attempt);
    expected.splice(2..2, ["run.started", "stage.started"]);
    // The server died with its agent: the attempt is lost, and another one is queued.
    expected.extend(attempt);
    expected.extend(["stage.completed", "run.completed"]);
    assert_eq!(kinds, expected);
}

/// A server and what is done with it.
struct Story {
    folder: tempfile::TempDir,
    server: Process,
    address: String,
    /// The README's commands, with the address and the code of this server.
    commands: String,
    token: String,
    run: String,
}

impl Story {
    fn begin() -> Story {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("oxide.yaml"), PIPELINE).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let data = folder.path().join("data").display().to_string();
        let arguments = ["server", "--listen", &address, "--data-dir", &data].map(str::to_owned).to_vec();
        let mut server = Process::new(folder.path(), "server", arguments, Vec::new());
        server.start();
        let (commands, token, run) = Default::default();
        let mut story = Story { folder, server, address, commands, token, run };
        story.wait_for("the code to sign in with", || story.server.setup_code().is_some());
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let (_, section) = readme.split_once("\n## A server\n").unwrap();
        let mut blocks = section.split("```sh\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0));
        let commands = blocks.find(|block| block.contains("curl")).unwrap();
        story.commands = commands
            .replace("http://127.0.0.1:7780", &format!("http://{}", story.address))
            .replace("oxide_set_…", &story.server.setup_code().unwrap());
        story
    }

    /// The commands up to the line that begins so, with that line.
    fn until(&self, beginning: &str) -> String {
        let end = self.commands.lines().position(|line| line.starts_with(beginning)).unwrap() + 1;
        self.commands.lines().take(end).collect::<Vec<_>>().join("\n")
    }

    /// The one line that has these words, without what it says about itself.
    fn line(&self, words: &str) -> String {
        let line = self.commands.lines().find(|line| line.contains(words)).unwrap();
        line.split("  #").next().unwrap().trim_end().to_owned()
    }

    /// Runs a script of `bash` in the background.
    fn shell(&self, script: &str, name: &str) -> Script {
        let output = self.folder.path().join(name);
        let program = Path::new(env!("CARGO_BIN_EXE_oxide")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let errors = File::create(self.folder.path().join(format!("{name}.err"))).unwrap();
        let child = Command::new("bash")
            .args(["-c", script])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("S", format!("http://{}", self.address))
            .env("OXIDE_TOKEN", &self.token)
            .env("A", format!("Authorization: Bearer {}", self.token))
            .env("RUN", &self.run)
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(errors)
            .spawn()
            .unwrap();
        Script { child, output }
    }

    fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address), Some(self.token.clone()), None).unwrap()
    }

    fn wait_until_it_answers(&self, runtime: &Runtime) {
        self.wait_for("the server to answer", || runtime.block_on(self.client().me()).is_ok());
    }

    fn wait_for(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "waited 120 s for {what}\n{}", self.server.tail());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A script in the background, whose output goes to a file.
struct Script {
    child: Child,
    output: PathBuf,
}

impl Script {
    /// What it printed so far.
    fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// The whole events that it printed so far.
    fn events(&self) -> Vec<SseEvent> {
        SseReader::default().take(self.printed().as_bytes()).unwrap()
    }

    /// All that it printed, once it has ended.
    fn wait(&mut self, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end; it printed:\n{}", self.printed());
            thread::sleep(Duration::from_millis(20));
        }
        self.printed()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
