//! The files of a workspace: copied from the case, and looked at afterwards.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

/// Paths relative to the top, and what the files hold. A symbolic link holds the path that it leads to.
pub type Files = BTreeMap<String, Vec<u8>>;

/// No case has so many files.
const FILES_MAX: usize = 10_000;
/// The bytes of all files that are looked at.
const BYTES_MAX: u64 = 512 << 20;

/// All files below a directory; what is in `.git` is left out.
///
/// # Errors
/// A sentence that names what could not be read.
pub fn read_files(top: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    let mut bytes = 0;
    read_below(top, top, &mut files, &mut bytes)?;
    Ok(files)
}

fn read_below(top: &Path, folder: &Path, files: &mut Files, bytes: &mut u64) -> Result<(), String> {
    let refuse = |path: &Path, error: std::io::Error| format!("could not read `{}`: {error}", path.display());
    for entry in fs::read_dir(folder).map_err(|error| refuse(folder, error))? {
        let entry = entry.map_err(|error| refuse(folder, error))?;
        let path = entry.path();
        let found = fs::symlink_metadata(&path).map_err(|error| refuse(&path, error))?;
        if found.is_dir() {
            if entry.file_name() != ".git" {
                read_below(top, &path, files, bytes)?;
            }
            continue;
        }
        *bytes += found.len();
        if files.len() >= FILES_MAX || *bytes > BYTES_MAX {
            return Err(format!("`{}` has more files than a case may have", top.display()));
        }
        let contents = match found.file_type() {
            kind if kind.is_symlink() => {
                let target = fs::read_link(&path).map_err(|error| refuse(&path, error))?;
                target.to_string_lossy().into_owned().into_bytes()
            }
            kind if kind.is_file() => fs::read(&path).map_err(|error| refuse(&path, error))?,
            _ => continue,
        };
        let relative = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
        files.insert(relative, contents);
    }
    Ok(())
}

/// Copies a folder with everything in it. Links stay links, and may not lead out of it.
///
/// # Errors
/// A sentence that names what could not be copied.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    copy_below(from, to, 0)
}

/// Does a link that lies so many folders deep stay inside? `..` is only taken at the beginning: after a name that is a link
/// itself it could be anywhere.
fn stays_inside(link: &Path, depth: usize) -> bool {
    let ups = link.components().take_while(|part| matches!(part, Component::ParentDir | Component::CurDir));
    let ups = ups.filter(|part| *part == Component::ParentDir).count();
    let mut rest = link.components().skip_while(|part| matches!(part, Component::ParentDir | Component::CurDir));
    ups <= depth && rest.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn copy_below(from: &Path, to: &Path, depth: usize) -> Result<(), String> {
    let refuse = |path: &Path, error: std::io::Error| format!("could not copy `{}`: {error}", path.display());
    fs::create_dir_all(to).map_err(|error| refuse(to, error))?;
    let mut entries: Vec<_> =
        fs::read_dir(from).and_then(Iterator::collect).map_err(|error: std::io::Error| refuse(from, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| refuse(&path, error))?;
        if kind.is_dir() {
            copy_below(&path, &target, depth + 1)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&path).map_err(|error| refuse(&path, error))?;
            if !stays_inside(&link, depth) {
                return Err(format!(
                    "`{}` is a link to `{}`: only links that stay inside of the folder are copied",
                    path.display(),
                    link.display()
                ));
            }
            std::os::unix::fs::symlink(link, &target).map_err(|error| refuse(&path, error))?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(|error| refuse(&path, error))?;
        } else {
            return Err(format!("`{}` is neither a file, a directory nor a link", path.display()));
        }
    }
    Ok(())
}

/// A directory that is removed with everything in it when it is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one, for this user alone.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> std::io::Result<Scratch> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("oxide-case-{}", uuid::Uuid::now_v7()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path.canonicalize()?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in the directory for temporary files, which the system clears.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_not_copied() {
        for (link, depth, expected) in [
            ("a", 0, true),
            ("./a/b", 0, true),
            ("../a", 1, true),
            ("../a", 0, false),
            ("../../a", 1, false),
            ("a/../../b", 1, false),
            ("/etc/passwd", 3, false),
        ] {
            assert_eq!(stays_inside(Path::new(link), depth), expected, "{link} at {depth}");
        }
        let top = tempfile::tempdir().unwrap();
        let from = top.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        std::os::unix::fs::symlink("../a", from.join("sub/good")).unwrap();
        copy_folder(&from, &top.path().join("one")).unwrap();
        std::os::unix::fs::symlink("../../a", from.join("sub/bad")).unwrap();
        assert!(copy_folder(&from, &top.path().join("two")).unwrap_err().contains("sub/bad"));
    }
}
