//! What a file, an output or a body holds in a case: a text as it stands, or a file of the case's folder.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use oxide_core::{
    diagnostic::Diagnostic,
    pipeline::reader::Reader,
    yaml::{Content as Yaml, Node, Span},
};

/// The largest file of a case that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Bytes, and where they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The file that holds them, relative to the folder of the case; none if they are in `case.yaml`.
    pub file: Option<String>,
    /// Where.
    pub span: Span,
}

impl Content {
    /// Reads a text, or `{ file: PATH }`.
    pub fn read(node: &Node, what: &str, folder: &Path, reader: &mut Reader) -> Option<Content> {
        let Yaml::Map(_) = &node.content else {
            let bytes = reader.text(node, what)?.into_bytes();
            return Some(Content { bytes, file: None, span: node.span });
        };
        let fields = reader.fields(node, what, &["file"])?;
        let Some(file) = fields.get("file") else {
            let error = Diagnostic::at(node.span, format!("{what} is a text, or the name of a file of the case"));
            reader.error(error.hint("write the text, or `{ file: expected.txt }`"));
            return None;
        };
        let path = path(file, "the file", reader)?;
        let full = folder.join(&path);
        match read_file(folder, &path) {
            Ok(bytes) => Some(Content { bytes, file: Some(path), span: node.span }),
            Err(error) => {
                let error = Diagnostic::at(file.span, format!("could not read `{}`: {error}", full.display()));
                reader.error(error.hint("the path is relative to the folder of the case"));
                None
            }
        }
    }
}

/// Reads a file of a case's folder. A link may only lead to another one.
fn read_file(folder: &Path, path: &str) -> std::io::Result<Vec<u8>> {
    let full = folder.join(path).canonicalize()?;
    if !full.starts_with(folder.canonicalize()?) {
        return Err(std::io::Error::other("it is a link that leads out of the folder of the case"));
    }
    let found = fs::metadata(&full)?;
    match found.is_file() && found.len() <= FILE_BYTES_MAX {
        true => fs::read(&full),
        false => Err(std::io::Error::other("it is no file, or larger than 64 MiB")),
    }
}

/// A path that stays below the place that it is relative to.
pub fn path(node: &Node, what: &str, reader: &mut Reader) -> Option<String> {
    let text = reader.text(node, what)?;
    if is_of_git(&text) {
        let error = Diagnostic::at(node.span, format!("`{text}` lies in `.git`, which belongs to git"));
        reader.error(error.hint("git runs commands that are written there; `.gitignore` and the like can be written"));
        return None;
    }
    match inside(&text) {
        true => Some(text),
        false => {
            let error = Diagnostic::at(node.span, format!("`{text}` leads out of the place that it belongs to"));
            reader.error(error.hint("write a relative path without `..`, such as `src/main.rs`"));
            None
        }
    }
}

fn inside(text: &str) -> bool {
    !text.is_empty()
        && !text.contains('\0')
        && Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && PathBuf::from(text).file_name().is_some()
}

/// Is a part of the path `.git`, or what some file system takes for it?
fn is_of_git(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| {
        // Some file systems leave out marks that cannot be seen, what follows `:`, and dots and spaces at the end.
        let part: String = part.chars().filter(char::is_ascii).collect::<String>().to_ascii_lowercase();
        let part = part.split(':').next().unwrap_or("").trim().trim_end_matches(['.', ' ']);
        part == ".git" || part.starts_with("git~")
    })
}

/// `{ PATH: content }`.
pub fn files(node: &Node, what: &str, folder: &Path, reader: &mut Reader) -> Vec<(String, Content)> {
    let entries = reader.entries(node, what).unwrap_or_default();
    let mut files = Vec::new();
    for (key, value) in entries {
        let path = path(key, "a path", reader);
        let content = Content::read(value, "the content of a file", folder, reader);
        files.extend(path.zip(content));
    }
    files
}

/// Puts files below a directory. A link that is in the way is not followed.
///
/// # Errors
/// A sentence that names the file.
pub fn write_files(files: &[(String, Content)], below: &Path) -> Result<(), String> {
    files.iter().try_for_each(|(path, content)| {
        let target = below.join(path);
        let refuse = |error: std::io::Error| format!("could not write `{path}`: {error}");
        let parent = target.parent().unwrap_or(below);
        fs::create_dir_all(parent).map_err(refuse)?;
        let real = parent.canonicalize().map_err(refuse)?;
        if !real.starts_with(below.canonicalize().map_err(refuse)?) {
            return Err(format!("could not write `{path}`: a link leads out of the workspace"));
        }
        if fs::symlink_metadata(&target).is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(&target).map_err(refuse)?;
        }
        fs::write(&target, &content.bytes).map_err(refuse)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        for good in ["a", "a/b.txt", "./a", ".github/x"] {
            assert!(inside(good), "{good}");
        }
        for bad in ["", "/", "/etc/passwd", "..", "a/../b", "../a", ".", "a\0"] {
            assert!(!inside(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_belongs_to_git_is_told_from_what_is_named_alike() {
        for bad in
            [".git", ".git/config", "./.GIT/hooks/x", "a/.git", ".git ", ".git.", "git~1/x", ".git::$x", "a\\.git"]
        {
            assert!(is_of_git(bad), "{bad:?}");
        }
        for bad in [".g\u{200c}it/config", ".git. ./x"] {
            assert!(is_of_git(bad), "{bad:?}");
        }
        for good in [".github/x", ".gitignore", ".gitattributes", ".gitlab-ci.yml", "a.git", "git", "a/.gitkeep"] {
            assert!(!is_of_git(good), "{good:?}");
        }
    }

    #[test]
    fn a_file_of_the_case_is_not_read_through_a_link_that_leads_out() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("case");
        fs::create_dir(&folder).unwrap();
        fs::write(top.path().join("outside"), "outside").unwrap();
        fs::write(folder.join("inside"), "inside").unwrap();
        std::os::unix::fs::symlink("../outside", folder.join("out")).unwrap();
        std::os::unix::fs::symlink("inside", folder.join("in")).unwrap();
        assert_eq!(read_file(&folder, "in").unwrap(), b"inside");
        assert!(read_file(&folder, "out").unwrap_err().to_string().contains("leads out"));
    }

    #[test]
    fn a_link_does_not_lead_out() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, outer) = (folder.path().join("in"), folder.path().join("out"));
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir_all(&outer).unwrap();
        std::os::unix::fs::symlink(&outer, inner.join("link")).unwrap();
        fs::write(outer.join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink(outer.join("kept"), inner.join("file")).unwrap();
        let content = Content { bytes: b"new".to_vec(), ..Content::default() };
        let write = |path: &str| write_files(&[(path.to_owned(), content.clone())], &inner);
        assert!(write("link/x").unwrap_err().contains("leads out"));
        write("file").unwrap();
        assert_eq!(fs::read_to_string(outer.join("kept")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), "new");
    }
}
