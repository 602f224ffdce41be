//! Finds, or sets up, a compiler for `wasm32-wasip2`.
//!
//! The ordinary one is the Rust toolchain with the target added by rustup. Where rustup cannot reach its server,
//! Debian's packages hold all that is needed to build the target's standard library. [`super::compile`] uses what is
//! found here.

use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The target that plugins in Rust are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// Debian's packages that stand in for the rustup target.
pub const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "wasi-libc", "lld"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";
const DEBIAN_TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// How to build for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain has the target: plain cargo does it.
    Target,
    /// Debian's compiler builds the standard library too, with the linkers of the ordinary toolchain.
    Debian {
        /// The folder of `rust-lld` and `wasm-component-ld`.
        linkers: PathBuf,
    },
}

/// Why there is no compiler.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// The target is not there; the text says what to do.
    #[error("Rust cannot build for {TARGET} yet: run `rustup target add {TARGET}`")]
    NoTarget,
    /// `rustc` did not run.
    #[error("could not run `rustc`: install Rust from https://rustup.rs")]
    NoRust(#[source] std::io::Error),
    /// Neither way of adding the target worked.
    #[error("could not add the target {TARGET}: {tried}")]
    Setup {
        /// What was tried and what to do by hand.
        tried: String,
    },
}

/// Finds out how to build for the target, without changing anything.
///
/// # Errors
/// [`ToolchainError::NoTarget`] if there is no way yet, [`ToolchainError::NoRust`] if there is no Rust at all.
pub fn find() -> Result<Toolchain, ToolchainError> {
    let sysroot = sysroot()?;
    if has_standard_library(&sysroot.join("lib/rustlib").join(TARGET)) {
        return Ok(Toolchain::Target);
    }
    debian(&sysroot).ok_or(ToolchainError::NoTarget)
}

/// Makes sure that plugins can be built, and says on the standard error what it does: adds the target with rustup;
/// where that fails and this is root on Debian, installs [`DEBIAN_PACKAGES`].
///
/// # Errors
/// [`ToolchainError::Setup`] if nothing worked.
pub fn ensure_target() -> Result<(), ToolchainError> {
    match find() {
        Err(ToolchainError::NoTarget) => {}
        other => return other.map(|_| ()),
    }
    if say_and_run("rustup", &["target", "add", TARGET]) && find().is_ok() {
        return Ok(());
    }
    let packages = DEBIAN_PACKAGES.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() || std::env::consts::ARCH != "x86_64" {
        return Err(ToolchainError::Setup {
            tried: format!("`rustup target add {TARGET}` failed; its message is above"),
        });
    }
    let by_hand = format!("as root, run `apt-get install {packages}`, then this command again");
    if !is_root() {
        return Err(ToolchainError::Setup { tried: format!("`rustup target add {TARGET}` failed; {by_hand}") });
    }
    eprintln!("rustup could not add {TARGET}; Debian's packages can stand in for it");
    let install: Vec<&str> =
        ["install", "--yes", "--no-install-recommends"].into_iter().chain(DEBIAN_PACKAGES).collect();
    let installed =
        say_and_run("apt-get", &install) || (say_and_run("apt-get", &["update"]) && say_and_run("apt-get", &install));
    if !installed {
        return Err(ToolchainError::Setup {
            tried: format!("neither `rustup target add {TARGET}` nor `apt-get install {packages}` worked"),
        });
    }
    find().map(|_| ())
}

impl Toolchain {
    /// Gives a cargo command the variables and arguments that this toolchain needs. `rust_flags` are flags for the code
    /// of the target.
    pub(crate) fn prepare(&self, cargo: &mut Command, rust_flags: &[String]) {
        let mut flags: Vec<&str> = rust_flags.iter().map(String::as_str).collect();
        let wasi_libc = format!("-Lnative={DEBIAN_WASI_LIBC}");
        if let Toolchain::Debian { linkers } = self {
            flags.push(&wasi_libc);
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(linkers.clone()).chain(std::env::split_paths(&path));
            cargo.env("PATH", std::env::join_paths(folders).unwrap_or(path.clone()));
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        // Separated by a character that no flag holds, unlike RUSTFLAGS, which splits at spaces.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    }
}

/// The folder of the toolchain that `rustc` on the search path belongs to.
fn sysroot() -> Result<PathBuf, ToolchainError> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]);
    clean_environment(&mut rustc);
    let output = rustc.output().map_err(ToolchainError::NoRust)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ToolchainError::NoRust(std::io::Error::other(message)));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Does this folder of `rustlib` hold a standard library? An interrupted rustup leaves the folder without it.
fn has_standard_library(target: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(target.join("lib")) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Debian's compiler, if all of its parts are there.
fn debian(sysroot: &Path) -> Option<Toolchain> {
    let linkers = sysroot.join("lib/rustlib").join(DEBIAN_TRIPLE).join("bin");
    let parts = [
        PathBuf::from(DEBIAN_RUSTC),
        PathBuf::from("/usr/lib/rustlib/src/rust/library"),
        Path::new(DEBIAN_WASI_LIBC).join("libc.a"),
        linkers.join("rust-lld"),
        linkers.join("wasm-component-ld"),
    ];
    parts.iter().all(|part| part.exists()).then_some(Toolchain::Debian { linkers })
}

/// Runs a command with its output on ours; false if it failed or is not there.
fn say_and_run(program: &str, args: &[&str]) -> bool {
    eprintln!("$ {program} {}", args.join(" "));
    match Command::new(program).args(args).env("DEBIAN_FRONTEND", "noninteractive").status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("could not run {program}: {error}");
            false
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Takes away what an outer cargo (a build script, `cargo run`, `cargo test`) set for its own build, and leaves what
/// the user set to reach registries.
pub(crate) fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_of_an_outer_build(&name) {
            command.env_remove(&name);
        }
    }
}

fn is_of_an_outer_build(name: &OsString) -> bool {
    const USERS: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    const OTHERS: [&str; 12] = [
        "RUSTFLAGS",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "MAKEFLAGS",
        "MFLAGS",
        "TARGET",
        "HOST",
        "OUT_DIR",
        "OPT_LEVEL",
        "PROFILE",
        "DEBUG",
        "NUM_JOBS",
    ];
    let name = name.to_string_lossy();
    if USERS.iter().any(|start| name.starts_with(start)) {
        return false;
    }
    name.starts_with("CARGO") || name.starts_with("RUSTC") || OTHERS.contains(&name.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_build_is_forgotten_and_the_users_settings_stay() {
        for name in [
            "CARGO",
            "CARGO_PKG_NAME",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "MAKEFLAGS",
            "CARGO_MAKEFLAGS",
            "OUT_DIR",
            "CARGO_TARGET_DIR",
        ] {
            assert!(is_of_an_outer_build(&name.into()), "{name}");
        }
        for name in
            ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_REGISTRIES_MINE_INDEX", "RUSTUP_TOOLCHAIN", "PATH", "HOME"]
        {
            assert!(!is_of_an_outer_build(&name.into()), "{name}");
        }
    }

    #[test]
    fn a_target_without_a_standard_library_is_no_target() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_standard_library(folder.path()));
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        assert!(!has_standard_library(folder.path()));
        std::fs::write(folder.path().join("lib/libstd-0123.rlib"), "").unwrap();
        assert!(has_standard_library(folder.path()));
    }

    #[test]
    fn debians_compiler_is_told_where_its_parts_are() {
        let mut cargo = Command::new("cargo");
        let toolchain = Toolchain::Debian { linkers: PathBuf::from("/toolchain/bin") };
        toolchain.prepare(&mut cargo, &["-Cx".to_owned()]);
        let value = |name: &str| {
            let (_, value) = cargo.get_envs().find(|(key, _)| *key == name).unwrap();
            value.unwrap().to_string_lossy().into_owned()
        };
        assert!(value("PATH").starts_with("/toolchain/bin:"));
        assert_eq!(value("RUSTC"), "/usr/bin/rustc");
        assert_eq!(value("CARGO_ENCODED_RUSTFLAGS"), "-Cx\u{1f}-Lnative=/usr/lib/wasm32-wasi");
        assert_eq!(cargo.get_args().collect::<Vec<_>>(), ["-Zbuild-std=std,panic_abort"]);
    }
}
