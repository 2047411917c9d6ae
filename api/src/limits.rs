//! How often somebody may ask: each token so many times a second, and each address so many times
//! without a token that is known.
//!
//! Guessing tokens is slow: an address that guessed too often is told nothing but to wait, whether
//! its next guess is right or not. Only tokens that the address used before get through then, so
//! that a guesser behind the same proxy does not lock the shop out. Limits are per process.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use crate::problem::Problem;
use crate::tokens::Tokens;

/// Attempts of an address at once, and per second after that.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(120).expect("is not zero");
const ATTEMPTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(2).expect("is not zero");

/// Addresses kept in mind before those that did nothing lately are forgotten.
const ADDRESSES: usize = 10_000;

/// Where a request comes from, as far as this process can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    /// Somebody who has one IPv6 address has the whole network of it.
    pub(crate) fn of(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V6(addr) => {
                let [a, b, c, d, ..] = addr.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            addr @ IpAddr::V4(_) => Self(addr),
        }
    }
}

/// What was asked lately; clones are the same.
#[derive(Clone)]
pub(crate) struct Limits(Arc<Inner>);

struct Inner {
    requests: HashMap<Arc<str>, DefaultDirectRateLimiter>,
    attempts: DefaultKeyedRateLimiter<Peer>,
    /// Which tokens an address used.
    known: Mutex<HashSet<(Peer, Arc<str>)>>,
    clock: DefaultClock,
}

impl Limits {
    /// So many requests per second for each token, and so many at once.
    pub(crate) fn new(tokens: &Tokens, rps: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(rps).allow_burst(burst);
        let names = tokens.names();
        Self(Arc::new(Inner {
            requests: names
                .map(|name| (Arc::clone(name), RateLimiter::direct(quota)))
                .collect(),
            attempts: RateLimiter::keyed(
                Quota::per_second(ATTEMPTS_PER_SECOND).allow_burst(ATTEMPTS),
            ),
            known: Mutex::default(),
            clock: DefaultClock::default(),
        }))
    }

    /// A request with this token.
    pub(crate) fn request(&self, peer: Peer, token: &Arc<str>) -> Result<(), Problem> {
        let used = (peer, Arc::clone(token));
        if !self.known().contains(&used) {
            self.attempt(peer)?;
            let mut known = self.known();
            if known.len() >= ADDRESSES {
                known.clear();
            }
            known.insert(used);
        }
        match self.0.requests.get(token).map(RateLimiter::check) {
            Some(Err(not_yet)) => Err(self.too_many(&not_yet)),
            _ => Ok(()),
        }
    }

    /// A request of which nobody knows yet whether it may be made.
    pub(crate) fn attempt(&self, peer: Peer) -> Result<(), Problem> {
        let attempts = &self.0.attempts;
        if attempts.len() >= ADDRESSES {
            attempts.retain_recent();
        }
        let checked = attempts.check_key(&peer);
        checked.map_err(|not_yet| self.too_many(&not_yet))
    }

    fn too_many(&self, not_yet: &NotUntil<governor::clock::QuantaInstant>) -> Problem {
        let wait = not_yet.wait_time_from(self.0.clock.now());
        Problem::TooManyRequests(whole_seconds(wait))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<(Peer, Arc<str>)>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up: whoever waits that long is let in.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn limits(burst: u32) -> (Limits, Arc<str>, Arc<str>) {
        let entry = |name: &str, digit: &str| format!("{name}:shop:{}", digit.repeat(64));
        let tokens: Tokens = [entry("web", "a"), entry("app", "b")]
            .join(",")
            .parse()
            .unwrap();
        let limits = Limits::new(&tokens, ONE, NonZeroU32::new(burst).unwrap());
        (limits, "web".into(), "app".into())
    }

    fn peer(last: u8) -> Peer {
        Peer::of(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn each_token_has_its_own_allowance() {
        let (limits, web, app) = limits(2);
        assert_eq!(limits.request(peer(1), &web), Ok(()));
        assert_eq!(limits.request(peer(2), &web), Ok(()));
        let refused = limits.request(peer(1), &web);
        assert_eq!(refused, Err(Problem::TooManyRequests(1)));
        assert_eq!(limits.request(peer(1), &app), Ok(()));
    }

    #[test]
    fn whoever_guessed_too_often_hears_nothing_even_when_right() {
        let (limits, web, app) = limits(100);
        assert_eq!(limits.request(peer(1), &web), Ok(()));
        let guesses = (0..2 * ATTEMPTS.get()).map(|_| limits.attempt(peer(1)));
        assert!(guesses.filter(Result::is_err).count() > 100);
        // A token not seen from there is not let in, one that was used before is.
        let refused = limits.request(peer(1), &app);
        assert!(
            matches!(refused, Err(Problem::TooManyRequests(_))),
            "{refused:?}"
        );
        assert_eq!(limits.request(peer(1), &web), Ok(()));
        // Others are not concerned.
        assert_eq!(limits.attempt(peer(2)), Ok(()));
        assert_eq!(limits.request(peer(2), &app), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| Peer::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
