//! `case.yaml`: from text to a [`Case`], with every mistake at its place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use oxide_core::{
    diagnostic::{Diagnostic, Diagnostics},
    event::Severity,
    pipeline::{
        GrantList, LimitChanges,
        reader::{Fields, Reader},
    },
    secret::{SecretValue, Secrets, is_secret_name},
    yaml::{self, Content as Yaml, Node, Span, is_null},
};
use oxide_runtime::{RunInfo, environment::Exit};

use super::content::{Content, files, path};

/// One case: what a plugin is given, what answers it, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of its folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The text of `case.yaml`.
    pub source: String,
    /// The inputs, with expressions.
    pub with: Node,
    /// What the plugin may use; none is all that it can use.
    pub grants: Option<GrantList>,
    /// The secrets.
    pub secrets: Secrets,
    /// The limits of the call.
    pub limits: LimitChanges,
    /// What the plugin may know of the run.
    pub run_info: RunInfo,
    /// Commands.
    pub environment: EnvironmentScript,
    /// HTTP requests and their answers.
    pub http: Vec<WebExchange>,
    /// What the cache holds: keys and files.
    pub cache: Vec<(String, Vec<(String, Content)>)>,
    /// The artifacts of the run: names and files.
    pub artifacts: Vec<(String, Vec<(String, Content)>)>,
    /// A repository that is made.
    pub git: Option<Repository>,
    /// What is asked of the container engine.
    pub containers: Vec<ContainerCall>,
    /// What must come of it; none if nothing was written.
    pub expect: Option<Expect>,
}

/// `environment:`.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentScript {
    /// Programs that are there besides those of the commands.
    pub programs: Vec<String>,
    /// The commands in the order in which they are run.
    pub commands: Vec<ScriptedCommand>,
}

/// A command that the plugin is expected to run, and what it does.
#[derive(Clone, Debug)]
pub struct ScriptedCommand {
    /// Program and arguments.
    pub run: Vec<String>,
    /// Variables that must have these values.
    pub env: Vec<(String, String)>,
    /// The standard input that it must be given.
    pub stdin: Option<Content>,
    /// The working directory that it must have, relative to the workspace.
    pub directory: Option<String>,
    /// What it prints.
    pub stdout: Vec<u8>,
    /// What it prints to the standard error.
    pub stderr: Vec<u8>,
    /// How it ends.
    pub exit: Exit,
    /// The files that it makes.
    pub writes: Vec<(String, Content)>,
    /// Where it was written.
    pub span: Span,
}

/// A request that is expected, and its answer.
#[derive(Clone, Debug)]
pub struct WebExchange {
    /// `GET` if none was written.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Headers that must have these values.
    pub headers: Vec<(String, String)>,
    /// The body that it must have.
    pub body: Option<Content>,
    /// The answer, or why there is none.
    pub response: Result<ScriptedResponse, String>,
    /// Where it was written.
    pub span: Span,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct ScriptedResponse {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// `git:`: the commits of a repository.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The name of its branch.
    pub branch: String,
    /// The commits, the oldest first.
    pub commits: Vec<Commit>,
    /// Where it was written.
    pub span: Span,
}

/// One commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its message.
    pub message: String,
    /// Files that it adds or changes.
    pub files: Vec<(String, Content)>,
    /// Tags that it has.
    pub tags: Vec<String>,
}

/// Something that is asked of the container engine, and its answer.
#[derive(Clone, Debug)]
pub struct ContainerCall {
    /// What is asked.
    pub ask: ContainerAsk,
    /// The id of an image, the digest of a manifest; or why there is none.
    pub answer: Result<String, String>,
    /// What a build prints.
    pub log: Vec<u8>,
    /// Where it was written.
    pub span: Span,
}

/// What can be asked of the container engine. What was not written may be anything.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerAsk {
    /// Build an image.
    Build {
        /// The Dockerfile.
        dockerfile: Option<String>,
        /// The stage.
        target: Option<String>,
        /// All tags.
        tags: Option<Vec<String>>,
        /// All arguments.
        build_args: Option<Vec<(String, String)>>,
        /// All labels.
        labels: Option<Vec<(String, String)>>,
    },
    /// Find an image.
    Image(String),
    /// Give an image another name.
    Tag {
        /// The id of the image.
        image: Option<String>,
        /// The name.
        reference: String,
    },
    /// Push an image.
    Push {
        /// The name.
        reference: String,
        /// The account.
        username: Option<String>,
        /// Its password.
        password: Option<String>,
    },
}

/// `expect:`.
#[derive(Clone, Debug)]
pub struct Expect {
    /// All outputs.
    pub outputs: Option<Node>,
    /// A text that the failure contains.
    pub failure: Option<(String, Span)>,
    /// Texts that lines of the log contain, in this order.
    pub log: Option<Vec<(String, Span)>>,
    /// All annotations.
    pub annotations: Option<(Vec<ExpectedAnnotation>, Span)>,
    /// The summary.
    pub summary: Option<Content>,
    /// Files of the workspace; none must not be there.
    pub files: Vec<(String, Option<Content>, Span)>,
    /// Entries that the cache must have.
    pub cache: Vec<Stored>,
    /// Artifacts that the run must have.
    pub artifacts: Vec<Stored>,
    /// What must not have been used up.
    pub limits: LimitChanges,
    /// Where that was written.
    pub limits_span: Span,
}

/// An annotation; what was not written may be anything.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedAnnotation {
    /// How serious it is.
    pub severity: Option<Severity>,
    /// What there is to say.
    pub message: Option<String>,
    /// The file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
}

const KEYS: [&str; 12] = [
    "with",
    "grants",
    "secrets",
    "limits",
    "run_info",
    "environment",
    "http",
    "cache",
    "artifacts",
    "git",
    "containers",
    "expect",
];
const RUN_INFO_KEYS: [&str; 13] = [
    "pipeline",
    "run",
    "run_number",
    "stage",
    "job",
    "step",
    "attempt",
    "matrix",
    "commit",
    "ref",
    "branch",
    "repository",
    "trigger",
];
const COMMAND_KEYS: [&str; 9] =
    ["run", "env", "stdin", "directory", "stdout", "stderr", "exit_code", "signal", "writes"];
const EXPECT_KEYS: [&str; 9] =
    ["outputs", "failure", "log", "annotations", "summary", "files", "cache", "artifacts", "limits"];
const LIMITS_EXPECTED: [&str; 5] = ["fuel", "memory", "timeout", "log", "output"];

/// Why a case cannot be used: what is shown.
#[derive(Debug, thiserror::Error)]
#[error("{}", .diagnostics)]
pub struct CaseError {
    /// The file as it is shown.
    pub file: String,
    /// Its text.
    pub source_text: String,
    /// The mistakes.
    pub diagnostics: Diagnostics,
}

impl Case {
    /// Reads the case in a folder.
    ///
    /// # Errors
    /// Every mistake, or the first one in the YAML.
    pub fn open(folder: &Path) -> Result<Case, Box<CaseError>> {
        let file = folder.join("case.yaml");
        let shown = file.display().to_string();
        let refuse = |source_text: String, diagnostics: Diagnostics| {
            Box::new(CaseError { file: shown.clone(), source_text, diagnostics })
        };
        let bytes = match fs::metadata(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let error = Diagnostic::new("the folder has no file `case.yaml`");
                return Err(refuse(String::new(), error.hint("a case is a folder with `case.yaml`").into()));
            }
            Ok(found) if !found.is_file() => {
                let error = Diagnostic::new("`case.yaml` is not a file");
                return Err(refuse(String::new(), error.hint("a case is a folder with `case.yaml`").into()));
            }
            Ok(found) if found.len() > yaml::MAX_SOURCE_BYTES as u64 => {
                let error = Diagnostic::new("the case is larger than 10 MB");
                let hint = "put large texts into files of the case's folder: `{ file: expected.txt }`";
                return Err(refuse(String::new(), error.hint(hint).into()));
            }
            _ => fs::read(&file),
        };
        let bytes = bytes.map_err(|error| refuse(String::new(), Diagnostic::new(error.to_string()).into()))?;
        let source = String::from_utf8(bytes).map_err(|_| {
            let error = Diagnostic::new("the case is not UTF-8 text");
            let hint = "put bytes that are no text into files of the case's folder: `{ file: bytes.bin }`";
            refuse(String::new(), error.hint(hint).into())
        })?;
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Case::parse(&name, folder, &source).map_err(|diagnostics| refuse(source.clone(), diagnostics))
    }

    /// Reads the text of a case.
    ///
    /// # Errors
    /// Every mistake, or the first one in the YAML.
    pub fn parse(name: &str, folder: &Path, source: &str) -> Result<Case, Diagnostics> {
        let document = yaml::parse(source).map_err(in_words_of_a_case)?;
        let mut reader = Reader::default();
        let case = read(name, folder, source, &document, &mut reader);
        match case {
            Some(case) if reader.errors.is_empty() => Ok(case),
            _ => Err(Diagnostics(reader.errors).sorted()),
        }
    }
}

/// The YAML reader speaks of pipelines.
fn in_words_of_a_case(error: Diagnostic) -> Diagnostics {
    let words = |text: String| text.replace("pipeline", "case");
    let error = match error.message == "the file is empty" {
        true => error.hint("write at least `with: { … }` and `expect: { outputs: { … } }`"),
        false => error,
    };
    Diagnostic { message: words(error.message), hint: error.hint.map(words), ..error }.into()
}

fn read(name: &str, folder: &Path, source: &str, document: &Node, reader: &mut Reader) -> Option<Case> {
    let fields = reader.fields(document, "a case", &KEYS)?;
    let with = fields.get("with").cloned().unwrap_or_else(|| Node::map(Vec::new()));
    Some(Case {
        name: name.to_owned(),
        folder: folder.to_owned(),
        source: source.to_owned(),
        with,
        grants: fields.get("grants").and_then(|node| GrantList::read(node, reader)),
        secrets: fields.get("secrets").map(|node| secrets(node, reader)).unwrap_or_default(),
        limits: fields.get("limits").map(|node| LimitChanges::read(node, reader)).unwrap_or_default(),
        run_info: run_info(name, fields.get("run_info"), reader),
        environment: fields.get("environment").and_then(|node| environment(node, folder, reader)).unwrap_or_default(),
        http: each(fields.get("http"), "`http`", reader, |node, reader| exchange(node, folder, reader)),
        cache: stored(fields.get("cache"), "`cache`", folder, reader)
            .into_iter()
            .map(|(name, files, _)| (name, files))
            .collect(),
        artifacts: stored(fields.get("artifacts"), "`artifacts`", folder, reader)
            .into_iter()
            .map(|(name, files, _)| (name, files))
            .collect(),
        git: fields.get("git").and_then(|node| repository(node, folder, reader)),
        containers: each(fields.get("containers"), "`containers`", reader, |node, reader| {
            container_call(node, folder, reader)
        }),
        expect: fields.get("expect").and_then(|node| expect(node, folder, reader)),
    })
}

/// Reads every item of a list that may be missing.
fn each<T>(
    node: Option<&Node>,
    what: &str,
    reader: &mut Reader,
    read: impl Fn(&Node, &mut Reader) -> Option<T>,
) -> Vec<T> {
    let items = node.and_then(|node| reader.list(node, what)).unwrap_or_default();
    items.iter().filter_map(|item| read(item, reader)).collect()
}

fn text(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> Option<String> {
    fields.get(key).and_then(|node| reader.text(node, &format!("`{key}`")))
}

/// A text that must be there.
fn needed(fields: &Fields<'_>, key: &str, what: &str, reader: &mut Reader) -> Option<String> {
    if fields.lacks(key) {
        reader.error(Diagnostic::at(fields.span, format!("{what} has no `{key}`")));
    }
    text(fields, key, reader)
}

/// `{ NAME: text }`.
fn pairs(node: Option<&Node>, what: &str, reader: &mut Reader) -> Vec<(String, String)> {
    let entries = node.and_then(|node| reader.entries(node, what)).unwrap_or_default();
    let pair = |(key, value): &(Node, Node)| Some((key.as_text()?.to_owned(), reader.text(value, what)?));
    entries.iter().filter_map(pair).collect()
}

fn secrets(node: &Node, reader: &mut Reader) -> Secrets {
    let mut secrets = Secrets::new();
    for (key, value) in reader.entries(node, "`secrets`").unwrap_or_default() {
        let name = key.as_text().unwrap_or("");
        if !is_secret_name(name) {
            let error = Diagnostic::at(key.span, format!("`{name}` cannot be the name of a secret"));
            reader.error(error.hint("letters, digits and `_`, and no digit at the beginning, such as `TOKEN`"));
            continue;
        }
        let Some(text) = reader.text(value, "the value of a secret") else { continue };
        match SecretValue::new(text) {
            Ok(value) => drop(secrets.insert(name.to_owned(), value)),
            Err(error) => reader.error(Diagnostic::at(value.span, format!("the secret `{name}`: {error}"))),
        }
    }
    secrets
}

fn run_info(case: &str, node: Option<&Node>, reader: &mut Reader) -> RunInfo {
    let fixed = RunInfo {
        pipeline: "case".to_owned(),
        run: "case-run".to_owned(),
        run_number: 1,
        stage: "test".to_owned(),
        job: "test".to_owned(),
        step: case.to_owned(),
        attempt: 1,
        trigger: "manual".to_owned(),
        ..RunInfo::default()
    };
    let Some(fields) = node.and_then(|node| reader.fields(node, "`run_info`", &RUN_INFO_KEYS)) else { return fixed };
    let branch = text(&fields, "branch", reader).map(|branch| format!("refs/heads/{branch}"));
    let number = |key: &str, most: u64, reader: &mut Reader| {
        fields.get(key).and_then(|node| reader.number(node, &format!("`{key}`"), 1, most))
    };
    RunInfo {
        pipeline: text(&fields, "pipeline", reader).unwrap_or(fixed.pipeline),
        run: text(&fields, "run", reader).unwrap_or(fixed.run),
        run_number: number("run_number", u64::MAX, reader).unwrap_or(fixed.run_number),
        stage: text(&fields, "stage", reader).unwrap_or(fixed.stage),
        job: text(&fields, "job", reader).unwrap_or(fixed.job),
        step: text(&fields, "step", reader).unwrap_or(fixed.step),
        attempt: number("attempt", u64::from(u32::MAX), reader).map_or(1, |number| number as u32),
        matrix: pairs(fields.get("matrix"), "`matrix`", reader),
        commit: text(&fields, "commit", reader),
        git_ref: text(&fields, "ref", reader).or(branch),
        repository: text(&fields, "repository", reader),
        trigger: text(&fields, "trigger", reader).unwrap_or(fixed.trigger),
    }
}

fn environment(node: &Node, folder: &Path, reader: &mut Reader) -> Option<EnvironmentScript> {
    let fields = reader.fields(node, "`environment`", &["programs", "commands"])?;
    let programs = each(fields.get("programs"), "`programs`", reader, |node, reader| reader.text(node, "a program"));
    let commands = each(fields.get("commands"), "`commands`", reader, |node, reader| command(node, folder, reader));
    Some(EnvironmentScript { programs, commands })
}

fn command(node: &Node, folder: &Path, reader: &mut Reader) -> Option<ScriptedCommand> {
    let fields = reader.fields(node, "a command", &COMMAND_KEYS)?;
    if fields.lacks("run") {
        reader.error(Diagnostic::at(node.span, "the command has no `run`").hint("write `run: [git, status]`"));
    }
    let run_node = fields.get("run")?;
    if let Some(line) = run_node.as_text() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let error = Diagnostic::at(run_node.span, "`run` is a list: the program and its arguments, without a shell");
        reader.error(error.hint(format!("write `run: [{}]`", words.join(", "))));
        return None;
    }
    let run: Vec<String> = each(Some(run_node), "`run`", reader, |node, reader| reader.text(node, "an argument"));
    if run.is_empty() {
        reader.error(Diagnostic::at(run_node.span, "`run` names no program"));
        return None;
    }
    let content = |key: &str, reader: &mut Reader| {
        fields.get(key).and_then(|node| Content::read(node, &format!("`{key}`"), folder, reader))
    };
    let exit_code = fields.get("exit_code").and_then(|node| reader.number(node, "`exit_code`", 0, 255));
    let signal = fields.get("signal").and_then(|node| reader.number(node, "`signal`", 1, 64));
    if exit_code.is_some() && signal.is_some() {
        reader.error(Diagnostic::at(node.span, "a command ends with an `exit_code` or by a `signal`, not both"));
    }
    let exit = match signal {
        Some(signal) => Exit::Signalled(signal as i32),
        None => Exit::Code(exit_code.unwrap_or(0) as i32),
    };
    Some(ScriptedCommand {
        run,
        env: pairs(fields.get("env"), "`env`", reader),
        stdin: content("stdin", reader),
        directory: text(&fields, "directory", reader),
        stdout: content("stdout", reader).unwrap_or_default().bytes,
        stderr: content("stderr", reader).unwrap_or_default().bytes,
        exit,
        writes: fields.get("writes").map(|node| files(node, "`writes`", folder, reader)).unwrap_or_default(),
        span: run_node.span,
    })
}

fn exchange(node: &Node, folder: &Path, reader: &mut Reader) -> Option<WebExchange> {
    let fields = reader.fields(node, "an exchange", &["request", "response", "error"])?;
    for key in ["request", "response"] {
        if fields.lacks(key) && !(key == "response" && fields.get("error").is_some()) {
            let error = Diagnostic::at(node.span, format!("the exchange has no `{key}`"));
            reader.error(
                error.hint("write `- request: { url: \"https://…\" }` and `response: { status: 200 }` below it"),
            );
        }
    }
    let request_node = fields.get("request")?;
    let request = reader.fields(request_node, "a request", &["method", "url", "headers", "body"])?;
    let url = needed(&request, "url", "the request", reader)?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let error = Diagnostic::at(request_node.span, format!("`{url}` is no URL"));
        reader.error(error.hint("write the whole one, such as `https://api.example.org/x`"));
    }
    let response = match (text(&fields, "error", reader), fields.get("response")) {
        (Some(error), _) => Err(error),
        (None, node) => Ok(response(node?, folder, reader)?),
    };
    Some(WebExchange {
        method: text(&request, "method", reader).unwrap_or_else(|| "GET".to_owned()),
        url,
        headers: pairs(request.get("headers"), "`headers`", reader),
        body: request.get("body").and_then(|node| Content::read(node, "`body`", folder, reader)),
        response,
        span: request_node.span,
    })
}

fn response(node: &Node, folder: &Path, reader: &mut Reader) -> Option<ScriptedResponse> {
    let fields = reader.fields(node, "a response", &["status", "headers", "body"])?;
    let status = fields.get("status").and_then(|node| reader.number(node, "`status`", 100, 599)).unwrap_or(200);
    let body = fields.get("body").and_then(|node| Content::read(node, "`body`", folder, reader));
    Some(ScriptedResponse {
        status: status as u16,
        headers: pairs(fields.get("headers"), "`headers`", reader),
        body: body.unwrap_or_default().bytes,
    })
}

/// An entry of the cache, or an artifact: its name, its files, and where it was written.
pub type Stored = (String, Vec<(String, Content)>, Span);

/// `{ NAME: { PATH: content } }`.
fn stored(node: Option<&Node>, what: &str, folder: &Path, reader: &mut Reader) -> Vec<Stored> {
    let entries = node.and_then(|node| reader.entries(node, what)).unwrap_or_default();
    let one = |(key, value): &(Node, Node)| {
        Some((key.as_text()?.to_owned(), files(value, "the files of an entry", folder, reader), key.span))
    };
    entries.iter().filter_map(one).collect()
}

fn repository(node: &Node, folder: &Path, reader: &mut Reader) -> Option<Repository> {
    let fields = reader.fields(node, "`git`", &["branch", "commits"])?;
    let commits = each(fields.get("commits"), "`commits`", reader, |node, reader| {
        let fields = reader.fields(node, "a commit", &["message", "files", "tags"])?;
        Some(Commit {
            message: needed(&fields, "message", "the commit", reader)?,
            files: fields.get("files").map(|node| files(node, "`files`", folder, reader)).unwrap_or_default(),
            tags: fields.get("tags").map(|node| reader.texts(node, "a tag")).unwrap_or_default(),
        })
    });
    if commits.is_empty() {
        let error = Diagnostic::at(node.span, "the repository has no commits");
        reader.error(error.hint("write `commits: [{ message: first, files: { a.txt: text } }]`"));
    }
    Some(Repository {
        branch: text(&fields, "branch", reader).unwrap_or_else(|| "main".to_owned()),
        commits,
        span: node.span,
    })
}

fn container_call(node: &Node, folder: &Path, reader: &mut Reader) -> Option<ContainerCall> {
    let keys = ["build", "image", "tag", "push", "id", "digest", "log", "error"];
    let fields = reader.fields(node, "a call of the container engine", &keys)?;
    let asked: Vec<&str> = keys[..4].iter().copied().filter(|key| fields.get(key).is_some()).collect();
    let [asked] = asked.as_slice() else {
        let error = Diagnostic::at(node.span, "a call is one of `build`, `image`, `tag` and `push`");
        reader.error(error.hint("write `- build: { tags: [app] }` and `id: sha256:…` below it"));
        return None;
    };
    let value = fields.get(asked)?;
    let ask = match *asked {
        "build" => {
            let build = reader.fields(value, "`build`", &["dockerfile", "target", "tags", "build_args", "labels"])?;
            let all = |key: &str, reader: &mut Reader| build.get(key).map(|node| pairs(Some(node), key, reader));
            ContainerAsk::Build {
                dockerfile: text(&build, "dockerfile", reader),
                target: text(&build, "target", reader),
                tags: build.get("tags").map(|node| reader.texts(node, "a tag")),
                build_args: all("build_args", reader),
                labels: all("labels", reader),
            }
        }
        "image" => ContainerAsk::Image(reader.text(value, "`image`")?),
        "tag" => {
            let tag = reader.fields(value, "`tag`", &["image", "reference"])?;
            let reference = needed(&tag, "reference", "`tag`", reader)?;
            ContainerAsk::Tag { image: text(&tag, "image", reader), reference }
        }
        _ => {
            let push = reader.fields(value, "`push`", &["reference", "username", "password"])?;
            let reference = needed(&push, "reference", "`push`", reader)?;
            let (username, password) = (text(&push, "username", reader), text(&push, "password", reader));
            ContainerAsk::Push { reference, username, password }
        }
    };
    let error = text(&fields, "error", reader);
    let digits = format!("sha256:{}", "0".repeat(64));
    let answer = text(&fields, "id", reader).or(text(&fields, "digest", reader)).unwrap_or(digits);
    let log = fields.get("log").and_then(|node| Content::read(node, "`log`", folder, reader));
    let log = log.unwrap_or_default().bytes;
    Some(ContainerCall { ask, answer: error.map_or(Ok(answer), Err), log, span: value.span })
}

fn expect(node: &Node, folder: &Path, reader: &mut Reader) -> Option<Expect> {
    let fields = reader.fields(node, "`expect`", &EXPECT_KEYS)?;
    if let (Some(_), Some((key, _))) = (fields.get("outputs"), fields.entry("failure")) {
        let error = Diagnostic::at(key.span, "a step that fails has no outputs");
        reader.error(error.hint("remove `outputs`, or `failure`"));
    }
    let log = fields.get("log").map(|node| {
        let line = |node: &Node, reader: &mut Reader| Some((reader.text(node, "a line of the log")?, node.span));
        each(Some(node), "`log`", reader, line)
    });
    let annotations =
        fields.get("annotations").map(|node| (each(Some(node), "`annotations`", reader, annotation), node.span));
    let mut expected_files = Vec::new();
    for (key, value) in fields.get("files").and_then(|node| reader.entries(node, "`files`")).unwrap_or_default() {
        let Some(path) = path(key, "a path", reader) else { continue };
        let absent = matches!(&value.content, Yaml::Scalar { text, plain: true } if is_null(text));
        match absent {
            true => expected_files.push((path, None, key.span)),
            false => {
                let content = Content::read(value, "the content of a file", folder, reader);
                expected_files.extend(content.map(|content| (path, Some(content), key.span)));
            }
        }
    }
    let limits = fields.get("limits");
    if let Some(limits) = limits {
        // What the runtime does not measure cannot be expected.
        reader.fields(limits, "the limits that are expected", &LIMITS_EXPECTED);
    }
    Some(Expect {
        outputs: fields.get("outputs").cloned(),
        failure: fields.get("failure").and_then(|node| Some((reader.text(node, "`failure`")?, node.span))),
        log,
        annotations,
        summary: fields.get("summary").and_then(|node| Content::read(node, "`summary`", folder, reader)),
        files: expected_files,
        cache: stored(fields.get("cache"), "`cache`", folder, reader),
        artifacts: stored(fields.get("artifacts"), "`artifacts`", folder, reader),
        limits: limits.map(|node| LimitChanges::read(node, reader)).unwrap_or_default(),
        limits_span: limits.map(|node| node.span).unwrap_or_default(),
    })
}

fn annotation(node: &Node, reader: &mut Reader) -> Option<ExpectedAnnotation> {
    let fields = reader.fields(node, "an annotation", &["severity", "message", "file", "line"])?;
    let severity = fields.get("severity").and_then(|node| match node.as_text() {
        Some("notice") => Some(Severity::Notice),
        Some("warning") => Some(Severity::Warning),
        Some("error") => Some(Severity::Error),
        _ => {
            reader.expected(node, "`severity`", "`notice`, `warning` or `error`");
            None
        }
    });
    let line = fields.get("line").and_then(|node| reader.number(node, "`line`", 0, u64::from(u32::MAX)));
    Some(ExpectedAnnotation {
        severity,
        message: text(&fields, "message", reader),
        file: text(&fields, "file", reader),
        line: line.map(|line| line as u32),
    })
}

#[cfg(test)]
#[path = "case_tests.rs"]
mod tests;
