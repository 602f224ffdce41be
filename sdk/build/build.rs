//! Lists the files that `src/embedded.rs` embeds: the contract, the SDK of each language and the templates.

use std::{
    env,
    error::Error,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// The folders of `sdk/` with an SDK in them.
const LANGUAGES: [&str; 5] = ["rust", "javascript", "python", "c", "go"];

/// Folders that tools make, and those that are no part of an SDK.
const LEFT_OUT: [&str; 7] = ["target", "node_modules", "__pycache__", "oxide-sdk", "bindings", "tests", ".git"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?);
    let root = here.join("../..").canonicalize()?;
    let mut text = String::new();
    let contract: Vec<File> =
        files(&root.join("wit"))?.into_iter().filter(|file| !file.name.contains('/') && is_wit(&file.name)).collect();
    println!("cargo::rerun-if-changed={}", root.join("wit").display());
    write_list(&mut text, "CONTRACT", &contract)?;
    for language in LANGUAGES {
        let folder = root.join("sdk").join(language);
        println!("cargo::rerun-if-changed={}", folder.display());
        let all = files(&folder)?;
        let (templates, sdk): (Vec<File>, Vec<File>) =
            all.into_iter().partition(|file| file.name.starts_with("template"));
        let sdk: Vec<File> = sdk.into_iter().filter(|file| !is_about_the_sdk(&file.name)).collect();
        write_list(&mut text, &language.to_uppercase(), &sdk)?;
        for (constant, prefix) in [("TEMPLATE", "template/"), ("TEMPLATE_TYPESCRIPT", "template-typescript/")] {
            let of_it = templates.iter().filter_map(|file| {
                let name = file.name.strip_prefix(prefix).filter(|name| is_of_a_template(name))?.to_owned();
                Some(File { name, path: file.path.clone() })
            });
            let of_it: Vec<File> = of_it.collect();
            if constant == "TEMPLATE" || language == "javascript" {
                write_list(&mut text, &format!("{}_{constant}", language.to_uppercase()), &of_it)?;
            }
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("embedded.rs"), text)?;
    Ok(())
}

/// A file that is embedded.
struct File {
    /// Relative to its folder, with `/`.
    name: String,
    path: PathBuf,
}

fn is_wit(name: &str) -> bool {
    name.ends_with(".wit")
}

/// Read by those who work on the SDK, not by the programs that use it.
fn is_about_the_sdk(name: &str) -> bool {
    matches!(name, "README.md" | ".gitignore" | "package-lock.json" | "Cargo.lock")
}

/// The contract is written into the project by the build, and so are lock files.
fn is_of_a_template(name: &str) -> bool {
    !name.starts_with("wit/deps/") && !matches!(name, "package-lock.json" | "Cargo.lock" | "go.sum")
}

/// All files below a folder, sorted by name; none if the folder is not there.
fn files(folder: &Path) -> io::Result<Vec<File>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        collect(folder, "", &mut found)?;
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{prefix}{name}/"), found)?;
            }
        } else if entry.file_type()?.is_file() && !name.ends_with(".wasm") {
            found.push(File { name: format!("{prefix}{name}"), path: entry.path() });
        }
    }
    Ok(())
}

fn write_list(text: &mut String, constant: &str, files: &[File]) -> Result<(), Box<dyn Error>> {
    writeln!(text, "const {constant}: &[EmbeddedFile] = &[")?;
    for File { name, path } in files {
        writeln!(text, "    EmbeddedFile {{ path: {name:?}, contents: include_bytes!({path:?}) }},")?;
    }
    writeln!(text, "];")?;
    Ok(())
}
