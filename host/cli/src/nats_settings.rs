//! How a process comes to NATS, as the settings of servers and agents say it, in the words of the bus.

use std::path::PathBuf;

use oxide_bus::nats::{Credentials, NatsSettings, Subjects};

use crate::{
    config_example::{Setting, setting},
    failure::Failure,
};

/// The words before all subjects, as the files of servers and agents have them; the same holds for those that follow.
pub const PREFIX: Setting = setting(
    "nats_prefix",
    r#""acme.ci""#,
    "Words before all subjects; the stream is then OXIDE_EVENTS_acme_ci. Each of several installations that share an account\nof NATS needs its own, the same for servers and agents. Default: none.",
);
/// Who a process is for NATS.
pub const CREDENTIALS_FILE: Setting = setting(
    "nats_credentials_file",
    r#""/etc/oxide/nats""#,
    "A file whose first line is USER:PASSWORD or a token for NATS. Default: what the address of NATS says.",
);
/// Authorities that vouch for the servers of NATS.
pub const CA_FILE: Setting = setting(
    "nats_ca_file",
    r#""/etc/oxide/nats-ca.pem""#,
    "A PEM file with the authorities that vouch for NATS; the connection is then encrypted. Default: those of `ca_file` (of an\nagent), or of this machine.",
);
/// The certificate of a process.
pub const CERTIFICATE: Setting = setting(
    "nats_certificate",
    r#""/etc/oxide/nats.pem""#,
    "A PEM file with the certificate by which NATS knows this process. Default: none.",
);
/// The key of that certificate.
pub const KEY: Setting =
    setting("nats_key", r#""/etc/oxide/nats.key""#, "A PEM file with the key of that certificate.");

/// What is said about NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsArguments {
    /// Its servers, with commas between them; without them there is no NATS.
    pub servers: Option<String>,
    /// Words before all subjects.
    pub prefix: Option<String>,
    /// A file whose first line says who this process is.
    pub credentials_file: Option<PathBuf>,
    /// Authorities that vouch for the servers.
    pub ca_file: Option<PathBuf>,
    /// The certificate of this process.
    pub certificate: Option<PathBuf>,
    /// The key of that certificate.
    pub key: Option<PathBuf>,
}

impl NatsArguments {
    /// The same for a connection with this name; none if no server of NATS is named.
    ///
    /// # Errors
    /// The credentials cannot be read, or something makes no sense: it is told with what to write.
    pub fn settings(&self, name: String) -> Result<Option<NatsSettings>, Failure> {
        let Some(servers) = self.servers.clone() else { return self.refuse_the_rest().map(|()| None) };
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let subjects =
            Subjects::new(prefix).map_err(|error| Failure::usage("could not use `nats_prefix`").because(&error))?;
        let credentials = match &self.credentials_file {
            Some(path) => Credentials::read(path.clone())
                .map_err(|error| Failure::usage("could not use `nats_credentials_file`").because(&error))?,
            None => Credentials::None,
        };
        let certificate = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(half("nats_certificate", "nats_key")),
            (None, Some(_)) => return Err(half("nats_key", "nats_certificate")),
        };
        let ca_file = self.ca_file.clone();
        Ok(Some(NatsSettings { servers, credentials, subjects, ca_file, certificate, name, require_tls: false }))
    }

    /// Who says how to use NATS and not where it is has forgotten something.
    fn refuse_the_rest(&self) -> Result<(), Failure> {
        let given = [
            ("nats_prefix", self.prefix.is_some()),
            ("nats_credentials_file", self.credentials_file.is_some()),
            ("nats_ca_file", self.ca_file.is_some()),
            ("nats_certificate", self.certificate.is_some()),
            ("nats_key", self.key.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(Failure::usage(format!("there is `{name}`, and no server of NATS is named"))
                .hint("name one: `--nats nats://HOST:4222`")),
            None => Ok(()),
        }
    }
}

fn half(given: &str, missing: &str) -> Failure {
    Failure::usage(format!("there is `{given}` without `{missing}`"))
        .hint("name two PEM files: `nats_certificate` has the certificate, `nats_key` its key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &NatsArguments) -> String {
        arguments.settings("test".to_owned()).map(drop).unwrap_err().in_one_line()
    }

    #[test]
    fn all_that_is_said_reaches_the_bus() {
        let folder = tempfile::tempdir().unwrap();
        let credentials_file = folder.path().join("nats");
        std::fs::write(&credentials_file, "ci:hidden\n").unwrap();
        let arguments = NatsArguments {
            servers: Some("tls://nats:4222".to_owned()),
            prefix: Some("acme.ci".to_owned()),
            credentials_file: Some(credentials_file),
            ca_file: Some("ca.pem".into()),
            certificate: Some("us.pem".into()),
            key: Some("us.key".into()),
        };
        let settings = arguments.settings("oxide server".to_owned()).unwrap().unwrap();
        assert_eq!((settings.servers.as_str(), settings.name.as_str()), ("tls://nats:4222", "oxide server"));
        assert_eq!(settings.subjects.stream(), "OXIDE_EVENTS_acme_ci");
        let user = Credentials::User { user: "ci".to_owned(), password: "hidden".to_owned() };
        assert_eq!((settings.credentials, settings.ca_file), (user, Some("ca.pem".into())));
        assert_eq!(settings.certificate, Some(("us.pem".into(), "us.key".into())));
        let plain = NatsArguments { servers: Some("nats://nats".to_owned()), ..NatsArguments::default() };
        let settings = plain.settings("oxide server".to_owned()).unwrap().unwrap();
        assert_eq!((settings.credentials, settings.subjects), (Credentials::None, Subjects::default()));
        assert!(NatsArguments::default().settings("test".to_owned()).unwrap().is_none());
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_to_write() {
        let nats = NatsArguments { servers: Some("nats://nats".to_owned()), ..NatsArguments::default() };
        let prefix = told(&NatsArguments { prefix: Some("a b".to_owned()), ..nats.clone() });
        assert!(prefix.contains("nats_prefix") && prefix.contains("acme.ci"), "{prefix}");
        let file = told(&NatsArguments { credentials_file: Some("/nowhere/nats".into()), ..nats.clone() });
        assert!(file.contains("nats_credentials_file") && file.contains("/nowhere/nats"), "{file}");
        let key = told(&NatsArguments { certificate: Some("us.pem".into()), ..nats.clone() });
        assert!(key.contains("`nats_certificate` without `nats_key`"), "{key}");
        let certificate = told(&NatsArguments { key: Some("us.key".into()), ..nats });
        assert!(certificate.contains("`nats_key` without `nats_certificate`"), "{certificate}");
        let nowhere = told(&NatsArguments { prefix: Some("acme".to_owned()), ..NatsArguments::default() });
        assert!(nowhere.contains("nats_prefix") && nowhere.contains("--nats nats://HOST:4222"), "{nowhere}");
    }
}
