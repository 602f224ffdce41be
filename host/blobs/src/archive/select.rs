//! Which files the paths and patterns of a step mean.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use cap_std::fs::{Dir, FileType};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::path;
use crate::BlobError;

/// So many entries are looked at before the paths are called too wide.
const VISITED_MAX: usize = 5_000_000;

/// What is packed of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A link with its target.
    Link(PathBuf),
}

/// The files, links and directories that the paths mean, in the order in which they are packed: by path, so that a
/// directory stands before what is in it. A path means what is there, with everything below it; a pattern (`*`, `**`, `?`,
/// `[ ]`, `{ }`) what matches it, likewise; `!` before either leaves out what it means.
pub(super) fn select(
    dir: &Dir,
    paths: &[String],
    wanted: &dyn Fn() -> bool,
) -> Result<BTreeMap<PathBuf, Kind>, BlobError> {
    let mut found = Found { dir, selected: BTreeMap::new(), visited: 0, left_out: GlobSet::empty(), wanted };
    let mut left_out = GlobSetBuilder::new();
    let mut chosen = Vec::new();
    for text in paths {
        match text.strip_prefix('!') {
            Some(pattern) => {
                left_out.add(glob(pattern)?);
            }
            None => chosen.push(text),
        }
    }
    found.left_out = left_out.build().map_err(|error| BlobError::Invalid(error.to_string()))?;
    if chosen.is_empty() {
        return Err(BlobError::Invalid("no paths are given".to_owned()));
    }
    for text in &chosen {
        let clean = checked(text)?;
        match is_pattern(text) {
            true => found.pattern(text, &clean)?,
            false => found.path(&clean)?,
        }
    }
    match found.selected.is_empty() {
        false => Ok(found.selected),
        true => {
            let names: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
            let verb = if names.len() == 1 { "matches" } else { "match" };
            Err(BlobError::NotFound(format!("{} {verb} no file in the workspace", names.join(", "))))
        }
    }
}

fn checked(text: &str) -> Result<PathBuf, BlobError> {
    if text.is_empty() || text.contains('\0') {
        return Err(BlobError::Invalid(format!("`{}` is not a usable path", text.escape_debug())));
    }
    path::below(Path::new(text))
        .map_err(|problem| BlobError::Denied(format!("`{text}` leads out of the workspace: {problem}")))
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}

fn glob(pattern: &str) -> Result<globset::Glob, BlobError> {
    let clean = checked(pattern)?;
    GlobBuilder::new(&clean.to_string_lossy())
        .literal_separator(true)
        .build()
        .map_err(|error| BlobError::Invalid(format!("`{pattern}` is not a pattern: {}", error.kind())))
}

struct Found<'a> {
    dir: &'a Dir,
    selected: BTreeMap<PathBuf, Kind>,
    visited: usize,
    left_out: GlobSet,
    wanted: &'a dyn Fn() -> bool,
}

impl Found<'_> {
    /// A path without special characters, with everything below it.
    fn path(&mut self, path: &Path) -> Result<(), BlobError> {
        if path.as_os_str().is_empty() {
            return self.everything_below(path);
        }
        // Links on the way would be written as directories when the files are put back.
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            if self.dir.symlink_metadata(above).is_ok_and(|metadata| metadata.is_symlink()) {
                let (path, above) = (path.display(), above.display());
                return Err(BlobError::Invalid(format!(
                    "`{path}` goes through the link `{above}`: name the directory that it leads to"
                )));
            }
        }
        match self.dir.symlink_metadata(path) {
            Ok(metadata) => self.take(path.to_owned(), metadata.file_type()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(cause) => Err(unreadable(path, cause)),
        }
    }

    fn pattern(&mut self, text: &str, clean: &Path) -> Result<(), BlobError> {
        let matcher = glob(text)?.compile_matcher();
        // Nothing can match outside of the directories before the first special character.
        let parts: Vec<_> = clean.components().collect();
        let plain =
            parts.iter().take(parts.len() - 1).take_while(|part| !is_pattern(&part.as_os_str().to_string_lossy()));
        let start: PathBuf = plain.collect();
        let mut directories = vec![start];
        while let Some(directory) = directories.pop() {
            for (path, kind) in self.entries(&directory)? {
                if matcher.is_match(&path) {
                    self.take(path, kind)?;
                } else if kind.is_dir() {
                    directories.push(path);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, path: PathBuf, kind: FileType) -> Result<(), BlobError> {
        if self.left_out.is_match(&path) {
            return Ok(());
        }
        if kind.is_dir() {
            self.selected.insert(path.clone(), Kind::Directory);
            self.everything_below(&path)
        } else if kind.is_symlink() {
            // `cap-std` refuses to read links that are absolute, which is not our reason.
            let target = self.dir.read_link_contents(&path).map_err(|cause| unreadable(&path, cause))?;
            path::check_link(&path, &target).map_err(|problem| {
                let (path, target) = (path.display(), target.display());
                BlobError::Denied(format!("the link `{path}` -> `{target}` leads out of the workspace: {problem}"))
            })?;
            self.selected.insert(path, Kind::Link(target));
            Ok(())
        } else if kind.is_file() {
            self.selected.insert(path, Kind::File);
            Ok(())
        } else {
            let what = if is_socket(kind) { "a socket" } else { "neither a file nor a directory nor a link" };
            let path = path.display();
            Err(BlobError::Invalid(format!("`{path}` is {what}: leave it out with `!{path}`")))
        }
    }

    fn everything_below(&mut self, path: &Path) -> Result<(), BlobError> {
        // A list and not recursion: directories can be nested deeper than a stack.
        let mut directories = vec![path.to_owned()];
        while let Some(directory) = directories.pop() {
            for (path, kind) in self.entries(&directory)? {
                if !kind.is_dir() {
                    self.take(path, kind)?;
                } else if !self.left_out.is_match(&path) {
                    self.selected.insert(path.clone(), Kind::Directory);
                    directories.push(path);
                }
            }
        }
        Ok(())
    }

    /// What is in a directory; nothing, if it is not there.
    fn entries(&mut self, directory: &Path) -> Result<Vec<(PathBuf, FileType)>, BlobError> {
        let opened = match directory.as_os_str().is_empty() {
            true => self.dir.entries(),
            false => self.dir.read_dir(directory),
        };
        let entries = match opened {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(cause) => return Err(unreadable(directory, cause)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| unreadable(directory, cause))?;
            self.visited += 1;
            if self.visited > VISITED_MAX {
                return Err(BlobError::Limit(format!("the paths hold more than {VISITED_MAX} files")));
            }
            if !(self.wanted)() {
                return Err(BlobError::Stopped);
            }
            let kind = entry.file_type().map_err(|cause| unreadable(directory, cause))?;
            found.push((directory.join(entry.file_name()), kind));
        }
        Ok(found)
    }
}

fn is_socket(kind: FileType) -> bool {
    cap_std::fs::FileTypeExt::is_socket(&kind)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn unreadable(path: &Path, cause: io::Error) -> BlobError {
    BlobError::File { operation: "read", path: path.display().to_string(), cause }
}
