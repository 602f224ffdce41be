//! How a server is to behave: defaults, a TOML file, OXIDE_SERVER_* in the environment, the command line; each goes before the
//! one that it is named after. What nobody knows is an error.
//!
//! [`SETTINGS`] is the one list of what there is: it gives names and kinds to the environment, and prints the example.

use std::{collections::BTreeMap, io, path::PathBuf};

use oxide_core::diagnostic::nearest;
use serde::Deserialize;
use toml::{Table, Value};

use super::config_list::SETTINGS;
use crate::{
    config_example::{self, Setting},
    config_file,
    nats_settings::NatsArguments,
    service_log::ServiceLogFormat,
};

/// How a server is to behave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: String,
    /// How others reach this server.
    pub url: Option<String>,
    /// How the other servers of the same database reach this one.
    pub cluster_url: Option<String>,
    /// SQLite file or PostgreSQL URL; a file in the data directory if nothing is said.
    pub database: Option<String>,
    /// Where caches, artifacts and the registry keep their bytes.
    pub blobs: Option<String>,
    /// The address of an S3-compatible store.
    pub blobs_endpoint: Option<String>,
    /// NATS servers that events are published to.
    pub nats: Option<String>,
    /// Words before all subjects of NATS.
    pub nats_prefix: Option<String>,
    /// A file whose first line says who this server is for NATS.
    pub nats_credentials_file: Option<PathBuf>,
    /// Authorities that vouch for the servers of NATS.
    pub nats_ca_file: Option<PathBuf>,
    /// The certificate that this server shows NATS.
    pub nats_certificate: Option<PathBuf>,
    /// The key of that certificate.
    pub nats_key: Option<PathBuf>,
    /// Origins whose pages may use the API.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Registries without TLS.
    pub insecure_registries: Vec<String>,
    /// Hosts with private addresses that registries and repositories may be on.
    pub private_hosts: Option<Vec<String>>,
    /// Repositories may be folders of this machine.
    pub local_repositories: Option<bool>,
    /// The agent within the server.
    pub agent: AgentSettings,
    /// The server's own log.
    pub log: LogSettings,
    /// The registry below `/v2/`.
    pub registry: RegistrySettings,
    /// How many requests are answered.
    pub rate_limit: RateSettings,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// A collector of OpenTelemetry.
    pub traces: TraceSettings,
    /// Ways to sign in with a browser.
    pub sign_in: SignInSettings,
}

/// The agent within the server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSettings {
    /// Is there one?
    pub enabled: bool,
    /// Its name; `server` if nothing is said, with the address of the server behind it if others may share the database.
    pub name: Option<String>,
    /// How many jobs it runs at the same time; one for each processor if 0.
    pub slots: u32,
    /// Labels that jobs ask for with `runs_on`.
    pub labels: Vec<String>,
    /// Does it run commands on this machine, outside of containers?
    pub host_jobs: Option<bool>,
}

/// The server's own log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// How its lines look.
    pub format: ServiceLogFormat,
    /// What is worth a line.
    pub level: String,
}

/// The registry below `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySettings {
    /// Is there one?
    pub enabled: bool,
    /// A tag that points at something always points at it.
    pub immutable_tags: bool,
}

/// How many requests are answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Requests per minute of one token.
    pub per_token: u32,
    /// Requests per minute of one address without a token.
    pub per_address: u32,
    /// Attempts to sign in per minute of one address.
    pub sign_in: u32,
}

/// How long things are kept, in days; 0 keeps them for ever.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Runs with their logs.
    pub runs_days: u32,
    /// Events.
    pub events_days: u32,
    /// Deliveries of webhooks.
    pub deliveries_days: u32,
}

/// A collector of OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceSettings {
    /// Its address for OTLP over HTTP; no traces if nothing is said.
    pub endpoint: Option<String>,
    /// Headers that it wants, each as NAME=VALUE.
    pub headers: Vec<String>,
}

/// Ways to sign in with a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignInSettings {
    /// With an account of GitHub.
    pub github: Option<GithubSettings>,
    /// With an account of any OpenID Connect provider, by the name that the path has for it.
    pub oidc: BTreeMap<String, OidcSettings>,
}

/// Sign-in with GitHub.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubSettings {
    /// The id of the OAuth app.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Only members of one of these organizations.
    #[serde(default)]
    pub organizations: Vec<String>,
}

/// Sign-in with an OpenID Connect provider.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// The issuer, such as `https://login.example.com`.
    pub issuer: String,
    /// The id of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Whoever has a verified e-mail address in one of these domains, each perhaps with a role.
    #[serde(default)]
    pub email_domains: Vec<String>,
    /// Members of these groups, each perhaps with a role.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Without the secret: settings end up in logs.
impl std::fmt::Debug for GithubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GithubSettings").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Without the secret: settings end up in logs.
impl std::fmt::Debug for OidcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: "127.0.0.1:7780".to_owned(),
            url: None,
            cluster_url: None,
            database: None,
            blobs: None,
            blobs_endpoint: None,
            nats: None,
            nats_prefix: None,
            nats_credentials_file: None,
            nats_ca_file: None,
            nats_certificate: None,
            nats_key: None,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            insecure_registries: Vec::new(),
            private_hosts: None,
            local_repositories: None,
            agent: AgentSettings::default(),
            log: LogSettings::default(),
            registry: RegistrySettings::default(),
            rate_limit: RateSettings::default(),
            retention: RetentionSettings::default(),
            traces: TraceSettings::default(),
            sign_in: SignInSettings::default(),
        }
    }
}

impl Default for AgentSettings {
    fn default() -> Self {
        AgentSettings { enabled: true, name: None, slots: 0, labels: vec!["local".to_owned()], host_jobs: None }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { format: ServiceLogFormat::Text, level: "info".to_owned() }
    }
}

impl Default for RegistrySettings {
    fn default() -> Self {
        RegistrySettings { enabled: true, immutable_tags: false }
    }
}

impl Default for RateSettings {
    fn default() -> Self {
        RateSettings { per_token: 6000, per_address: 3000, sign_in: 10 }
    }
}

impl Default for RetentionSettings {
    fn default() -> Self {
        RetentionSettings { runs_days: 90, events_days: 7, deliveries_days: 30 }
    }
}

impl ServerConfig {
    /// What is said about NATS.
    pub fn nats_arguments(&self) -> NatsArguments {
        NatsArguments {
            servers: self.nats.clone(),
            prefix: self.nats_prefix.clone(),
            credentials_file: self.nats_credentials_file.clone(),
            ca_file: self.nats_ca_file.clone(),
            certificate: self.nats_certificate.clone(),
            key: self.nats_key.clone(),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is no configuration.
    #[error("{}, line {line}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A variable of the environment that nobody knows.
    #[error("the environment variable {name} is no setting{}", suggestion.as_ref().map_or(String::new(), |name| format!(" (did you mean {name}?)")))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The one that was probably meant.
        suggestion: Option<String>,
    },
    /// A variable has a value of the wrong kind.
    #[error("the environment variable {name} is `{value}`, and it must be {wanted}")]
    Variable {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// All together makes no sense.
    #[error("{0}")]
    Whole(String),
}

/// What stands before the name of a setting in the environment.
const PREFIX: &str = "OXIDE_SERVER_";
/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the settings: of the file, if there is one, and of the environment.
///
/// # Errors
/// See [`ConfigError`].
pub fn read(
    file: Option<&PathBuf>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<ServerConfig, ConfigError> {
    let mut table = Table::new();
    if let Some(path) = file {
        let failed = |cause| ConfigError::Read { path: path.clone(), cause };
        let found = std::fs::metadata(path).map_err(failed)?;
        if !found.is_file() || found.len() > FILE_BYTES_MAX {
            return Err(failed(io::Error::other("it is no file of at most a megabyte")));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        table = parse(&text).map_err(|(line, problem)| ConfigError::File { path: path.clone(), line, problem })?;
    }
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            let (key, value) = variable(&name, key, &value)?;
            put(&mut table, key, value);
        }
    }
    let config = Value::Table(table).try_into::<ServerConfig>();
    config.map_err(|error| ConfigError::Whole(config_file::problem(&error, SETTINGS)))
}

/// Reads the text of a file and says where it is wrong.
fn parse(text: &str) -> Result<Table, (usize, String)> {
    // Once for its places, and once as it is, to be added to.
    let refused =
        |error: toml::de::Error| (config_file::line(text, &error).unwrap_or(1), config_file::problem(&error, SETTINGS));
    toml::from_str::<ServerConfig>(text).map_err(refused)?;
    toml::from_str(text).map_err(refused)
}

/// The setting that a variable means, and its value.
fn variable(name: &str, key: &str, value: &str) -> Result<(&'static str, Value), ConfigError> {
    let variable_of = |setting: &Setting| setting.key.replace('.', "_").to_uppercase();
    let Some(setting) = SETTINGS.iter().find(|setting| variable_of(setting) == key) else {
        let all: Vec<String> = SETTINGS.iter().map(|setting| format!("{PREFIX}{}", variable_of(setting))).collect();
        let suggestion = nearest(name, all.iter().map(String::as_str)).map(str::to_owned);
        return Err(ConfigError::UnknownVariable { name: name.to_owned(), suggestion });
    };
    let refused = |wanted| ConfigError::Variable { name: name.to_owned(), value: value.to_owned(), wanted };
    let parsed = match example_of(setting) {
        Value::Integer(_) => Value::Integer(value.trim().parse().map_err(|_| refused("a number"))?),
        Value::Boolean(_) => Value::Boolean(value.trim().parse().map_err(|_| refused("`true` or `false`"))?),
        Value::Array(_) => {
            let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            Value::Array(entries.map(|entry| Value::String(entry.to_owned())).collect())
        }
        _ => Value::String(value.to_owned()),
    };
    Ok((setting.key, parsed))
}

fn example_of(setting: &Setting) -> Value {
    let table: Table = format!("value = {}", setting.value).parse().expect("a test reads every example");
    table["value"].clone()
}

/// Puts a value where a dotted key leads.
fn put(table: &mut Table, key: &str, value: Value) {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let below = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(below) = below {
        put(below, rest, value);
    }
}

/// A file with every setting, commented out, with what it means.
pub fn example() -> String {
    let head = "# Settings of `oxide server --config FILE`. Every setting also has a variable in the environment, such as\n\
                # OXIDE_SERVER_AGENT_SLOTS for agent.slots, which goes before the file; the command line goes before both.\n";
    config_example::example(head, SETTINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, environment: &[(&str, &str)]) -> Result<ServerConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oxide.toml");
        std::fs::write(&path, text).unwrap();
        let told = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        read(Some(&path), environment.iter().map(told))
    }

    #[test]
    fn the_example_sets_nothing_and_uncommented_everything() {
        assert_eq!(of(&example(), &[]).unwrap(), ServerConfig::default());
        let all = of(&config_example::uncommented(&example()), &[]).unwrap();
        assert_eq!(all.sign_in.oidc["company"].issuer, "https://login.example.com");
        assert_eq!(all.sign_in.oidc["company"].groups, ["staff", "developers=runner:default"]);
        assert_eq!(all.cluster_url.as_deref(), Some("http://10.0.0.5:7780"));
        let nats = all.nats_arguments();
        assert_eq!(nats.servers.as_deref(), Some("nats://nats.example.com:4222"));
        assert_eq!((nats.prefix.as_deref(), nats.ca_file), (Some("acme.ci"), Some("/etc/oxide/nats-ca.pem".into())));
        assert_eq!(nats.credentials_file, Some("/etc/oxide/nats".into()));
        assert_eq!(nats.certificate.zip(nats.key), Some(("/etc/oxide/nats.pem".into(), "/etc/oxide/nats.key".into())));
        assert_eq!(all.sign_in.github.unwrap().organizations, ["example"]);
        // What has a default shows it.
        let defaults = ServerConfig::default();
        assert_eq!((all.agent.host_jobs, all.local_repositories), (Some(false), Some(false)));
        let agent = AgentSettings { host_jobs: None, name: None, ..all.agent };
        assert_eq!((agent, all.log, all.registry), (defaults.agent, defaults.log, defaults.registry));
        assert_eq!(
            (all.retention, all.rate_limit, all.listen),
            (defaults.retention, defaults.rate_limit, defaults.listen)
        );
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let text = "listen = \"127.0.0.1:1\"\n[agent]\nslots = 3\n";
        let environment = [
            ("OXIDE_SERVER_AGENT_SLOTS", "8"),
            ("OXIDE_SERVER_AGENT_LABELS", "linux, big"),
            ("OXIDE_SERVER_AGENT_ENABLED", "false"),
            ("OXIDE_SERVER_SIGN_IN_GITHUB_CLIENT_ID", "a"),
            ("OXIDE_SERVER_SIGN_IN_GITHUB_CLIENT_SECRET", "b"),
            ("OXIDE_SERVER_CLUSTER_URL", "http://10.0.0.5:1"),
            ("OXIDE_SERVER_NATS_CREDENTIALS_FILE", "/run/nats"),
            ("OXIDE_SERVER_RATE_LIMIT_SIGN_IN", "600"),
            ("OXIDE_DATA_DIR", "/elsewhere"),
        ];
        let config = of(text, &environment).unwrap();
        assert_eq!((config.listen.as_str(), config.agent.slots, config.agent.enabled), ("127.0.0.1:1", 8, false));
        assert_eq!(config.agent.labels, ["linux", "big"]);
        assert_eq!((config.cluster_url.as_deref(), config.rate_limit.sign_in), (Some("http://10.0.0.5:1"), 600));
        assert_eq!(config.nats_credentials_file, Some("/run/nats".into()));
        assert!(!format!("{config:?}").contains("client_secret"));
    }

    #[test]
    fn what_nobody_knows_is_an_error_that_says_where() {
        let told = |text: &str, environment: &[(&str, &str)]| of(text, environment).unwrap_err().to_string();
        let file = told("listen = \"a\"\n[agent]\nslot = 3\n", &[]);
        assert!(file.ends_with("line 3: unknown field `slot` in `agent` (did you mean `slots`?)"), "{file}");
        let number = told("[agent]\nname = 5\n", &[]);
        assert!(number.contains("line 2: `agent.name`: invalid type: integer, expected a string"), "{number}");
        let variable = told("", &[("OXIDE_SERVER_AGENT_SLOT", "3")]);
        assert!(variable.ends_with("is no setting (did you mean OXIDE_SERVER_AGENT_SLOTS?)"), "{variable}");
        let value = told("", &[("OXIDE_SERVER_AGENT_SLOTS", "many")]);
        assert!(value.ends_with("is `many`, and it must be a number"), "{value}");
        assert!(matches!(read(Some(&"/nowhere".into()), std::iter::empty()), Err(ConfigError::Read { .. })));
        let half = told("", &[("OXIDE_SERVER_SIGN_IN_GITHUB_CLIENT_ID", "a")]);
        assert_eq!(half, "`sign_in.github`: missing field `client_secret`");
    }
}
