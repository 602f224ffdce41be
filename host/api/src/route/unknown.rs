//! Paths that no route has, and methods that a path does not have.

use axum::http::{HeaderValue, Method, header};

use super::About;
use crate::error::{ApiError, ErrorKind};

/// How many near paths are told.
const NEAR_MAX: usize = 3;

/// There is no such path.
pub fn path(path: &str, table: &[About]) -> ApiError {
    let error = ApiError::new(ErrorKind::NotFound, format!("there is no route `{}`", shown(path)));
    let near = near_paths(path, table);
    let error = near.into_iter().fold(error, |error, near| error.suggest(format!("did you mean `{near}`?")));
    error.suggest("all routes are at /docs and in /api/v1/openapi.json")
}

/// The path is there, but not with this method.
pub fn method(method: &Method, path: &'static str, allowed: &str) -> ApiError {
    ApiError::new(ErrorKind::MethodNotAllowed, format!("`{path}` has no method {method}"))
        .with_header(header::ALLOW, allowed)
        .suggest(format!("use one of {allowed}"))
}

/// The methods of a path, for `Allow`. What can be read can be asked for with HEAD.
pub fn allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    let mut names: Vec<&str> = methods.map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.dedup();
    let text = names.join(", ");
    debug_assert!(HeaderValue::from_str(&text).is_ok());
    text
}

fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}

/// The paths of the table that look most like this one.
fn near_paths(path: &str, table: &[About]) -> Vec<&'static str> {
    let asked: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take(20).collect();
    let mut found: Vec<(f64, &'static str)> = table
        .iter()
        .map(|about| (likeness(&asked, about.path), about.path))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    found.dedup_by_key(|(_, path)| *path);
    found.into_iter().take(NEAR_MAX).map(|(_, path)| path).collect()
}

/// How alike a path and the path of a route are, 0 to 1. The prefix of the API may be missing, and a parameter is like
/// everything.
fn likeness(asked: &[&str], route: &'static str) -> f64 {
    let parts: Vec<&str> = route.split('/').filter(|part| !part.is_empty()).collect();
    let without_prefix = parts.strip_prefix(&["api", "v1"]).unwrap_or(&parts);
    let asked = asked.strip_prefix(&["api", "v1"]).or_else(|| asked.strip_prefix(&["api"])).unwrap_or(asked);
    if asked.len() != without_prefix.len() || asked.is_empty() {
        return 0.0;
    }
    let alike = |(asked, part): (&&str, &&str)| if part.starts_with('{') { 0.8 } else { similarity(asked, part) };
    let all: Vec<f64> = asked.iter().zip(without_prefix).map(alike).collect();
    #[allow(clippy::cast_precision_loss, reason = "a path has few parts")]
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    if all.iter().any(|alike| *alike < 0.4) { 0.0 } else { mean }
}

/// One minus the share of letters that have to be changed.
fn similarity(a: &str, b: &str) -> f64 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().take(40).collect());
    let longest = a.len().max(b.len());
    if longest == 0 {
        return 1.0;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "forty letters at most")]
    let share = row[b.len()] as f64 / longest as f64;
    1.0 - share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(path: &str) -> Vec<&'static str> {
        let about: Vec<About> = super::super::table::all().into_iter().map(|route| route.about).collect();
        near_paths(path, &about)
    }

    #[test]
    fn near_names_are_told() {
        assert_eq!(near("/api/v1/helth").first(), Some(&"/api/v1/health"));
        assert_eq!(near("/health").first(), Some(&"/api/v1/health"));
        assert!(near("/wp-login.php").is_empty());
        assert!(near("/").is_empty() && near("").is_empty());
    }

    #[test]
    fn head_goes_with_get() {
        assert_eq!(allowed([Method::GET, Method::POST].iter()), "GET, HEAD, POST");
    }
}
