//! A project to begin with, made of a template.
//!
//! A template is a real plugin, `acme:my-plugin`, which builds as it is. The names in its texts and paths are replaced.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    embedded,
    files::{FileError, write_if_changed},
    language::TemplateKind,
};

/// The namespaces of the contract and of WASI.
const NAMESPACES_RESERVED: [&str; 2] = ["oxide", "wasi"];
/// The longest name of a plugin.
const NAME_CHARACTERS_MAX: usize = 64;

/// The name of a WIT package, such as `acme:greet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginName {
    /// Who makes it: `acme`.
    pub namespace: String,
    /// What it is: `greet`.
    pub name: String,
}

/// Why no project was made.
#[derive(Debug, thiserror::Error)]
pub enum NewProjectError {
    /// The name cannot be that of a WIT package.
    #[error(
        "`{0}` cannot be the name of a plugin: write two words such as `acme:greet`, of a-z, 0-9 and `-`, each beginning with a letter"
    )]
    Name(String),
    /// WIT reads the word in another way.
    #[error("`{word}` means something in WIT and cannot be a name: choose another one with `--name acme:…`")]
    Keyword {
        /// The word.
        word: String,
    },
    /// The namespace belongs to others.
    #[error("the namespace `{namespace}` is reserved: choose another one, such as `acme:{name}`")]
    Reserved {
        /// The namespace.
        namespace: String,
        /// The name after it.
        name: String,
    },
    /// The folder holds something.
    #[error("{} is not empty: name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// This program has no template of the language.
    #[error("there is no template of this language")]
    NoTemplate,
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl PluginName {
    /// Reads `namespace:name`.
    ///
    /// # Errors
    /// [`NewProjectError::Name`], [`NewProjectError::Keyword`] and [`NewProjectError::Reserved`].
    pub fn parse(text: &str) -> Result<PluginName, NewProjectError> {
        let unusable = || NewProjectError::Name(text.to_owned());
        let (namespace, name) = text.split_once(':').ok_or_else(unusable)?;
        if ![namespace, name].into_iter().all(is_word) || text.len() > NAME_CHARACTERS_MAX {
            return Err(unusable());
        }
        for word in [namespace, name] {
            // The parser knows its words best.
            let world = format!("package {word}:{word}; world {word} {{}}");
            if wit_parser::UnresolvedPackageGroup::parse(Path::new("name.wit"), &world).is_err() {
                return Err(NewProjectError::Keyword { word: word.to_owned() });
            }
        }
        if NAMESPACES_RESERVED.contains(&namespace) {
            return Err(NewProjectError::Reserved { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        Ok(PluginName { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The name for a folder: what can be kept of its name, in the namespace `acme`.
    pub fn of_directory(directory: &str) -> PluginName {
        let lower = directory.to_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.skip_while(|word| word.starts_with(|c: char| c.is_ascii_digit())).collect();
        let is_kept = |word: &&str| !word.starts_with(|c: char| c.is_ascii_digit());
        let name = words.into_iter().filter(is_kept).collect::<Vec<_>>().join("-");
        let fallback = PluginName { namespace: "acme".to_owned(), name: "my-plugin".to_owned() };
        PluginName::parse(&format!("acme:{name}")).unwrap_or(fallback)
    }

    /// A text of a template with these names.
    fn put_into(&self, text: &str) -> String {
        let camel: String = self.name.split('-').map(capitalised).collect();
        text.replace("my-plugin", &self.name)
            .replace("my_plugin", &self.name.replace('-', "_"))
            .replace("MyPlugin", &camel)
            .replace("acme", &self.namespace)
    }
}

impl std::fmt::Display for PluginName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

/// Words of letters and digits with `-` between them, each beginning with a letter.
fn is_word(word: &str) -> bool {
    word.split('-').all(|part| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// Makes a project in a folder that is not there or empty (but for `.git`). Answers with the files, relative to it.
///
/// # Errors
/// See [`NewProjectError`].
pub fn create(directory: &Path, kind: TemplateKind, name: &PluginName) -> Result<Vec<String>, NewProjectError> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            let mut others = entries.flatten().filter(|entry| entry.file_name() != ".git");
            if others.next().is_some() {
                return Err(NewProjectError::NotEmpty(directory.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(FileError::of("read", directory)(cause).into()),
    }
    let template = embedded::template(kind);
    if template.is_empty() {
        return Err(NewProjectError::NoTemplate);
    }
    let mut written = Vec::new();
    for file in template {
        let path = name.put_into(file.path);
        match std::str::from_utf8(file.contents) {
            Ok(text) => write_if_changed(&directory.join(&path), name.put_into(text).as_bytes())?,
            Err(_) => write_if_changed(&directory.join(&path), file.contents)?,
        }
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_wit_packages() {
        for good in ["acme:greet", "a:b", "my-team:send-mail2", "acme:my-plugin"] {
            assert_eq!(PluginName::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "greet",
            "acme:",
            ":greet",
            "Acme:greet",
            "acme:gr eet",
            "acme:-greet",
            "acme:greet-",
            "acme:2fa",
            "acme:a--b",
            "acme:a-2",
            "acme:greet:more",
            "acme:../x",
            &format!("acme:{}", "x".repeat(80)),
        ] {
            assert!(matches!(PluginName::parse(bad), Err(NewProjectError::Name(_))), "{bad}");
        }
        for word in ["acme:world", "acme:list", "string:greet", "acme:result"] {
            assert!(matches!(PluginName::parse(word), Err(NewProjectError::Keyword { .. })), "{word}");
        }
        for reserved in ["oxide:ci", "oxide:greet", "wasi:http"] {
            let error = PluginName::parse(reserved).unwrap_err();
            assert!(matches!(error, NewProjectError::Reserved { .. }), "{reserved}: {error}");
        }
    }

    #[test]
    fn a_folder_gives_what_it_can_to_the_name() {
        for (folder, expected) in [
            ("greet", "acme:greet"),
            ("Send Mail_2go", "acme:send-mail"),
            ("2fa", "acme:my-plugin"),
            ("world", "acme:my-plugin"),
            ("…", "acme:my-plugin"),
        ] {
            assert_eq!(PluginName::of_directory(folder).to_string(), expected, "{folder}");
        }
    }

    #[test]
    fn all_forms_of_the_names_are_replaced() {
        let name = PluginName::parse("team:send-mail").unwrap();
        let text = name.put_into("package acme:my-plugin; struct MyPlugin; use my_plugin;");
        assert_eq!(text, "package team:send-mail; struct SendMail; use send_mail;");
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        let name = PluginName::parse("acme:greet").unwrap();
        let error = create(folder.path(), TemplateKind::Rust, &name).unwrap_err();
        assert!(matches!(error, NewProjectError::NotEmpty(_)), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
