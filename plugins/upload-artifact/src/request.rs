//! Checks the inputs, and says what came of them. Asks nobody: `guest` does.

/// What to do if no file matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfMissing {
    /// The step fails.
    #[default]
    Fail,
    /// The step warns.
    Warn,
    /// The step says so.
    Ignore,
}

/// Refuses inputs that no host can do anything with. The form of the name is the host's to judge.
///
/// # Errors
/// A sentence that says what to write.
pub fn check(name: &str, paths: &[String]) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("`name` is empty: write what the files are, such as `name: app`".to_owned());
    }
    if paths.is_empty() {
        return Err("`paths` is empty: write `paths: [dist]`".to_owned());
    }
    Ok(())
}

/// How many files: `1 file`.
pub fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
