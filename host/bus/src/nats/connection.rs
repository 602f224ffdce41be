//! The connection to NATS. It is made and made again in the background: NATS may be away at any time.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, connection::State};
use tokio::sync::watch;

use super::{Credentials, Subjects};

/// The pause before the first try to connect again; it doubles until the longest.
const RECONNECT_FIRST_MS: u64 = 50;
/// The longest pause.
const RECONNECT_MAX_MS: u64 = 1_000;
/// How often a silent connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How often the log tells of the same problem again.
const REMIND_EVERY: Duration = Duration::from_secs(10 * 60);
/// A connection that stood so long does not just come and go.
const STEADY: Duration = Duration::from_secs(60);
/// How many problems the log tells of one after the other.
const PROBLEMS_MAX: usize = 8;

/// Where NATS is and who we are there.
#[derive(Clone, Debug, Default)]
pub struct NatsSettings {
    /// One or more addresses with commas between them: `nats://host:4222`, `tls://user:password@host`.
    pub servers: String,
    /// Who we are, if the addresses do not say it.
    pub credentials: Credentials,
    /// Words that stand before all subjects.
    pub subjects: Subjects,
    /// Certificates (PEM) of who may vouch for the server, in place of those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key (PEM).
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Connect with TLS only, even if the address says `nats://`. Implied by `tls://` and by the files above.
    pub require_tls: bool,
    /// How NATS shows this connection to its operator.
    pub name: String,
}

/// Why there can be no connection, ever. That NATS is away is no error.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// An address is none.
    #[error("`{address}` is not an address of NATS; write it as `nats://HOST:4222` or `tls://HOST:4222`")]
    Address {
        /// What was written, without a password.
        address: String,
    },
    /// Two addresses name different users.
    #[error("the addresses of NATS name different users; one connection has one user for all servers")]
    ManyUsers,
    /// A file cannot be read.
    #[error("could not read {path} for the connection to NATS")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The client refuses the settings.
    #[error("could not set up the connection to NATS at {servers}")]
    Connect {
        /// The servers, without passwords.
        servers: String,
        /// Why.
        #[source]
        cause: async_nats::ConnectError,
    },
}

/// A connection. Cheap to clone; it ends when all clones are dropped.
#[derive(Clone, Debug)]
pub struct Nats {
    client: Client,
    subjects: Subjects,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    servers: String,
    /// Grows each time the connection breaks.
    interruptions: watch::Sender<u64>,
    away: Mutex<Away>,
}

/// What NATS or the network said while there is no connection.
#[derive(Debug, Default)]
struct Away {
    /// The last of it.
    problem: Option<String>,
    /// What the log has told of it, and when it told something last.
    told: Vec<String>,
    told_at: Option<Instant>,
    /// When it was there last.
    back_at: Option<Instant>,
}

impl Nats {
    /// Begins to connect; does not wait until there is a connection.
    ///
    /// # Errors
    /// If the settings make no sense.
    pub async fn connect(settings: NatsSettings) -> Result<Nats, NatsError> {
        let (addresses, credentials) = read_addresses(&settings.servers, settings.credentials)?;
        let shown: Vec<&str> = addresses.iter().map(ServerAddr::as_url_str).collect();
        let (servers, interruptions) = (shown.join(","), watch::Sender::new(0));
        let shared = Arc::new(Shared { servers: servers.clone(), interruptions, away: Mutex::default() });
        let (heard, tried) = (Arc::clone(&shared), Arc::clone(&shared));
        let mut options = ConnectOptions::new()
            .name(settings.name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_pause)
            .ping_interval(PING_EVERY)
            // Asked before each try, and the one place that says why the last one failed. Which server comes next is left to
            // the client.
            .reconnect_to_server_callback(move |servers, _| {
                tried.on_failures(servers.iter().filter_map(|server| server.last_error.as_deref()));
                std::future::ready(None)
            })
            .event_callback(move |event| {
                heard.on_event(&event);
                std::future::ready(())
            });
        options = match credentials {
            Credentials::None => options,
            Credentials::User { user, password } => options.user_and_password(user, password),
            Credentials::Token(token) => options.token(token),
        };
        let has_files = settings.ca_file.is_some() || settings.certificate.is_some();
        if has_files || settings.require_tls || addresses.iter().any(ServerAddr::tls_required) {
            // Another part of the process may have chosen it already: the same one.
            let _ = rustls::crypto::ring::default_provider().install_default();
            options = options.require_tls(true);
        }
        if let Some(path) = settings.ca_file {
            readable(&path)?;
            options = options.add_root_certificates(path);
        }
        if let Some((certificate, key)) = settings.certificate {
            readable(&certificate)?;
            readable(&key)?;
            options = options.add_client_certificate(certificate, key);
        }
        let connected = options.connect(addresses).await;
        let client = connected.map_err(|cause| NatsError::Connect { servers, cause })?;
        Ok(Nats { client, subjects: settings.subjects, shared })
    }

    /// Is there a connection now?
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// What is wrong with the connection, as a sentence; none if it stands.
    pub fn problem(&self) -> Option<String> {
        if self.is_connected() {
            return None;
        }
        let said = self.shared.lock().problem.clone();
        let why = said.map(|said| format!(": {said}")).unwrap_or_default();
        Some(format!("there is no connection to NATS at {}{why}", self.shared.servers))
    }

    /// Where the servers are, without passwords.
    pub fn servers(&self) -> &str {
        &self.shared.servers
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Changes each time the connection breaks: who waits for an answer waits in vain then.
    pub(super) fn interruptions(&self) -> watch::Receiver<u64> {
        self.shared.interruptions.subscribe()
    }
}

impl Shared {
    fn on_event(&self, event: &Event) {
        match event {
            Event::Connected => {
                if self.lock().is_back(Instant::now()) {
                    tracing::info!(servers = self.servers, "connected to NATS");
                }
            }
            Event::Disconnected | Event::Closed => {
                self.interruptions.send_modify(|count| *count += 1);
                self.say("it broke off".to_owned());
            }
            Event::ServerError(error) => self.say(error.to_string()),
            // Of a name the client tells nothing where the next try begins.
            Event::ClientError(ClientError::Other(kind)) if *kind == ConnectErrorKind::Dns.to_string() => {
                self.say("the name of its host cannot be looked up".to_owned());
            }
            // Told with more words where the next try begins.
            Event::ClientError(_) | Event::SlowConsumer(_) | Event::LameDuckMode | Event::Draining => {}
        }
    }

    fn on_failures<'a>(&self, failures: impl Iterator<Item = &'a str>) {
        let failures: Vec<&str> = failures.collect();
        if !failures.is_empty() {
            self.say(failures.join("; "));
        }
    }

    /// Logs it, too, if it is worth a line.
    fn say(&self, problem: String) {
        if self.lock().hear(&problem, Instant::now()) {
            let servers = &self.servers;
            tracing::warn!(
                servers,
                problem,
                "no connection to NATS, which the setting `nats` names; it is tried again"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Away {
    /// The connection stands. Is that worth a line of the log? Not if it comes and goes.
    fn is_back(&mut self, now: Instant) -> bool {
        self.problem = None;
        let is_steady = self.back_at.is_none_or(|at| now.saturating_duration_since(at) >= STEADY);
        self.back_at = Some(now);
        is_steady
    }

    /// Remembers a problem. Is it worth a line of the log? One that is new is, and now and then one that goes on.
    fn hear(&mut self, problem: &str, now: Instant) -> bool {
        self.problem = Some(problem.to_owned());
        // Of a connection that stood for a while all is new.
        if self.back_at.is_some_and(|at| now.saturating_duration_since(at) >= STEADY) {
            *self = Away { problem: self.problem.take(), ..Away::default() };
        }
        let is_new = self.told.len() < PROBLEMS_MAX && !self.told.iter().any(|told| told == problem);
        let is_due = self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= REMIND_EVERY);
        if is_new {
            self.told.push(problem.to_owned());
        }
        if is_new || is_due {
            self.told_at = Some(now);
        }
        is_new || is_due
    }
}

/// The servers without who we are there, and that.
fn read_addresses(text: &str, given: Credentials) -> Result<(Vec<ServerAddr>, Credentials), NatsError> {
    let mut credentials = given;
    let mut addresses = Vec::new();
    for word in text.split(',').map(str::trim) {
        let wrong = || {
            let shown = word.rsplit_once('@').map_or(word, |(_, host)| host);
            NatsError::Address { address: shown.to_owned() }
        };
        let address: ServerAddr = word.parse().map_err(|_| wrong())?;
        if address.is_websocket() || address.host().is_empty() {
            return Err(wrong());
        }
        let own = Credentials::of_address(address.username().unwrap_or_default(), address.password());
        if own != Credentials::None {
            if credentials != Credentials::None && credentials != own {
                return Err(NatsError::ManyUsers);
            }
            credentials = own;
        }
        let host =
            if address.host().contains(':') { format!("[{}]", address.host()) } else { address.host().to_owned() };
        let plain = format!("{}://{host}:{}", address.scheme(), address.port());
        addresses.push(plain.parse().map_err(|_| wrong())?);
    }
    Ok((addresses, credentials))
}

fn reconnect_pause(tries: usize) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    Duration::from_millis((RECONNECT_FIRST_MS << doublings).min(RECONNECT_MAX_MS))
}

/// A file that is not there is told now, not each time NATS is tried.
fn readable(path: &std::path::Path) -> Result<(), NatsError> {
    std::fs::File::open(path).map(drop).map_err(|cause| NatsError::File { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<String>, Credentials), NatsError> {
        let (addresses, credentials) = read_addresses(text, Credentials::None)?;
        Ok((addresses.iter().map(|address| address.as_url_str().to_owned()).collect(), credentials))
    }

    #[test]
    fn addresses_are_taken_apart() {
        let (addresses, credentials) = read("nats://ci:pw@one, tls://two:4333,[::1]:5").unwrap();
        assert_eq!(addresses, ["nats://one:4222", "tls://two:4333", "nats://[::1]:5"]);
        assert_eq!(credentials, Credentials::User { user: "ci".into(), password: "pw".into() });
        assert!(matches!(read("nats://a@one,nats://b@two"), Err(NatsError::ManyUsers)));
    }

    #[test]
    fn a_wrong_address_is_shown_without_its_password() {
        for wrong in ["http://ci:hidden@host", "", "ws://host", "nats://ci:hidden@host:port"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("nats://HOST:4222") && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let pauses: Vec<u128> =
            [1, 2, 3, 50, usize::MAX].map(reconnect_pause).iter().map(Duration::as_millis).collect();
        assert_eq!(pauses, [50, 100, 200, 1000, 1000]);
    }

    #[test]
    fn the_log_tells_a_problem_once_and_now_and_then_again() {
        let (begun, mut away) = (Instant::now(), Away::default());
        let mut hear = |problem: &str, seconds: u64| away.hear(problem, begun + Duration::from_secs(seconds));
        assert!(hear("it broke off", 0) && hear("refused", 1));
        assert!(!hear("refused", 2) && !hear("it broke off", 3) && !hear("refused", 300));
        assert!(hear("refused", 601) && !hear("refused", 602));
        // A server that says another thing each time does not fill the log.
        let told = (0..100).filter(|number| hear(&number.to_string(), 603)).count();
        assert_eq!(told, PROBLEMS_MAX - 2);
    }

    #[test]
    fn the_log_tells_once_of_a_connection_that_comes_and_goes() {
        let (begun, mut away) = (Instant::now(), Away::default());
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert!(away.is_back(at(0)) && away.hear("it broke off", at(100)));
        assert!(away.hear("refused", at(101)));
        assert!(away.is_back(at(102)));
        assert!(!away.hear("it broke off", at(103)) && !away.is_back(at(104)) && away.problem.is_none());
        assert!(!away.hear("it broke off", at(105)) && !away.is_back(at(106)));
        assert!(away.hear("it broke off", at(200)), "it stood for a while");
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_told() {
        // A name has 63 letters between two dots at most: no server of names is asked.
        let name = "n".repeat(64);
        let settings = NatsSettings { servers: format!("nats://{name}"), ..NatsSettings::default() };
        let nats = Nats::connect(settings).await.unwrap();
        let problem = || nats.problem().unwrap();
        crate::nats::testing::until("the problem is known", || problem().contains("cannot be looked up")).await;
        assert!(problem().contains(&format!("nats://{name}:4222")), "{}", problem());
    }

    #[tokio::test]
    async fn nats_may_be_away_but_a_file_may_not() {
        let settings = NatsSettings { servers: "nats://127.0.0.1:1".to_owned(), ..NatsSettings::default() };
        let nats = Nats::connect(settings.clone()).await.unwrap();
        assert!(!nats.is_connected());
        assert!(nats.problem().unwrap().contains("nats://127.0.0.1:1"));
        let settings = NatsSettings { ca_file: Some("/nowhere/ca.pem".into()), ..settings };
        assert!(matches!(Nats::connect(settings).await, Err(NatsError::File { .. })));
    }
}
