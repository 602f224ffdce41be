//! The project: a directory with a pipeline file.

use std::{
    fs,
    io::Read,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    string::FromUtf8Error,
};

use oxide_core::{
    diagnostic::{Diagnostic, Diagnostics},
    yaml::Span,
};

use crate::{failure::Failure, terminal::Terminal};

/// A pipeline file that was found.
pub struct Project {
    /// The directory that paths in the pipeline are relative to.
    pub directory: PathBuf,
    /// The pipeline file as it is shown.
    pub file: String,
    /// Its text.
    pub source: String,
}

/// The largest pipeline file that is read. The parser has the same bound; this one keeps a wrong file out of memory.
const FILE_BYTES_MAX: u64 = oxide_core::yaml::MAX_SOURCE_BYTES as u64;

impl Project {
    /// Finds the pipeline at `path`: a file, or a directory with `oxide.yaml` or one file in `.oxide/`.
    pub fn open(path: &Path) -> Result<Project, Failure> {
        if path.is_dir() {
            return Project::read(path, &find_file(path)?);
        }
        if fs::symlink_metadata(path).is_err() {
            return Err(Failure::usage(format!("there is no file or directory `{}`", path.display())));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A pipeline in `.oxide/` belongs to the directory above.
        let directory = match (parent.file_name(), parent.parent()) {
            (Some(name), Some(above)) if name == ".oxide" => above,
            _ => parent,
        };
        Project::read(directory, path)
    }

    fn read(directory: &Path, file: &Path) -> Result<Project, Failure> {
        let file = file.strip_prefix("./").unwrap_or(file);
        let unreadable = |error: &dyn std::error::Error| {
            Failure::trouble(format!("could not read the pipeline `{}`", file.display())).because(error)
        };
        let found = fs::metadata(file).map_err(|error| unreadable(&error))?;
        if !found.is_file() {
            let kind = match found.file_type() {
                kind if kind.is_dir() => "a directory",
                kind if kind.is_fifo() => "a pipe",
                kind if kind.is_socket() => "a socket",
                _ => "a device",
            };
            return Err(not_a_file(file, kind));
        }
        // Not every file tells its size before it is read.
        let mut bytes = Vec::new();
        let opened = fs::File::open(file).map_err(|error| unreadable(&error))?;
        opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        let size = found.len().max(bytes.len() as u64);
        if size > FILE_BYTES_MAX {
            let text = format!(
                "error: `{}` has {} bytes; a pipeline file has at most {FILE_BYTES_MAX}\n",
                file.display(),
                size
            );
            return Err(Failure::invalid_pipeline(text));
        }
        let source = String::from_utf8(bytes).map_err(|error| not_utf8(file, &error))?;
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let directory = directory.canonicalize().map_err(|error| unreadable(&error))?;
        let file = file.display().to_string();
        Ok(Project { directory, file, source })
    }
}

/// Opening a pipe would wait for somebody who writes into it, and a device may have no end: only files are read.
fn not_a_file(file: &Path, kind: &str) -> Failure {
    Failure::usage(format!("`{}` is {kind}, and a pipeline is a regular file", file.display()))
        .hint("name a pipeline file, or the directory of a project: `oxide run PATH`")
}

/// Points at the first byte that is no text.
fn not_utf8(file: &Path, error: &FromUtf8Error) -> Failure {
    let (bytes, good) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let before = String::from_utf8_lossy(&bytes[..good]);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let line = number(before.matches('\n').count() + 1);
    let column = number(before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1);
    let encoding = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") { "UTF-16" } else { "LATIN1" };
    let mistake = format!("the byte 0x{:02x} is no UTF-8 text", bytes[good]);
    let diagnostic = Diagnostic::at(Span { line, column, length: 1 }, mistake)
        .hint(format!("save it as UTF-8: `iconv -f {encoding} -t UTF-8 {} > utf8.yaml` converts it", file.display()));
    let shown = String::from_utf8_lossy(bytes);
    let colour = Terminal::stderr().colour;
    Failure::invalid_pipeline(Diagnostics::from(diagnostic).render(&file.display().to_string(), &shown, colour))
}

/// The project that the current directory is in.
pub fn of_current_directory() -> Option<PathBuf> {
    nearest(Path::new("."))
}

/// The nearest directory with a pipeline, from this one upwards.
fn nearest(directory: &Path) -> Option<PathBuf> {
    let here = directory.canonicalize().ok()?;
    here.ancestors().find(|directory| pipelines(directory).iter().any(|file| file.is_file())).map(Path::to_path_buf)
}

/// The nearest directory above with a pipeline, as it can be written from here.
fn above(directory: &Path) -> Option<PathBuf> {
    let here = directory.canonicalize().ok()?;
    let levels = here.strip_prefix(nearest(directory)?).ok()?.components().count();
    let up: PathBuf = std::iter::repeat_n("..", levels).collect();
    Some(if directory == Path::new(".") { up } else { directory.join(up) })
}

/// The pipelines of a directory: `oxide.yaml`, else all in `.oxide/`.
fn pipelines(directory: &Path) -> Vec<PathBuf> {
    let single = directory.join("oxide.yaml");
    if fs::symlink_metadata(&single).is_ok() {
        return vec![single];
    }
    let mut several: Vec<PathBuf> = fs::read_dir(directory.join(".oxide"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    several.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    several.sort();
    several
}

fn find_file(directory: &Path) -> Result<PathBuf, Failure> {
    match pipelines(directory).as_slice() {
        [] if directory.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") => {
            Err(not_a_file(directory, "a directory"))
        }
        [] => {
            let failure = Failure::usage(format!("there is no `oxide.yaml` in `{}`", directory.display()));
            Err(match above(directory) {
                Some(above) => failure.hint(format!("there is one above: `oxide run {}`", above.display())),
                None => failure.hint("`oxide init` writes one"),
            })
        }
        [one] => Ok(one.clone()),
        many => {
            let names: Vec<String> = many.iter().map(|path| format!("`{}`", path.display())).collect();
            Err(Failure::usage(format!("there are several pipelines: {}", names.join(", ")))
                .hint(format!("name one: `oxide run {}`", many[0].display())))
        }
    }
}

/// Makes the data directory for its owner only, because logs may hold private matter. One that is there already is tightened
/// only if it is the usual one: a directory that somebody chose may hold other things (its files that are ours are closed).
fn make_private(directory: &Path, is_usual: bool) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let found = fs::metadata(directory)?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if is_usual && is_ours && found.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Where runs, logs and compiled plugins are kept: `--data-dir`, else `OXIDE_DATA_DIR`, else the user's data directory.
pub fn data_directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let chosen = given.map(Path::to_path_buf).or_else(|| variable("OXIDE_DATA_DIR"));
    let usual = || {
        let below = |name: &str, path: &str| variable(name).map(|home| home.join(path));
        below("XDG_DATA_HOME", "oxide").or_else(|| below("HOME", ".local/share/oxide"))
    };
    let is_usual = chosen.is_none();
    let directory = chosen
        .or_else(usual)
        .ok_or_else(|| Failure::usage("HOME is not set").hint("say where data is kept: `--data-dir DIR`"))?;
    make_private(&directory, is_usual).map_err(|error| {
        Failure::trouble(format!("could not make the data directory `{}`", directory.display()))
            .because(&error)
            .hint("choose another with `--data-dir DIR`")
    })?;
    directory.canonicalize().map_err(|error| {
        Failure::trouble(format!("could not find the data directory `{}`", directory.display())).because(&error)
    })
}
