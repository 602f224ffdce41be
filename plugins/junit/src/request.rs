//! Decides what the inputs ask for. Asks nobody: `guest` looks for the files.

/// Which files to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Files that match one of these are read.
    pub wanted: Vec<String>,
    /// Files that match one of these are not.
    pub unwanted: Vec<String>,
}

/// Tells patterns from those that take files away again.
///
/// # Errors
/// A sentence that says what is wrong with `files` and what to write.
pub fn decide(files: &[String]) -> Result<Request, String> {
    let mut request = Request::default();
    for pattern in files {
        let (list, text) = match pattern.strip_prefix('!') {
            Some(rest) => (&mut request.unwanted, rest),
            None => (&mut request.wanted, pattern.as_str()),
        };
        if text.trim().is_empty() {
            return Err("`files` holds an empty pattern: write one such as \"target/**/TEST-*.xml\"".to_owned());
        }
        list.push(text.to_owned());
    }
    if request.wanted.is_empty() {
        return Err("`files` names no reports: write `files: [\"target/**/TEST-*.xml\"]`".to_owned());
    }
    Ok(request)
}

/// Does the pattern name one path?
pub fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{'])
}

/// What to say where no file matches. `directory` is a pattern that names a directory.
pub fn nothing_found(request: &Request, directory: Option<&str>) -> String {
    let patterns: Vec<String> = request.wanted.iter().map(|pattern| format!("`{pattern}`")).collect();
    let patterns = patterns.join(", ");
    match directory {
        Some(directory) => {
            let directory = directory.trim_end_matches('/');
            format!("no report was found: `{directory}` is a directory, so write `files: [\"{directory}/**/*.xml\"]`")
        }
        None => format!(
            "no file of the workspace matches {patterns}: did the step that writes the reports run, and in this job? \
             `require_files: false` lets the step pass"
        ),
    }
}
