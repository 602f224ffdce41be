//! Running other programs, and the places that everything is relative to.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

/// What a command of ours ends with: nothing, or a sentence that says what went wrong.
pub type Outcome<T = ()> = Result<T, String>;

/// The root of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two folders below the root").to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// The `oxide` program that `cargo build` made.
pub fn oxide() -> PathBuf {
    target().join("debug").join("oxide")
}

/// Is this a run of CI, where nothing may be skipped?
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// A cargo command in the root of the checkout.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    if is_ci() {
        // What nobody builds a second time need not be remembered.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// A program that ends with us, however we end: the kernel sends it this signal then. It goes by the thread that starts the
/// program, so that must be one that lives as long as we do.
pub fn ending_with_us(signal: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    // It is the program itself that gets the signal, for `setpriv` becomes it.
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Runs a command to its end; a failure names the command.
pub fn succeed(command: &mut Command) -> Outcome {
    let shown = format!("{:?}", command.get_program()).trim_matches('"').to_owned();
    let status = command.status().map_err(|error| format!("could not start `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Is a program on the search path?
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

/// Says what is being done.
pub fn say(what: &str) {
    eprintln!("xtask: {what}");
}

/// Where a server of this process keeps its data below `folders`, empty. What servers left there whose test command was
/// killed is removed: each folder is named by the number of its process, and a number may come again.
pub fn folder_of_this_process(folders: &Path) -> PathBuf {
    let ours = std::process::id().to_string();
    for entry in fs::read_dir(folders).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == ours.as_str() || !Path::new("/proc").join(&name).exists() {
            // What stays is tried again by the next one.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    folders.join(ours)
}

/// A port that nobody listens on now.
pub fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("could not find a free port: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("could not find a free port: {error}"))?;
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt as _, thread, time::Duration};

    use super::{ending_with_us, folder_of_this_process};

    #[test]
    fn a_program_ends_when_whoever_started_it_has_ended() {
        let started = thread::spawn(|| {
            let process = ending_with_us("KILL", "sleep").arg("60").spawn().unwrap();
            let name = format!("/proc/{}/comm", process.id());
            while std::fs::read_to_string(&name).unwrap() != "sleep\n" {
                thread::sleep(Duration::from_millis(5));
            }
            process
        });
        let status = started.join().unwrap().wait().unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    #[test]
    fn a_folder_left_by_a_process_of_our_number_is_made_empty() {
        let folders = std::env::temp_dir().join(format!("oxide-folders-{}", std::process::id()));
        let left = folders.join(std::process::id().to_string());
        std::fs::create_dir_all(left.join("data")).unwrap();
        assert_eq!(folder_of_this_process(&folders), left);
        assert!(!left.exists());
        std::fs::remove_dir_all(folders).unwrap();
    }
}
