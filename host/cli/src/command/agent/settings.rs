//! How an agent is to behave: a TOML file, OXIDE_AGENT_* in the environment, the command line; each goes before the one that it is
//! named after.

use std::{
    fs,
    path::{Path, PathBuf},
};

use oxide_agent::spool::SPOOL_BYTES_MAX;
use oxide_core::pipeline::parse_bytes;
use serde::Deserialize;

use super::Arguments;
use crate::{
    agent_parts,
    blobs::BlobsArguments,
    config_example::{self, Setting, setting},
    config_file,
    failure::Failure,
    nats_settings::{self, NatsArguments},
    service_log::ServiceLogFormat,
};

/// The largest file of settings that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most characters of a name or a label.
const NAME_MAX: usize = 100;
/// The most jobs at the same time.
const SLOTS_MAX: u32 = 10_000;
/// Spools of less would slow jobs down at once.
const SPOOL_BYTES_MIN: u64 = 16 << 20;

/// What may stand in the file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    server: Option<String>,
    token: Option<String>,
    name: Option<String>,
    labels: Option<Vec<String>>,
    slots: Option<u32>,
    data_dir: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    nats: Option<String>,
    nats_prefix: Option<String>,
    nats_credentials_file: Option<PathBuf>,
    nats_ca_file: Option<PathBuf>,
    nats_certificate: Option<PathBuf>,
    nats_key: Option<PathBuf>,
    spool_limit: Option<String>,
    docker_host: Option<String>,
    host_jobs: Option<bool>,
    blobs: Option<String>,
    blobs_endpoint: Option<String>,
    insecure_registries: Vec<String>,
    log_format: Option<ServiceLogFormat>,
}

/// All that may stand in the file, in the order of the example. All but `insecure_registries` are also variables OXIDE_AGENT_*.
const SETTINGS: &[Setting] = &[
    setting(
        "server",
        r#""https://ci.example.com""#,
        "The address of the server; of several servers with one database all, separated by commas. Default: the one that this\nagent has joined.",
    ),
    setting(
        "token",
        r#""oxide_reg_…""#,
        "The token with which this agent joins, once: `oxide agents token` makes it. From then on it has a credential of its own.",
    ),
    setting("name", r#""builder-1""#, "A name for people. Default: the name of the machine."),
    setting("labels", r#"["gpu"]"#, "Labels that jobs ask for with `runs_on`, beside those of the machine."),
    setting("slots", "4", "How many jobs run at the same time. Default: one for each processor, two at least."),
    setting(
        "data_dir",
        r#""/var/lib/oxide-agent""#,
        "Where the agent keeps its credential, reports and work. Each agent has its own.",
    ),
    setting(
        "ca_file",
        r#""/etc/oxide/ca.pem""#,
        "A PEM file with authorities that are trusted beside those of the machine.",
    ),
    setting(
        "nats",
        r#""nats://nats.example.com:4222""#,
        "NATS servers that messages go by, in the place of HTTPS. Joining still asks the server.",
    ),
    nats_settings::PREFIX,
    nats_settings::CREDENTIALS_FILE,
    nats_settings::CA_FILE,
    nats_settings::CERTIFICATE,
    nats_settings::KEY,
    setting(
        "spool_limit",
        r#""1GiB""#,
        "How many bytes of reports are kept on disk while the server is away; 16MiB at least.",
    ),
    setting(
        "docker_host",
        r#""unix:///var/run/docker.sock""#,
        "Where Docker is. Default: what DOCKER_HOST says, or its usual socket.",
    ),
    setting(
        "host_jobs",
        "true",
        "Run commands on the machine itself, too (`environment: host` and nix), not in containers and virtual machines only.",
    ),
    setting(
        "blobs",
        r#""s3://bucket/prefix""#,
        "Where caches and artifacts are: s3://BUCKET/PREFIX as the server has it, with credentials in AWS_ACCESS_KEY_ID and\nAWS_SECRET_ACCESS_KEY. Default: `blobs` in the data directory, which other agents do not see.",
    ),
    setting(
        "blobs_endpoint",
        r#""https://s3.example.com""#,
        "The address of the S3-compatible store. Default: Amazon's.",
    ),
    setting(
        "insecure_registries",
        r#"["registry.lan:5000"]"#,
        "Registries that are reached over http without encryption. Default: none.",
    ),
    setting("log_format", r#""text""#, "text, or json: one object for each line."),
];

/// A file with every setting, commented out, with what it means.
pub fn example() -> String {
    let head = "# Settings of `oxide agent --config FILE`. Nearly every setting also has a variable in the environment, such as\n\
                # OXIDE_AGENT_SLOTS for slots, which goes before the file; the command line goes before both. What is read by\n\
                # others too has another name there: OXIDE_INSECURE_REGISTRIES.\n";
    config_example::example(head, SETTINGS)
}

/// How an agent is to behave.
#[derive(Clone)]
pub struct Settings {
    /// The addresses of the servers, with commas between them; none means the one that the agent has joined.
    pub server: Option<String>,
    /// The one-time token.
    pub token: Option<String>,
    /// A name for people.
    pub name: String,
    /// All labels, those of the machine first.
    pub labels: Vec<String>,
    /// How many jobs run at the same time.
    pub slots: u32,
    /// Where data is kept, if something is said.
    pub data_dir: Option<PathBuf>,
    /// Authorities that are trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// NATS that messages go by, in the place of HTTPS, if servers of it are named.
    pub nats: NatsArguments,
    /// How many bytes of reports are kept on disk.
    pub spool_bytes_max: u64,
    /// The socket of Docker.
    pub docker_host: Option<String>,
    /// Are commands run on the machine itself?
    pub host_jobs: bool,
    /// Where caches and artifacts are kept.
    pub blobs: BlobsArguments,
    /// Registries without encryption.
    pub insecure_registries: Vec<String>,
    /// How the agent tells of itself.
    pub log_format: ServiceLogFormat,
}

impl Settings {
    /// Reads the file, if there is one, and puts all together.
    pub fn of(
        arguments: &Arguments,
        data_dir: Option<&Path>,
        blobs: &BlobsArguments,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, Failure> {
        let variable = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let path = arguments.config.clone().or_else(|| variable("OXIDE_AGENT_CONFIG").map(PathBuf::from));
        let file = path.as_deref().map(read).transpose()?.unwrap_or_default();
        let labels = match (arguments.labels.is_empty(), variable("OXIDE_AGENT_LABELS")) {
            (false, _) => arguments.labels.clone(),
            (true, Some(listed)) => listed.split(',').map(str::to_owned).collect(),
            (true, None) => file.labels.unwrap_or_default(),
        };
        let slots = match (arguments.slots, variable("OXIDE_AGENT_SLOTS")) {
            (Some(slots), _) => slots,
            (None, Some(text)) => text.trim().parse().map_err(|_| {
                Failure::usage(format!("OXIDE_AGENT_SLOTS is `{text}`")).hint("write a number, such as 4")
            })?,
            (None, None) => file.slots.unwrap_or_else(agent_parts::slots),
        };
        let name = arguments.name.clone().or_else(|| variable("OXIDE_AGENT_NAME")).or(file.name);
        let spool = arguments.spool_limit.clone().or_else(|| variable("OXIDE_AGENT_SPOOL_LIMIT")).or(file.spool_limit);
        let log_format = match (arguments.log_format, variable("OXIDE_AGENT_LOG_FORMAT").as_deref()) {
            (Some(format), _) => format,
            (None, Some("text")) => ServiceLogFormat::Text,
            (None, Some("json")) => ServiceLogFormat::Json,
            (None, Some(other)) => {
                return Err(Failure::usage(format!("OXIDE_AGENT_LOG_FORMAT is `{other}`")).hint("write text or json"));
            }
            (None, None) => file.log_format.unwrap_or_default(),
        };
        let host_jobs = match variable("OXIDE_AGENT_HOST_JOBS").as_deref() {
            _ if arguments.no_host_jobs => false,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                return Err(Failure::usage(format!("OXIDE_AGENT_HOST_JOBS is `{other}`")).hint("write true or false"));
            }
            None => file.host_jobs.unwrap_or(true),
        };
        let mut insecure_registries = arguments.insecure_registries.clone();
        insecure_registries.extend(file.insecure_registries);
        let paths = |given: &Option<PathBuf>, name: &str, of_file: Option<PathBuf>| {
            given.clone().or_else(|| variable(name).map(PathBuf::from)).or(of_file)
        };
        let nats_paths = |name: &str, of_file: Option<PathBuf>| paths(&None, name, of_file);
        let ca_file = paths(&arguments.ca_file, "OXIDE_AGENT_CA_FILE", file.ca_file);
        let mut nats = NatsArguments {
            servers: arguments.nats.clone().or_else(|| variable("OXIDE_AGENT_NATS")).or(file.nats),
            prefix: variable("OXIDE_AGENT_NATS_PREFIX").or(file.nats_prefix),
            credentials_file: nats_paths("OXIDE_AGENT_NATS_CREDENTIALS_FILE", file.nats_credentials_file),
            ca_file: nats_paths("OXIDE_AGENT_NATS_CA_FILE", file.nats_ca_file),
            certificate: nats_paths("OXIDE_AGENT_NATS_CERTIFICATE", file.nats_certificate),
            key: nats_paths("OXIDE_AGENT_NATS_KEY", file.nats_key),
        };
        if nats.servers.is_some() && nats.ca_file.is_none() {
            nats.ca_file.clone_from(&ca_file);
        }
        Ok(Settings {
            server: arguments.server.clone().or_else(|| variable("OXIDE_AGENT_SERVER")).or(file.server),
            token: arguments.token.clone().or_else(|| variable("OXIDE_AGENT_TOKEN")).or(file.token),
            name: checked_name(name.unwrap_or_else(host_name))?,
            labels: checked_labels(labels)?,
            slots: checked_slots(slots)?,
            data_dir: paths(&data_dir.map(Path::to_path_buf), "OXIDE_AGENT_DATA_DIR", file.data_dir),
            ca_file,
            nats,
            spool_bytes_max: spool.map(|text| checked_spool(&text)).transpose()?.unwrap_or(SPOOL_BYTES_MAX),
            docker_host: variable("OXIDE_AGENT_DOCKER_HOST").or(file.docker_host),
            host_jobs,
            blobs: BlobsArguments {
                blobs: blobs.blobs.clone().or_else(|| variable("OXIDE_AGENT_BLOBS")).or(file.blobs),
                blobs_endpoint: blobs
                    .blobs_endpoint
                    .clone()
                    .or_else(|| variable("OXIDE_AGENT_BLOBS_ENDPOINT"))
                    .or(file.blobs_endpoint),
            },
            insecure_registries,
            log_format,
        })
    }
}

fn read(path: &Path) -> Result<File, Failure> {
    let refused = || Failure::usage(format!("could not use the settings in `{}`", path.display()));
    let found = fs::metadata(path).map_err(|error| refused().because(&error))?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(refused().hint(format!("name a file of at most {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| refused().because(&error))?;
    // The error shows the line, which may hold the token: only its place is told.
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let place = config_file::line(&text, &error).map_or(String::new(), |line| format!("line {line}: "));
        refused().hint(format!("{place}{}", config_file::problem(&error, SETTINGS)))
    })
}

fn checked_name(name: String) -> Result<String, Failure> {
    let is_good = !name.trim().is_empty() && name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control);
    let refused = || Failure::usage("the name of the agent cannot be used");
    is_good
        .then(|| name.trim().to_owned())
        .ok_or_else(|| refused().hint(format!("`--name NAME` takes up to {NAME_MAX} characters")))
}

/// Those of the machine, then those that were given, each once.
fn checked_labels(given: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut labels = agent_parts::labels_of_this_machine();
    for label in given.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
        let is_good = label.chars().all(|sign| !sign.is_whitespace() && !sign.is_control() && sign != ',');
        if !is_good || label.chars().count() > NAME_MAX {
            return Err(Failure::usage(format!("`{}` cannot be a label", label.escape_debug()))
                .hint("labels are words, such as `gpu`; write `--label` once for each"));
        }
        if !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    Ok(labels)
}

fn checked_slots(slots: u32) -> Result<u32, Failure> {
    match slots {
        1..=SLOTS_MAX => Ok(slots),
        _ => Err(Failure::usage(format!("an agent cannot have {slots} slots"))
            .hint(format!("`--slots N` takes 1 to {SLOTS_MAX}: how many jobs run at the same time"))),
    }
}

fn checked_spool(text: &str) -> Result<u64, Failure> {
    parse_bytes(text).filter(|bytes| *bytes >= SPOOL_BYTES_MIN).ok_or_else(|| {
        Failure::usage(format!("the limit of the spool is `{text}`"))
            .hint("write it as `512MiB` or `2GiB`; 16MiB at least")
    })
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "agent".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &Arguments, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
        Settings::of(arguments, None, &BlobsArguments::default(), find).map_err(|failure| failure.in_one_line())
    }

    #[test]
    fn the_command_line_goes_before_the_environment_and_that_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        fs::write(
            &file,
            "server = \"https://file\"\nname = \"file\"\nslots = 3\nlabels = [\"file\"]\nspool_limit = \"2GiB\"\n",
        )
        .unwrap();
        let arguments = Arguments { config: Some(file), name: Some("line".to_owned()), ..Arguments::default() };
        let read =
            settings(&arguments, &[("OXIDE_AGENT_SERVER", "https://variable"), ("OXIDE_AGENT_NAME", "variable")]);
        let read = read.unwrap();
        assert_eq!((read.name.as_str(), read.server.as_deref()), ("line", Some("https://variable")));
        assert_eq!((read.slots, read.spool_bytes_max), (3, 2 << 30));
        assert_eq!(read.labels.last().map(String::as_str), Some("file"));
        assert_eq!(read.labels[..2], agent_parts::labels_of_this_machine());
        let read = settings(&arguments, &[("OXIDE_AGENT_LABELS", "gpu, big,gpu"), ("OXIDE_AGENT_SERVER", "")]).unwrap();
        assert_eq!(
            (&read.labels[2..], read.server.as_deref()),
            (&["gpu".to_owned(), "big".to_owned()][..], Some("https://file"))
        );
    }

    #[test]
    fn what_cannot_be_used_is_told_with_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        fs::write(&file, "name = \"x\"\ntoken = \"oxide_reg_secret\"\nslotz = 3\n").unwrap();
        let arguments = Arguments { config: Some(file), ..Arguments::default() };
        let told = settings(&arguments, &[]).err().unwrap();
        assert!(told.contains("line 3: unknown field `slotz` (did you mean `slots`?)"), "{told}");
        assert!(!told.contains("oxide_reg"), "{told}");
        fs::write(arguments.config.as_ref().unwrap(), "name = \"x\"\ntoken = 5\n").unwrap();
        let told = settings(&arguments, &[]).err().unwrap();
        assert!(told.contains("line 2: `token`: invalid type: integer, expected a string"), "{told}");
        let told = |variables: &[(&str, &str)]| settings(&Arguments::default(), variables).err().unwrap();
        assert!(told(&[("OXIDE_AGENT_SLOTS", "0")]).contains("`--slots N` takes 1 to 10000"));
        assert!(told(&[("OXIDE_AGENT_SLOTS", "many")]).contains("OXIDE_AGENT_SLOTS is `many`"));
        assert!(told(&[("OXIDE_AGENT_LABELS", "a b")]).contains("`a b` cannot be a label"));
        assert!(told(&[("OXIDE_AGENT_SPOOL_LIMIT", "1KiB")]).contains("write it as `512MiB`"));
        assert!(told(&[("OXIDE_AGENT_NAME", "a\nb")]).contains("the name of the agent cannot be used"));
    }

    #[test]
    fn the_example_sets_nothing_and_uncommented_everything() {
        assert_eq!(toml::from_str::<File>(&example()).unwrap(), File::default());
        let all: toml::Table = config_example::uncommented(&example()).parse().unwrap();
        // Whoever adds a setting names it here, and so finds that the example has none.
        let File {
            server,
            token,
            name,
            labels,
            slots,
            data_dir,
            ca_file,
            nats,
            nats_prefix,
            nats_credentials_file,
            nats_ca_file,
            nats_certificate,
            nats_key,
            spool_limit,
            docker_host,
            host_jobs,
            blobs,
            blobs_endpoint,
            insecure_registries,
            log_format,
        } = toml::Value::Table(all).try_into::<File>().unwrap();
        let words = [server, token, name, nats, nats_prefix, spool_limit, docker_host, blobs, blobs_endpoint];
        let paths = [data_dir, ca_file, nats_credentials_file, nats_ca_file, nats_certificate, nats_key];
        assert!(words.iter().all(Option::is_some) && paths.iter().all(Option::is_some), "{words:?} {paths:?}");
        assert_eq!(words.len() + paths.len() + 5, SETTINGS.len());
        assert_eq!((labels, slots), (Some(vec!["gpu".to_owned()]), Some(4)));
        assert_eq!(insecure_registries, ["registry.lan:5000"]);
        // What has a default shows it.
        assert_eq!((host_jobs, log_format), (Some(true), Some(ServiceLogFormat::default())));
        assert_eq!(parse_bytes(words[5].as_deref().unwrap()), Some(SPOOL_BYTES_MAX));
    }

    #[test]
    fn nats_is_used_as_the_file_or_the_environment_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let text = "nats = \"tls://nats\"\nnats_prefix = \"file\"\nnats_key = \"file.key\"\nca_file = \"all.pem\"\n";
        fs::write(&file, text).unwrap();
        let arguments = Arguments { config: Some(file), ..Arguments::default() };
        let nats = settings(&arguments, &[("OXIDE_AGENT_NATS_PREFIX", "variable")]).unwrap().nats;
        assert_eq!((nats.servers.as_deref(), nats.prefix.as_deref()), (Some("tls://nats"), Some("variable")));
        assert_eq!((nats.ca_file, nats.key), (Some("all.pem".into()), Some("file.key".into())));
        let own = settings(&arguments, &[("OXIDE_AGENT_NATS_CA_FILE", "nats.pem")]).unwrap();
        assert_eq!((own.nats.ca_file, own.ca_file), (Some("nats.pem".into()), Some("all.pem".into())));
        let without = settings(&Arguments::default(), &[("OXIDE_AGENT_CA_FILE", "all.pem")]).unwrap().nats;
        assert_eq!(without, NatsArguments::default());
    }
}
