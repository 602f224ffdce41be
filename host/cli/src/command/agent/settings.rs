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
use crate::{agent_parts, blobs::BlobsArguments, failure::Failure, service_log::ServiceLogFormat};

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
    spool_limit: Option<String>,
    docker_host: Option<String>,
    host_jobs: Option<bool>,
    blobs: Option<String>,
    blobs_endpoint: Option<String>,
    insecure_registries: Vec<String>,
    log_format: Option<ServiceLogFormat>,
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
    /// NATS servers that messages go by, in the place of HTTPS.
    pub nats: Option<String>,
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
        Ok(Settings {
            server: arguments.server.clone().or_else(|| variable("OXIDE_AGENT_SERVER")).or(file.server),
            token: arguments.token.clone().or_else(|| variable("OXIDE_AGENT_TOKEN")).or(file.token),
            name: checked_name(name.unwrap_or_else(host_name))?,
            labels: checked_labels(labels)?,
            slots: checked_slots(slots)?,
            data_dir: paths(&data_dir.map(Path::to_path_buf), "OXIDE_AGENT_DATA_DIR", file.data_dir),
            ca_file: paths(&arguments.ca_file, "OXIDE_AGENT_CA_FILE", file.ca_file),
            nats: arguments.nats.clone().or_else(|| variable("OXIDE_AGENT_NATS")).or(file.nats),
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
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let place = line.map_or(String::new(), |line| format!("line {line}: "));
        refused().hint(format!("{place}{}", error.message()))
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
        assert!(told.contains("line 3: unknown field `slotz`") && !told.contains("oxide_reg"), "{told}");
        let told = |variables: &[(&str, &str)]| settings(&Arguments::default(), variables).err().unwrap();
        assert!(told(&[("OXIDE_AGENT_SLOTS", "0")]).contains("`--slots N` takes 1 to 10000"));
        assert!(told(&[("OXIDE_AGENT_SLOTS", "many")]).contains("OXIDE_AGENT_SLOTS is `many`"));
        assert!(told(&[("OXIDE_AGENT_LABELS", "a b")]).contains("`a b` cannot be a label"));
        assert!(told(&[("OXIDE_AGENT_SPOOL_LIMIT", "1KiB")]).contains("write it as `512MiB`"));
        assert!(told(&[("OXIDE_AGENT_NAME", "a\nb")]).contains("the name of the agent cannot be used"));
    }
}
