//! Builds the plugins that we ship and lays them out for `src/built_in.rs` to embed.
//!
//! The guests have a target folder of their own beside ours, so that they are built once whatever happens to this crate.

use std::{
    env,
    error::Error,
    fmt::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

fn main() {
    if let Err(error) = build() {
        // Cargo shows what a failed build script prints.
        eprintln!("error: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            eprintln!("caused by: {error}");
            cause = error.source();
        }
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?)
        .join("..")
        .canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let plugins = root.join("plugins");
    let contract = root.join("wit");
    rerun_if_changed(&plugins, &contract)?;

    let built = oxide_plugin_build::build_workspace(&plugins, &contract, &guests_directory(&out)?)?;
    let mut table = String::from("&[\n");
    for plugin in built {
        let file = format!("{}.wasm", plugin.package);
        std::fs::write(out.join(&file), &plugin.component)?;
        let version = &plugin.metadata.version;
        let major = version.split('.').next().unwrap_or(version);
        let digest = Sha256::digest(&plugin.component).iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        writeln!(
            table,
            "    BuiltIn {{ name: {name:?}, major: {major}, version: {version:?}, digest: \"sha256:{digest}\", \
             bytes: include_bytes!({path:?}) }},",
            name = plugin.package,
            path = out.join(&file),
        )?;
    }
    table.push(']');
    std::fs::write(out.join("built_in.rs"), table)?;
    Ok(())
}

/// `guests` in the target folder of the workspace, which is the place where cargo keeps what it knows of the compiler.
fn guests_directory(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    Ok(target.ok_or("OUT_DIR is not in a target folder of cargo")?.join("guests"))
}

/// Sources and manifests, but not a target folder that somebody made beside them.
fn rerun_if_changed(plugins: &Path, contract: &Path) -> Result<(), Box<dyn Error>> {
    let mut watched = vec![contract.to_owned(), plugins.join("Cargo.toml"), plugins.join("Cargo.lock")];
    for entry in std::fs::read_dir(plugins)? {
        let plugin = entry?.path();
        if plugin.join("Cargo.toml").exists() {
            watched.extend(["Cargo.toml", "src", "wit"].map(|part| plugin.join(part)));
        }
    }
    for path in watched {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}
