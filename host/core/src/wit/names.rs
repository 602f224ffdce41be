//! Names of fields, cases and flags: kebab-case in WIT, snake_case in YAML and JSON.

/// The name as YAML and JSON write it.
pub fn snake_case(wit_name: &str) -> String {
    wit_name.replace('-', "_")
}

/// Does a name from YAML or JSON, in snake_case or kebab-case, mean this name of WIT?
pub(super) fn means(written: &str, wit_name: &str) -> bool {
    written.len() == wit_name.len()
        && written.bytes().zip(wit_name.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
}
