//! Programs of others that read and write what lies in registries: our plugins must be good for them, and theirs for us.
//!
//! `wkg` is compiled once by `cargo install`, `oras` comes from the Python index; both are kept in `target/tools`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    packages,
    tools::{Outcome, cargo, say, succeed, target},
};

/// The package manager of WebAssembly components, and its version.
const WKG: (&str, &str) = ("wkg", "0.16.1");

/// A library for artifacts of any kind, and its version.
const ORAS: &str = "oras==0.2.43";

/// Fetches what is not there yet. Answers with the folder of the program `wkg/bin/wkg` and of the Python
/// library `oras/oras`.
pub fn ensure() -> Outcome<PathBuf> {
    let folder = target().join("tools");
    fs::create_dir_all(&folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    once(&folder.join("wkg/bin/wkg"), || {
        say("compiling wkg, a client for registries, for the tests (once)");
        let mut install = cargo(&["install", "--quiet", "--locked", "--debug", "--version", WKG.1, WKG.0, "--root"]);
        install
            .arg(folder.join("wkg"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TARGET_DIR", folder.join("build"));
        succeed(&mut install)?;
        // Its crates are of no use for anything else.
        fs::remove_dir_all(folder.join("build")).map_err(|error| format!("could not clean up: {error}"))
    })?;
    packages::install_once(&folder.join("oras"), ORAS, |folder| packages::pip(folder, ORAS))?;
    Ok(folder)
}

/// Makes a program unless it is there.
fn once(program: &Path, make: impl FnOnce() -> Outcome) -> Outcome {
    if program.exists() { Ok(()) } else { make() }
}
