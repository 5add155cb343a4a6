//! A client's token, ready to be forwarded, and the state of its refresh.

use crate::cache::purges::Checked;
use crate::key::{Fingerprint, Key};
use crate::metrics::clients::Requests;
use crate::token::claims::{Claims, walk};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A client's token, ready to be forwarded. Wiped when dropped.
pub struct Grant {
    pub(crate) client_id: Box<str>,
    /// `Bearer …`
    authorization: Zeroizing<Box<str>>,
    /// Its cache key, and the fingerprint of the gates that share it.
    pub(crate) key: Key,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) received: Instant,
    /// The wall clock at its receipt, since the Unix epoch.
    received_wall: Duration,
    pub(crate) lifetime: Lifetime,
    /// It is the client's own token.
    pub(crate) is_client_supplied: bool,
    /// Its claims, if it is a JWT.
    pub(crate) claims: Option<Claims>,
    /// The granted scope of an opaque token, space-separated.
    scope: Option<Box<str>>,
    pub(crate) refresh: Refresh,
    /// The purges that do not concern it.
    pub(crate) checked: Checked,
    /// The counters of its client, once its flight has landed.
    pub(crate) requests: Arc<Requests>,
}

/// The lifetime of a token, from its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Stated(Duration),
    /// Neither `expires_in` nor `exp` states it.
    Unknown,
    /// It is unusable: zero, in the past, or not a number. The token is for the waiters of this exchange only.
    Unusable,
}

/// The state of a token's refresh.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    /// The age in milliseconds before which no refresh starts.
    not_before: AtomicU64,
    failed: AtomicBool,
}

/// The pause between two attempts.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

impl Refresh {
    /// Claims the refresh for the caller; false if another caller has it. `age`: since the receipt of the token.
    pub(crate) fn claim(&self, age: Duration) -> bool {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let not_before = self.not_before.load(Ordering::Relaxed);
        let next = age.saturating_add(REFRESH_PAUSE.as_millis() as u64);
        age >= not_before
            && self
                .not_before
                .compare_exchange(not_before, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Stops further attempts: the provider repeats its token until it expires.
    pub(crate) fn give_up(&self) {
        self.not_before.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn note_failure(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The origin of a token: its key and the time of its receipt.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) key: Key,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) received: Instant,
    /// The wall clock at its receipt, since the Unix epoch.
    pub(crate) received_wall: Duration,
    /// It is the client's own token.
    pub(crate) is_client_supplied: bool,
}

impl Grant {
    pub(crate) fn new(
        origin: Origin,
        client_id: &str,
        token: &str,
        lifetime: Lifetime,
        claims: Option<Claims>,
    ) -> Grant {
        let mut authorization = String::with_capacity(BEARER.len() + token.len());
        authorization.push_str(BEARER);
        authorization.push_str(token);
        Grant {
            client_id: client_id.into(),
            authorization: Zeroizing::new(authorization.into_boxed_str()),
            key: origin.key,
            fingerprint: origin.fingerprint,
            received: origin.received,
            received_wall: origin.received_wall,
            is_client_supplied: origin.is_client_supplied,
            lifetime,
            claims,
            scope: None,
            refresh: Refresh::default(),
            checked: Checked::default(),
            requests: Arc::default(),
        }
    }

    /// The same grant with the granted scope, for an opaque token.
    pub(crate) fn with_scope(mut self, scope: Option<&str>) -> Grant {
        self.scope = scope.map(Box::from);
        self
    }

    /// The granted scope of an opaque token, if it is known.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The age by the clock that shows more: the monotonic clock stops while a virtual machine is suspended, and the
    /// wall clock may be set back. `wall`: the time since the Unix epoch.
    pub(crate) fn age(&self, now: Instant, wall: Duration) -> Duration {
        let monotonic = now.saturating_duration_since(self.received);
        monotonic.max(wall.saturating_sub(self.received_wall))
    }

    /// The client of the token.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// `Bearer …`, without characters that could end a header line.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// A claim of a JWT by its name, or by a path of names joined by `__` (positions in arrays from 1). Text is
    /// returned as it is, any other value as JSON. `None` also for text with control characters, which would end a line
    /// in headers and logs.
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let claims = self.claims.as_ref()?;
        let value = match claims.get(name) {
            Some(value) => value,
            None => walk(
                claims.get(name.split("__").next()?)?,
                name.split("__").skip(1),
            )?,
        };
        Some(match value {
            Value::String(text) if text.chars().any(char::is_control) => return None,
            Value::String(text) => text.as_str().into(),
            other => other.to_string().into(),
        })
    }

    /// All claims, as a JSON object; `None` if the token is not a JWT.
    pub fn claims(&self) -> Option<String> {
        self.claims.as_ref().map(Claims::json)
    }

    /// The token without `Bearer`.
    pub fn token(&self) -> &str {
        &self.authorization[BEARER.len()..]
    }

    /// The approximate size, in bytes.
    pub(crate) fn size(&self) -> usize {
        let claims = self.claims.as_ref().map_or(0, |claims| claims.size);
        let scope = self.scope().map_or(0, str::len);
        size_of::<Grant>() + self.client_id.len() + self.authorization.len() + claims + scope
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

const BEARER: &str = "Bearer ";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sys::clock::Clock;
    use crate::sys::clock::manual::ManualClock;

    pub(crate) fn grant(token: &str, lifetime: Lifetime, clock: &dyn Clock) -> Grant {
        let origin = Origin {
            key: Key::for_test(1),
            fingerprint: Fingerprint::for_test(1),
            received: clock.now(),
            received_wall: clock.wall(),
            is_client_supplied: false,
        };
        Grant::new(origin, "id", token, lifetime, None)
    }

    #[test]
    fn the_age_is_the_larger_of_both_clocks() {
        for (advance, step, age) in [
            (0, 0, 0),
            (60, 0, 60),
            (60, -3600, 60),
            // The monotonic clock stood still.
            (0, 900, 900),
            (60, 900, 960),
        ] {
            let clock = ManualClock::new();
            let grant = grant("t", Lifetime::Unknown, &clock);
            clock.advance(Duration::from_secs(advance));
            clock.step(step);
            let expected = Duration::from_secs(age);
            assert_eq!(grant.age(clock.now(), clock.wall()), expected, "{step}");
        }
    }
}
