//! `hash_files(pattern, …)` in expressions: one digest over the files of the workspace that match.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use oxide_core::quantity::hexadecimal;
use sha2::{Digest, Sha256};

/// SHA-256, as 64 hexadecimal digits, over paths and contents of the matching files in the order of their paths; the
/// empty text if none matches. Symbolic links are not followed.
///
/// # Errors
/// A sentence, if a pattern cannot be read or a file cannot.
pub(crate) fn hash_files(workspace: &Path, patterns: &[String]) -> Result<String, String> {
    let globs = compile(patterns)?;
    let mut files = Vec::new();
    collect(workspace, "", &globs, &mut files).map_err(|error| format!("could not list the workspace: {error}"))?;
    if files.is_empty() {
        return Ok(String::new());
    }
    files.sort_unstable();
    let mut digest = Sha256::new();
    for path in &files {
        let contents = hash_file(&workspace.join(path)).map_err(|error| format!("could not read `{path}`: {error}"))?;
        // The length keeps `ab` + `c` apart from `a` + `bc`.
        digest.update((path.len() as u64).to_le_bytes());
        digest.update(path.as_bytes());
        digest.update(contents);
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn compile(patterns: &[String]) -> Result<GlobSet, String> {
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        let relative = pattern.strip_prefix("./").unwrap_or(pattern);
        let glob = GlobBuilder::new(relative).literal_separator(true).build();
        globs.add(glob.map_err(|error| format!("`{pattern}` is not a pattern of files: {}", error.kind()))?);
    }
    globs.build().map_err(|error| error.to_string())
}

fn collect(directory: &Path, prefix: &str, globs: &GlobSet, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() && path != ".git" {
            collect(&entry.path(), &format!("{path}/"), globs, files)?;
        } else if kind.is_file() && globs.is_match(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(workspace: &Path, pattern: &str) -> String {
        hash_files(workspace, &[pattern.to_owned()]).unwrap()
    }

    #[test]
    fn the_digest_follows_names_and_contents_of_matching_files_only() {
        let workspace = tempfile::tempdir().unwrap();
        let root = workspace.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("Cargo.lock"), "1").unwrap();
        fs::write(root.join("a/b/Cargo.lock"), "2").unwrap();
        let first = hash(root, "**/Cargo.lock");
        assert_eq!(first.len(), 64);
        assert_ne!(first, hash(root, "Cargo.lock"));
        fs::write(root.join("other"), "x").unwrap();
        assert_eq!(first, hash(root, "**/Cargo.lock"));
        fs::write(root.join("a/b/Cargo.lock"), "3").unwrap();
        assert_ne!(first, hash(root, "**/Cargo.lock"));
        assert_eq!(hash(root, "nothing"), "");
    }

    #[test]
    fn a_link_out_of_the_workspace_is_not_followed() {
        let workspace = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", workspace.path().join("etc")).unwrap();
        assert_eq!(hash(workspace.path(), "**/passwd"), "");
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = hash_files(Path::new("."), &["[".to_owned()]).unwrap_err();
        assert!(error.contains("`[`"), "{error}");
    }
}
