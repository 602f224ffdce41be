//! Reads what stands behind `uses:`. Looks at the text only: the catalog looks at the disk.

use crate::oci::{OciReference, OciReferenceError};

/// What a `uses:` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `oxide/NAME@MAJOR`: part of the program.
    BuiltIn {
        /// The name behind `oxide/`.
        name: String,
        /// The major version; none if it was not written, which is an error later.
        major: Option<u32>,
    },
    /// A path that begins with `./` or `../`, relative to the project.
    File(String),
    /// A plugin in a registry, such as `ghcr.io/acme/lint:1.4`.
    Oci(OciReference),
}

/// Why a text names no plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It is empty.
    #[error("`uses:` is empty: write a plugin such as `oxide/checkout@1` or `./plugins/lint`")]
    Empty,
    /// An absolute path.
    #[error("`{0}` is an absolute path, which holds on one machine only: write it relative to the project, as `./…`")]
    AbsolutePath(String),
    /// The version behind `@` is not a whole number.
    #[error("`{reference}` wants the version `{version}`: write the major version only, such as `{suggestion}`")]
    Version {
        /// As it was written.
        reference: String,
        /// What stands behind `@`.
        version: String,
        /// The same with a number.
        suggestion: String,
    },
    /// It begins with a registry, and the rest names nothing there.
    #[error(transparent)]
    Oci(#[from] OciReferenceError),
    /// Nothing that we know.
    #[error(
        "`{0}` is not the name of a plugin: write `oxide/NAME@MAJOR` for a built-in one, a path such as `./{0}`, or one in \
         a registry such as `ghcr.io/acme/lint:1.4`"
    )]
    Unknown(String),
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// See [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.starts_with("./") || text.starts_with("../") || text == "." {
            return Ok(Reference::File(text.to_owned()));
        }
        if text.starts_with('/') {
            return Err(ReferenceError::AbsolutePath(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("oxide/") {
            return built_in(text, name);
        }
        // A registry's name has a dot or a port, or is this machine.
        let (registry, path) = text.split_once('/').unwrap_or(("", text));
        if (registry.contains(['.', ':']) || registry == "localhost") && !path.is_empty() {
            return Ok(Reference::Oci(OciReference::parse(text)?));
        }
        Err(ReferenceError::Unknown(text.to_owned()))
    }
}

fn built_in(text: &str, name: &str) -> Result<Reference, ReferenceError> {
    let Some((name, version)) = name.split_once('@') else {
        return Ok(Reference::BuiltIn { name: name.to_owned(), major: None });
    };
    match version.parse() {
        Ok(major) => Ok(Reference::BuiltIn { name: name.to_owned(), major: Some(major) }),
        Err(_) => {
            let first: String = version.trim_start_matches('v').chars().take_while(char::is_ascii_digit).collect();
            let major = if first.is_empty() { "1" } else { &first };
            Err(ReferenceError::Version {
                reference: text.to_owned(),
                version: version.to_owned(),
                suggestion: format!("oxide/{name}@{major}"),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_are_told_apart_by_their_text() {
        let built_in = |name: &str, major| Ok(Reference::BuiltIn { name: name.to_owned(), major });
        assert_eq!(Reference::parse("oxide/run@1"), built_in("run", Some(1)));
        assert_eq!(Reference::parse("oxide/run"), built_in("run", None));
        for path in ["./lint", "../lint.wasm", ".", "./a b/c.wasm"] {
            assert_eq!(Reference::parse(path), Ok(Reference::File(path.to_owned())));
        }
        let digest = format!("localhost:5000/x@sha256:{}", "0".repeat(64));
        for oci in ["ghcr.io/acme/lint:1.4", "localhost/x:1", &digest, "127.0.0.1:5000/x:latest"] {
            assert_eq!(Reference::parse(oci), Ok(Reference::Oci(oci.parse().unwrap())));
        }
    }

    #[test]
    fn what_names_no_plugin_is_told_what_to_write() {
        assert_eq!(Reference::parse(" "), Err(ReferenceError::Empty));
        let told = |text: &str| Reference::parse(text).unwrap_err().to_string();
        assert!(told("/opt/lint.wasm").contains("relative to the project"));
        assert!(told("oxide/run@v1.2").contains("such as `oxide/run@1`"), "{}", told("oxide/run@v1.2"));
        assert!(told("oxide/run@latest").contains("such as `oxide/run@1`"));
        assert!(told("lint").contains("a path such as `./lint`"));
        assert!(told("acme/lint@1").contains("is not the name of a plugin"));
        assert!(told("ghcr.io/acme/lint").contains("such as `ghcr.io/acme/lint:1.4`"));
        assert!(told("ghcr.io/../lint:1").contains("`../lint` is not the name of a repository"));
    }
}
