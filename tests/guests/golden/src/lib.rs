//! Uses every interface of the contract, most of their functions, and tells what came of it.
//!
//! `tests/golden/<version>/plugin.wasm` is this plugin as it was built for that version of the contract: it must run for ever.

use oxide::ci::{
    artifacts, cache, containers, environment, git,
    log::{self, Level},
    output::{self, Annotation, Severity},
    run_info, secrets,
    types::Error,
    workspace,
};

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:golden/golden", generate_all });

struct Golden;

export!(Golden);

impl Guest for Golden {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        use_everything(&inputs).map_err(|error| {
            Failure::Other(match error {
                Error::NotFound(text)
                | Error::Denied(text)
                | Error::Invalid(text)
                | Error::Limit(text)
                | Error::Other(text) => text,
            })
        })
    }
}

fn use_everything(inputs: &Inputs) -> Result<Outputs, Error> {
    log::start_group("golden");
    log::progress(1, 2);
    log::write(Level::Info, "a golden plugin");
    log::end_group();
    let message = "a golden annotation".to_owned();
    output::annotate(&Annotation { file: None, line: None, severity: Severity::Notice, message });
    output::add_summary("a golden summary")?;
    let files = use_files()?;
    let subject = git::open(&inputs.remote)?
        .checkout("fetched", &git::FetchOptions { ref_: None, depth: Some(1), submodules: false, sparse: Vec::new() })?
        .subject;
    let has_engine = match containers::open() {
        Ok(_) => true,
        Err(Error::NotFound(_)) => false,
        Err(error) => return Err(error),
    };
    Ok(Outputs {
        printed: use_command(&inputs.secret)?,
        subject,
        files,
        has_engine,
        pipeline: run_info::get().pipeline,
    })
}

/// Writes files, saves them, and gets them back.
fn use_files() -> Result<(u64, u64), Error> {
    let root = workspace::root()?;
    root.create_directory("golden")?;
    root.write("golden/a.txt", b"one ")?;
    root.append("golden/a.txt", b"two")?;
    root.write("golden/b.txt", b"three")?;
    let below = root.open("golden")?;
    let same = below.read("a.txt")? == b"one two" && below.read_range("a.txt", 4, 3)? == b"two";
    let read_only = root.open_read_only("golden")?;
    let refused = matches!(read_only.write("c.txt", b"no"), Err(Error::Denied(_)));
    if !same || !refused || root.stat("golden/b.txt")?.size != 5 || root.list("golden")?.len() != 2 {
        return Err(Error::Other("the workspace is not what it was".to_owned()));
    }
    let paths = ["golden/*.txt".to_owned()];
    let uploaded = artifacts::open()?.upload("golden", &paths, None)?;
    let store = cache::open()?;
    store.save("golden-1", &paths)?;
    root.remove("golden")?;
    let restored = store.restore("golden-2", &["golden-".to_owned()])?.map_or(0, |entry| entry.files);
    if root.glob("golden/**")?.len() as u64 != restored {
        return Err(Error::Other("the cache did not give back what was saved".to_owned()));
    }
    Ok((uploaded.files, restored))
}

/// Runs a command that gets the secret in its environment, and reads how long it is.
fn use_command(secret: &str) -> Result<String, Error> {
    if !secrets::names().iter().any(|name| name == secret) {
        return Err(Error::NotFound("the secret is not among the names".to_owned()));
    }
    let here = environment::current()?;
    let command = here.command("sh");
    command.arg("-c");
    command.arg("cat; printf %s ${#GOLDEN}");
    command.env("GOLDEN", &secrets::open(secret)?.placeholder())?;
    command.stdin(b"length ");
    command.stdout(environment::OutputTo::Piped);
    let process = command.spawn()?;
    let mut printed = Vec::new();
    loop {
        let bytes = process.read_stdout(1024)?;
        if bytes.is_empty() {
            break;
        }
        printed.extend(bytes);
    }
    match process.wait()? {
        environment::Exit::Code(0) => Ok(String::from_utf8_lossy(&printed).into_owned()),
        _ => Err(Error::Other("the command failed".to_owned())),
    }
}
