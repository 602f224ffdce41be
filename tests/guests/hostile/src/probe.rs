//! Tries what the plugin may or may not do, and tells what came of it.

use crate::{
    Failure,
    oxide::ci::{
        environment::{self, Command, Exit, OutputTo},
        log::{self, Level},
        run_info, workspace,
    },
    refused,
};

pub fn read(path: &str) -> Result<String, Failure> {
    let contents = workspace::root().map_err(refused)?.read(path).map_err(refused)?;
    Ok(String::from_utf8_lossy(&contents).into_owned())
}

pub fn write(path: &str, text: &str) -> Result<String, Failure> {
    workspace::root().map_err(refused)?.write(path, text.as_bytes()).map_err(refused)?;
    Ok(format!("wrote {} bytes", text.len()))
}

pub fn list(path: &str) -> Result<String, Failure> {
    let entries = workspace::root().map_err(refused)?.list(path).map_err(refused)?;
    Ok(entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>().join("\n"))
}

pub fn remove(path: &str) -> Result<String, Failure> {
    workspace::root().map_err(refused)?.remove(path).map_err(refused)?;
    Ok("removed".to_owned())
}

pub fn write_read_only(path: &str, text: &str) -> Result<String, Failure> {
    let directory = workspace::root().map_err(refused)?.open_read_only(path).map_err(refused)?;
    directory.write("probe", text.as_bytes()).map_err(refused)?;
    Ok("wrote through a read-only handle".to_owned())
}

fn command(line: &str) -> Result<Command, Failure> {
    let mut words = line.split(' ');
    let environment = environment::current().map_err(refused)?;
    let command = environment.command(words.next().unwrap_or(""));
    for word in words {
        command.arg(word);
    }
    Ok(command)
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("code {code}"),
        Exit::Signalled(signal) => format!("signal {signal}"),
    }
}

pub fn spawn(line: &str) -> Result<String, Failure> {
    let process = command(line)?.spawn().map_err(refused)?;
    Ok(ended(process.wait().map_err(refused)?))
}

pub fn spawn_and_leave(line: &str) -> Result<String, Failure> {
    let process = command(line)?.spawn().map_err(refused)?;
    // What happens to a handle that is never dropped is the host's matter.
    std::mem::forget(process);
    Ok("left".to_owned())
}

pub fn capture(line: &str) -> Result<String, Failure> {
    let command = command(line)?;
    command.stdout(OutputTo::Piped);
    let process = command.spawn().map_err(refused)?;
    let mut printed = Vec::new();
    loop {
        let part = process.read_stdout(65_536).map_err(refused)?;
        if part.is_empty() {
            break;
        }
        printed.extend(part);
    }
    let exit = ended(process.wait().map_err(refused)?);
    Ok(format!("{exit}\n{}", String::from_utf8_lossy(&printed)))
}

pub fn find_program(name: &str) -> Result<String, Failure> {
    let found = environment::current().map_err(refused)?.find_program(name).map_err(refused)?;
    Ok(found.unwrap_or_else(|| "none".to_owned()))
}

pub fn env() -> String {
    std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

pub fn fs(path: &str) -> Result<String, Failure> {
    let entries = std::fs::read_dir(path).map_err(|error| Failure::Other(format!("no directory: {error}")))?;
    let names = entries.map(|entry| match entry {
        Ok(entry) => entry.file_name().to_string_lossy().into_owned(),
        Err(error) => error.to_string(),
    });
    Ok(names.collect::<Vec<_>>().join("\n"))
}

pub fn net(address: &str) -> String {
    match std::net::TcpStream::connect(address) {
        Ok(_) => "connected".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

pub fn log(text: &str) -> String {
    log::start_group("a group");
    for level in [Level::Debug, Level::Info, Level::Warning, Level::Error] {
        log::write(level, text);
    }
    log::progress(1, 2);
    log::end_group();
    log::end_group();
    "logged".to_owned()
}

pub fn info() -> String {
    let info = run_info::get();
    let mut lines = vec![
        format!("pipeline={}", info.pipeline),
        format!("run={}", info.run),
        format!("run-number={}", info.run_number),
        format!("stage={}", info.stage),
        format!("job={}", info.job),
        format!("step={}", info.step),
        format!("attempt={}", info.attempt),
        format!("commit={}", info.commit.unwrap_or_default()),
        format!("ref={}", info.ref_.unwrap_or_default()),
        format!("repository={}", info.repository.unwrap_or_default()),
        format!("trigger={}", info.trigger),
    ];
    lines.extend(info.matrix.into_iter().map(|(name, value)| format!("matrix.{name}={value}")));
    lines.join("\n")
}
