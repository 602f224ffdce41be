//! Who may pull and who may push.
//!
//! A users file has a line for each account: name, password hash, and `read` or `write` (`write` if nothing stands there).
//! The hash is scrypt in the usual text form, `$scrypt$ln=15,r=8,p=1$SALT$HASH`; `oxide registry password` writes such lines.
//! A password that was right is remembered as a keyed hash for as long as the process lives, because scrypt is slow on
//! purpose and a push makes dozens of requests.

use std::{
    collections::{HashMap, HashSet},
    io::Read as _,
    sync::{Arc, Mutex},
};

use axum::http::{HeaderMap, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::refusal::Refusal;

/// Cost of new hashes: 32 MiB and about 100 ms.
const LOG_N: u8 = 15;
/// The largest cost that is accepted in a file: 128 MiB.
const LOG_N_MAX: u8 = 17;
const BLOCK_MAX: u32 = 16;
const PARALLEL_MAX: u32 = 4;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const USERS_MAX: usize = 10_000;
const FILE_BYTES_MAX: usize = 4 << 20;
/// How many passwords are hashed at once.
const HASHING_MAX: usize = 2;
/// How many passwords wait to be hashed; more are told to come again.
const WAITING_MAX: usize = 64;
/// The longest header with a name and a password that is looked at.
const CREDENTIALS_BYTES_MAX: usize = 4096;
const REMEMBERED_MAX: usize = 10_000;

/// What an account, or everybody, may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look and pull.
    Read,
    /// Push and delete, too.
    Write,
}

/// The accounts of a users file.
#[derive(Clone, Debug, Default)]
pub struct Users(HashMap<String, (PasswordHash, Right)>);

/// Why a users file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct UsersError {
    line: usize,
    problem: String,
}

impl Users {
    /// Reads the text of a users file. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// A [`UsersError`] that names the line.
    pub fn parse(text: &str) -> Result<Users, UsersError> {
        let refuse = |line: usize, problem: &str| UsersError { line, problem: problem.to_owned() };
        if text.len() > FILE_BYTES_MAX {
            return Err(refuse(1, "the file is larger than 4 MiB"));
        }
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, hash, right) = match words.as_slice() {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [name, hash] => (*name, *hash, Right::Write),
                [name, hash, "read"] => (*name, *hash, Right::Read),
                [name, hash, "write"] => (*name, *hash, Right::Write),
                _ => return Err(refuse(number, "write `NAME HASH`, then `read` or `write`")),
            };
            check_name(name).map_err(|problem| refuse(number, problem))?;
            let hash = PasswordHash::parse(hash).ok_or_else(|| {
                refuse(number, "the second word is no scrypt hash: `oxide registry password NAME` prints the line")
            })?;
            if users.insert(name.to_owned(), (hash, right)).is_some() {
                return Err(refuse(number, "there is an account of this name already"));
            }
            if users.len() > USERS_MAX {
                return Err(refuse(number, "there are more than 10,000 accounts"));
            }
        }
        Ok(Users(users))
    }

    /// How many accounts there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// A line of a users file for this account, hashed with a new salt.
    ///
    /// # Errors
    /// A sentence, if the name or the password cannot be used, or there is no randomness.
    pub fn line(name: &str, password: &str, right: Right) -> Result<String, String> {
        check_name(name).map_err(str::to_owned)?;
        if password.is_empty() || password.chars().any(char::is_control) {
            return Err("the password is empty, or holds a control character".to_owned());
        }
        let salt: [u8; SALT_BYTES] =
            crate::random::bytes().map_err(|error| format!("there is no randomness: {error}"))?;
        let hash = PasswordHash::new(password.as_bytes(), &salt);
        let right = if right == Right::Write { "write" } else { "read" };
        Ok(format!("{name} {hash} {right}"))
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = (1..=100).contains(&name.len()) && !name.starts_with('#') && !name.contains(':');
    match fits && name.chars().all(|c| !c.is_whitespace() && !c.is_control()) {
        true => Ok(()),
        false => Err("a name has 1 to 100 bytes, no space and no `:`, and does not begin with `#`"),
    }
}

/// A password as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PasswordHash {
    log_n: u8,
    r: u32,
    p: u32,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

impl PasswordHash {
    fn new(password: &[u8], salt: &[u8]) -> PasswordHash {
        let mut new = PasswordHash { log_n: LOG_N, r: 8, p: 1, salt: salt.to_vec(), hash: [0; HASH_BYTES] };
        new.hash = new.hash_of(password);
        new
    }

    fn parse(text: &str) -> Option<PasswordHash> {
        let mut parts = text.strip_prefix("$scrypt$")?.split('$');
        let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut numbers = parameters.split(',');
        let log_n = numbers.next()?.strip_prefix("ln=")?.parse().ok()?;
        let r = numbers.next()?.strip_prefix("r=")?.parse().ok()?;
        let p = numbers.next()?.strip_prefix("p=")?.parse().ok()?;
        let salt = STANDARD_NO_PAD.decode(salt).ok()?;
        let hash = STANDARD_NO_PAD.decode(hash).ok()?.try_into().ok()?;
        let fits = (10..=LOG_N_MAX).contains(&log_n) && (1..=BLOCK_MAX).contains(&r) && (1..=PARALLEL_MAX).contains(&p);
        let is_whole = parts.next().is_none() && numbers.next().is_none() && (8..=64).contains(&salt.len());
        (fits && is_whole).then_some(PasswordHash { log_n, r, p, salt, hash })
    }

    fn hash_of(&self, password: &[u8]) -> [u8; HASH_BYTES] {
        let parameters = scrypt::Params::new(self.log_n, self.r, self.p).expect("the parameters were checked");
        let mut hash = [0; HASH_BYTES];
        scrypt::scrypt(password, &self.salt, &parameters, &mut hash).expect("32 bytes are a length that scrypt has");
        hash
    }

    fn fits(&self, password: &[u8]) -> bool {
        // Every byte is looked at, so that the time tells nothing.
        let differences = self.hash_of(password).iter().zip(self.hash).fold(0, |sum, (a, b)| sum | (a ^ b));
        differences == 0
    }
}

impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(self.hash));
        write!(f, "$scrypt$ln={},r={},p={}${salt}${hash}", self.log_n, self.r, self.p)
    }
}

/// Decides about requests.
pub(super) struct Access {
    users: Option<Users>,
    everybody: Option<Right>,
    read_only: bool,
    /// Keyed hashes of credentials that were right.
    remembered: Mutex<HashSet<[u8; 32]>>,
    key: [u8; 32],
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Stands for accounts that are not there, so that they take as long as others.
    nobody: PasswordHash,
}

impl Access {
    /// Are there accounts?
    pub fn has_accounts(&self) -> bool {
        self.users.is_some()
    }

    /// Accounts, and what those may do who name none.
    pub fn new(users: Option<Users>, everybody: Option<Right>, read_only: bool) -> std::io::Result<Access> {
        let salt: [u8; SALT_BYTES] = crate::random::bytes()?;
        Ok(Access {
            users,
            everybody,
            read_only,
            remembered: Mutex::default(),
            key: crate::random::bytes()?,
            hashing: Arc::new(Semaphore::new(HASHING_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            nobody: PasswordHash { log_n: LOG_N, r: 8, p: 1, salt: salt.to_vec(), hash: [0; HASH_BYTES] },
        })
    }

    /// May whoever sends these headers do this? `is_base` marks the first request of a client, whose answer tells it whether
    /// there are accounts at all.
    pub async fn check(&self, headers: &HeaderMap, needs: Right, is_base: bool) -> Result<(), Refusal> {
        if self.read_only && needs == Right::Write {
            return Err(Refusal::denied("this registry is read-only"));
        }
        let right = match (&self.users, credentials(headers)?) {
            (None, _) => self.everybody,
            (Some(_), None) if is_base => None,
            (Some(_), None) => self.everybody,
            (Some(users), Some((name, password))) => Some(self.right_of(users, name, password).await?),
        };
        match right {
            Some(right) if right >= needs => Ok(()),
            Some(Right::Read) if credentials(headers)?.is_some() => Err(Refusal::denied("this account may only pull")),
            _ => Err(Refusal::unauthorized("sign in first: `docker login`, `oras login` or `skopeo login`")),
        }
    }

    async fn right_of(&self, users: &Users, name: String, password: String) -> Result<Right, Refusal> {
        let account = users.0.get(&name).cloned();
        let seen = self.keyed(&name, &password);
        let is_remembered = self.remembered.lock().expect("nobody panics here").contains(&seen);
        if let (true, Some((_, right))) = (is_remembered, &account) {
            return Ok(*right);
        }
        let come_again = || Refusal::too_many("too many passwords are being checked");
        let _waiting = self.waiting.clone().try_acquire_owned().map_err(|_| come_again())?;
        let turn = self.hashing.clone().acquire_owned().await.map_err(|_| come_again())?;
        let hash = account.as_ref().map_or(&self.nobody, |(hash, _)| hash).clone();
        let fits = tokio::task::spawn_blocking(move || {
            // Kept until the hash is done, even if the client has gone away.
            let _turn = turn;
            hash.fits(password.as_bytes())
        });
        let fits = fits.await.map_err(|error| Refusal::internal("check a password", error))?;
        match account {
            Some((_, right)) if fits => {
                let mut remembered = self.remembered.lock().expect("nobody panics here");
                if remembered.len() >= REMEMBERED_MAX {
                    remembered.clear();
                }
                remembered.insert(seen);
                Ok(right)
            }
            _ => Err(Refusal::unauthorized("the name or the password is wrong")),
        }
    }

    fn keyed(&self, name: &str, password: &str) -> [u8; 32] {
        let inner = Sha256::new().chain_update(self.key).chain_update(name).chain_update([0]).chain_update(password);
        Sha256::new().chain_update(self.key).chain_update(inner.finalize()).finalize().into()
    }
}

/// Name and password of a request; none if it has no or empty ones, as some clients send who have none.
fn credentials(headers: &HeaderMap) -> Result<Option<(String, String)>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let read = |value: &str| {
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > CREDENTIALS_BYTES_MAX {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
    };
    match value.to_str().ok().and_then(read) {
        Some((name, password)) if name.is_empty() && password.is_empty() => Ok(None),
        Some(found) => Ok(Some(found)),
        None => Err(Refusal::unauthorized("only a name and a password (`Basic`) are understood here")),
    }
}

/// Reads a users file.
///
/// # Errors
/// If it cannot be read; what is wrong within it comes from [`Users::parse`].
pub fn read_users_file(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use axum::{http::StatusCode, response::IntoResponse as _};

    use super::*;

    fn signed_in(name: &str, password: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    async fn status(access: &Access, headers: &HeaderMap, needs: Right, is_base: bool) -> StatusCode {
        match access.check(headers, needs, is_base).await {
            Ok(()) => StatusCode::OK,
            Err(refusal) => refusal.into_response().status(),
        }
    }

    #[tokio::test]
    async fn accounts_do_what_their_line_says() {
        let lines = [
            Users::line("ada", "s3cret:with colon", Right::Write).unwrap(),
            "# a remark".to_owned(),
            Users::line("bob", "other", Right::Read).unwrap(),
        ];
        let users = Users::parse(&lines.join("\n")).unwrap();
        assert_eq!(users.count(), 2);
        let closed = Access::new(Some(users.clone()), None, false).unwrap();
        let (ada, bob, nobody) = (signed_in("ada", "s3cret:with colon"), signed_in("bob", "other"), HeaderMap::new());
        for _ in 0..2 {
            assert_eq!(status(&closed, &ada, Right::Write, false).await, StatusCode::OK);
        }
        assert_eq!(status(&closed, &bob, Right::Read, false).await, StatusCode::OK);
        assert_eq!(status(&closed, &bob, Right::Write, false).await, StatusCode::FORBIDDEN);
        let wrong = [signed_in("ada", "s3cret"), signed_in("eve", "x"), signed_in("", ""), nobody.clone()];
        for headers in &wrong {
            assert_eq!(status(&closed, headers, Right::Read, false).await, StatusCode::UNAUTHORIZED);
        }
        let open = Access::new(Some(users.clone()), Some(Right::Read), false).unwrap();
        assert_eq!(status(&open, &nobody, Right::Read, false).await, StatusCode::OK);
        assert_eq!(status(&open, &signed_in("", ""), Right::Read, false).await, StatusCode::OK);
        // Clients that are never asked never sign in.
        assert_eq!(status(&open, &nobody, Right::Read, true).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&open, &nobody, Right::Write, false).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&open, &signed_in("ada", "no"), Right::Read, false).await, StatusCode::UNAUTHORIZED);
        let read_only = Access::new(Some(users), None, true).unwrap();
        assert_eq!(status(&read_only, &ada, Right::Write, false).await, StatusCode::FORBIDDEN);
        let free = Access::new(None, Some(Right::Write), false).unwrap();
        assert_eq!(status(&free, &nobody, Right::Write, true).await, StatusCode::OK);
    }

    #[test]
    fn what_is_wrong_in_a_users_file_is_named_with_its_line() {
        let hash = PasswordHash::new(b"x", b"saltsaltsaltsalt").to_string();
        let told = |text: &str| Users::parse(text).unwrap_err().to_string();
        assert!(told("\nada").starts_with("line 2: write `NAME HASH`"));
        assert!(told("ada secret").contains("`oxide registry password NAME` prints the line"));
        assert!(told(&format!("ada {hash} admin")).contains("`read` or `write`"));
        assert!(told(&format!("ada {hash}\nada {hash}")).starts_with("line 2: there is an account"));
        assert!(told(&format!("a:b {hash}")).contains("no `:`"));
        // A file cannot make the server allocate gigabytes.
        for cost in ["ln=30,r=8,p=1", "ln=15,r=4096,p=1", "ln=15,r=8,p=1000", "ln=15,r=0,p=1", "ln=1,r=8,p=1"] {
            assert!(PasswordHash::parse(&hash.replace("ln=15,r=8,p=1", cost)).is_none(), "{cost}");
        }
        assert_eq!(PasswordHash::parse(&hash).unwrap().to_string(), hash);
        assert!(Users::line("a b", "x", Right::Read).is_err() && Users::line("a", "", Right::Read).is_err());
    }
}
