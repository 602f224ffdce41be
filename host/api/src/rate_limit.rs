//! How often something may be asked for: by token, by agent, by address, and much less often to sign in.
//!
//! An address counts only for requests that show nothing that was seen lately: many agents and people share one.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::http::header;
use governor::{
    NotUntil, RateLimiter,
    clock::{Clock as _, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use oxide_store::CredentialHash;

use crate::{
    error::{ApiError, ErrorKind},
    settings::{Quota, Rates},
};

type Limiter<K> = RateLimiter<
    K,
    HashMapStateStore<K>,
    DefaultClock,
    NoOpMiddleware<<DefaultClock as governor::clock::Clock>::Instant>,
>;

/// How long a credential that was right is taken for known.
const KNOWN: Duration = Duration::from_secs(60);
/// How many credentials are known at most.
const KNOWN_MAX: usize = 10_000;
/// How many keys a limiter holds before it forgets those that are at rest.
const KEYS_MAX: usize = 20_000;

/// The limiters.
pub struct RateLimits {
    addresses: Limiter<IpAddr>,
    sign_ins: Limiter<IpAddr>,
    tokens: Limiter<CredentialHash>,
    agents: Limiter<CredentialHash>,
    /// Hashes of credentials that were right, and when.
    known: Mutex<HashMap<CredentialHash, Instant>>,
}

impl std::fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}

fn quota(quota: Quota) -> governor::Quota {
    governor::Quota::per_second(quota.per_second).allow_burst(quota.burst)
}

fn every(period: Duration, burst: NonZeroU32) -> governor::Quota {
    let period = period.max(Duration::from_millis(1));
    governor::Quota::with_period(period).expect("a period of a millisecond and more is no zero").allow_burst(burst)
}

impl RateLimits {
    /// Limiters with these bounds.
    pub fn new(rates: &Rates) -> RateLimits {
        RateLimits {
            addresses: RateLimiter::hashmap(quota(rates.address)),
            sign_ins: RateLimiter::hashmap(every(rates.sign_in_every, rates.sign_in_burst)),
            tokens: RateLimiter::hashmap(quota(rates.token)),
            agents: RateLimiter::hashmap(quota(rates.agent)),
            known: Mutex::default(),
        }
    }

    /// A request of an address that shows nothing known.
    ///
    /// # Errors
    /// 429.
    pub fn address(&self, address: IpAddr) -> Result<(), ApiError> {
        check(&self.addresses, &key_of(address), "this address")
    }

    /// An attempt to sign in.
    ///
    /// # Errors
    /// 429.
    pub fn sign_in(&self, address: IpAddr) -> Result<(), ApiError> {
        check(&self.sign_ins, &key_of(address), "this address, for signing in")
    }

    /// A request with a token or a session.
    ///
    /// # Errors
    /// 429.
    pub fn token(&self, key: &CredentialHash) -> Result<(), ApiError> {
        check(&self.tokens, key, "this token")
    }

    /// A request of an agent.
    ///
    /// # Errors
    /// 429.
    pub fn agent(&self, key: &CredentialHash) -> Result<(), ApiError> {
        check(&self.agents, key, "this agent")
    }

    /// Was this credential right lately?
    pub fn is_known(&self, hash: &CredentialHash) -> bool {
        let known = self.known.lock().expect("nobody panics here");
        known.get(hash).is_some_and(|seen| seen.elapsed() < KNOWN)
    }

    /// This credential is right.
    pub fn know(&self, hash: &CredentialHash) {
        let mut known = self.known.lock().expect("nobody panics here");
        if known.len() >= KNOWN_MAX {
            known.retain(|_, seen| seen.elapsed() < KNOWN);
        }
        if known.len() < KNOWN_MAX {
            known.insert(hash.clone(), Instant::now());
        }
    }

    /// This credential is no longer right.
    pub fn forget(&self, hash: &CredentialHash) {
        self.known.lock().expect("nobody panics here").remove(hash);
    }
}

fn check<K: std::hash::Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K, whose: &str) -> Result<(), ApiError> {
    if limiter.len() > KEYS_MAX {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|until| refuse(&until, whose))
}

fn refuse<P: Reference + From<<DefaultClock as governor::clock::Clock>::Instant>>(
    until: &NotUntil<P>,
    whose: &str,
) -> ApiError
where
    DefaultClock: governor::clock::Clock<Instant = P>,
{
    let wait = until.wait_time_from(DefaultClock::default().now());
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    ApiError::new(ErrorKind::TooManyRequests, format!("too many requests of {whose}"))
        .with_header(header::RETRY_AFTER, seconds.to_string())
        .suggest(format!("wait {seconds} s"))
}

/// What counts as one address: whoever has one of IPv6 has the 2^64 beside it, too.
fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(sign_in_burst: u32) -> RateLimits {
        let rates = Rates { sign_in_burst: NonZeroU32::new(sign_in_burst).unwrap(), ..Rates::default() };
        RateLimits::new(&rates)
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let limits = limits(3);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..3 {
            limits.sign_in(one).unwrap();
        }
        let refused = limits.sign_in(one).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooManyRequests);
        assert!(limits.sign_in("::ffff:192.0.2.1".parse().unwrap()).is_err());
        limits.sign_in("192.0.2.2".parse().unwrap()).unwrap();
    }

    #[test]
    fn neighbours_of_ipv6_share() {
        let limits = limits(1);
        limits.sign_in("2001:db8::1".parse().unwrap()).unwrap();
        assert!(limits.sign_in("2001:db8::ffff".parse().unwrap()).is_err());
        limits.sign_in("2001:db8:0:1::1".parse().unwrap()).unwrap();
    }

    #[test]
    fn what_was_right_is_known_until_it_is_forgotten() {
        let limits = limits(1);
        let hash = CredentialHash::of("h");
        assert!(!limits.is_known(&hash));
        limits.know(&hash);
        assert!(limits.is_known(&hash));
        limits.forget(&hash);
        assert!(!limits.is_known(&hash));
    }
}
