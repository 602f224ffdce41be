//! What this user told the program once: the server, the project, and the tokens, in `config.toml` and `credentials.toml` of the
//! user's configuration directory. Tokens have a file of their own that nobody else can read.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use oxide_registry::oci::ServerLogin;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The settings that a person chooses, each by its name in `oxide config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address of the server that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The project that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// A file with certificates of authorities that are trusted beside those of the machine, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// The names of the settings, with what they mean.
pub const NAMES: [(&str, &str); 3] = [
    ("server", "the address of the server, such as https://ci.example.org"),
    ("project", "the project that is meant where none is named"),
    ("ca_file", "a PEM file with authorities that are trusted beside those of the machine"),
];

impl Settings {
    /// A setting by its name; the outer none if there is no such name.
    pub fn get(&self, name: &str) -> Option<Option<String>> {
        match name {
            "server" => Some(self.server.clone()),
            "project" => Some(self.project.clone()),
            "ca_file" => Some(self.ca_file.as_ref().map(|path| path.display().to_string())),
            _ => None,
        }
    }

    /// Changes a setting by its name. False if there is no such name.
    pub fn set(&mut self, name: &str, value: Option<String>) -> bool {
        match name {
            "server" => self.server = value.map(|server| without_last_slash(&server)),
            "project" => self.project = value,
            "ca_file" => self.ca_file = value.map(PathBuf::from),
            _ => return false,
        }
        true
    }
}

/// The address of a server as it is written down: one spelling for one server.
pub fn without_last_slash(server: &str) -> String {
    server.trim().trim_end_matches('/').to_owned()
}

/// Tokens by the address of their server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

/// Where both files are.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
}

impl Home {
    /// The directory of this user: `OXIDE_CONFIG_DIR`, else `oxide` in the user's configuration directory.
    pub fn find() -> Result<Home, Failure> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = variable("OXIDE_CONFIG_DIR")
            .or_else(|| variable("XDG_CONFIG_HOME").map(|home| home.join("oxide")))
            .or_else(|| variable("HOME").map(|home| home.join(".config/oxide")));
        let none = || Failure::usage("HOME is not set").hint("say where settings are kept: OXIDE_CONFIG_DIR=DIR");
        directory.map(|directory| Home { directory }).ok_or_else(none)
    }

    /// The file of the settings.
    pub fn settings_file(&self) -> PathBuf {
        self.directory.join("config.toml")
    }

    fn credentials_file(&self) -> PathBuf {
        self.directory.join("credentials.toml")
    }

    /// The settings; those of a new user if there is no file.
    pub fn settings(&self) -> Result<Settings, Failure> {
        read(&self.settings_file())
    }

    /// Writes the settings.
    pub fn write_settings(&self, settings: &Settings) -> Result<(), Failure> {
        self.write(&self.settings_file(), settings)
    }

    /// The token for a server, if somebody has signed in there.
    pub fn token(&self, server: &str) -> Result<Option<String>, Failure> {
        let credentials: Credentials = read(&self.credentials_file())?;
        Ok(credentials.tokens.get(&without_last_slash(server)).cloned())
    }

    /// All servers that somebody has signed in to.
    pub fn logins(&self) -> Result<Vec<ServerLogin>, Failure> {
        let credentials: Credentials = read(&self.credentials_file())?;
        Ok(credentials.tokens.into_iter().map(|(server, token)| ServerLogin { server, token }).collect())
    }

    /// Keeps a token for a server, or forgets it. Answers with the one that was kept before.
    pub fn keep_token(&self, server: &str, token: Option<String>) -> Result<Option<String>, Failure> {
        let file = self.credentials_file();
        let mut credentials: Credentials = read(&file)?;
        let before = match token {
            Some(token) => credentials.tokens.insert(without_last_slash(server), token),
            None => credentials.tokens.remove(&without_last_slash(server)),
        };
        self.write(&file, &credentials)?;
        Ok(before)
    }

    /// Writes a file whole or not at all, for its owner only.
    fn write(&self, file: &Path, value: &impl Serialize) -> Result<(), Failure> {
        let text = toml::to_string(value).expect("settings are text below text keys");
        let attempt = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            let new = file.with_extension(format!("toml.{}", std::process::id()));
            let mut options = fs::OpenOptions::new();
            let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            let done = written.write_all(text.as_bytes()).and_then(|()| written.sync_all());
            done.and_then(|()| fs::rename(&new, file)).inspect_err(|_| drop(fs::remove_file(&new)))
        };
        attempt().map_err(|error: std::io::Error| {
            Failure::trouble(format!("could not write `{}`", file.display())).because(&error)
        })
    }
}

fn read<T: Default + serde::de::DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(Failure::trouble(format!("could not read `{}`", file.display())).because(&error)),
    };
    toml::from_str(&text).map_err(|error| {
        // The text of the file may hold a token: only the message is shown, not the line.
        Failure::usage(format!("`{}` is not as it should be: {}", file.display(), error.message()))
            .hint("mend it, or remove it and begin with `oxide login`")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home { directory: directory.path().join("oxide") };
        (directory, home)
    }

    #[test]
    fn what_is_written_is_read_back_and_private() {
        let (_directory, home) = home();
        assert_eq!(home.settings().unwrap(), Settings::default());
        let mut settings = Settings::default();
        assert!(settings.set("server", Some("https://ci.example.org/".into())));
        assert!(!settings.set("sever", Some("x".into())));
        home.write_settings(&settings).unwrap();
        assert_eq!(home.settings().unwrap().get("server"), Some(Some("https://ci.example.org".into())));
        home.keep_token("https://ci.example.org/", Some("t".into())).unwrap();
        assert_eq!(home.token("https://ci.example.org").unwrap().as_deref(), Some("t"));
        let logins = home.logins().unwrap();
        assert_eq!(logins.iter().map(|login| &*login.server).collect::<Vec<_>>(), ["https://ci.example.org"]);
        assert_eq!(fs::metadata(home.credentials_file()).unwrap().mode() & 0o077, 0);
        assert_eq!(home.keep_token("https://ci.example.org", None).unwrap().as_deref(), Some("t"));
        assert_eq!(home.token("https://ci.example.org").unwrap(), None);
    }

    #[test]
    fn a_damaged_file_does_not_show_its_tokens() {
        let (_directory, home) = home();
        home.keep_token("https://x", Some("secret-token".into())).unwrap();
        let text = fs::read_to_string(home.credentials_file()).unwrap();
        fs::write(home.credentials_file(), format!("{text}\nnonsense")).unwrap();
        let failure = home.token("https://x").unwrap_err().in_one_line();
        assert!(failure.contains("credentials.toml") && !failure.contains("secret-token"), "{failure}");
    }
}
