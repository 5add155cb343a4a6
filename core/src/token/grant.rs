//! A client's token, ready to be forwarded, and the state of its refresh.

use crate::cache::purges::Checked;
use crate::key::{Fingerprint, Key};
use crate::metrics::clients::Requests;
use crate::sys::clock::{Clock, SystemClock};
use crate::token::claims::{Claims, ClaimsSet, Facts, walk};
use crate::token::packed::Packed;
use crate::token::passed::Passed;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A client's token, ready to be forwarded. Wiped when dropped.
pub struct Grant {
    /// `Bearer …`, then the client's id, then the contents: one allocation for all of them.
    text: Zeroizing<Box<str>>,
    id_at: u32,
    contents_at: u32,
    kind: Kind,
    /// It is the client's own token.
    pub(crate) is_client_supplied: bool,
    facts: Facts,
    /// Its cache key, and the fingerprint of the gates that share it.
    pub(crate) key: Key,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) received: Instant,
    /// The wall clock at its receipt, since the Unix epoch.
    received_wall: Duration,
    pub(crate) lifetime: Lifetime,
    pub(crate) refresh: Refresh,
    /// The purges that do not concern it.
    pub(crate) checked: Checked,
    /// The policy that it has met, and the list of clients that has its client.
    pub(crate) met: Passed,
    pub(crate) listed: Passed,
    /// The counters of its client, once its flight has landed.
    pub(crate) requests: Arc<Requests>,
}

/// The contents of a token, as far as they are known.
pub(crate) enum Contents<'c> {
    /// The claims of a JWT, or of an introspected token.
    Claims(Claims),
    /// The granted scope of an opaque token, space-separated; `None`: unknown.
    Opaque(Option<&'c str>),
}

/// The part of the text of a grant behind the client's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Claims,
    Scope,
    Nothing,
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
        contents: &Contents<'_>,
    ) -> Grant {
        let (kind, contents, facts) = match contents {
            Contents::Claims(claims) => (Kind::Claims, claims.packed.as_str(), claims.facts),
            Contents::Opaque(Some(scope)) => (Kind::Scope, *scope, Facts::default()),
            Contents::Opaque(None) => (Kind::Nothing, "", Facts::default()),
        };
        let id_at = BEARER.len() + token.len();
        let contents_at = id_at + client_id.len();
        let mut text = String::with_capacity(contents_at + contents.len());
        for part in [BEARER, token, client_id, contents] {
            text.push_str(part);
        }
        Grant {
            text: Zeroizing::new(text.into_boxed_str()),
            // A response of a provider is shorter.
            id_at: id_at as u32,
            contents_at: contents_at as u32,
            kind,
            facts,
            key: origin.key,
            fingerprint: origin.fingerprint,
            received: origin.received,
            received_wall: origin.received_wall,
            is_client_supplied: origin.is_client_supplied,
            lifetime,
            refresh: Refresh::default(),
            checked: Checked::default(),
            met: Passed::default(),
            listed: Passed::default(),
            requests: Requests::unseen(),
        }
    }

    /// The claims, if it is a JWT or introspected.
    pub(crate) fn claims_set(&self) -> Option<ClaimsSet<'_>> {
        (self.kind == Kind::Claims).then(|| ClaimsSet::of(self.contents(), self.facts))
    }

    /// The granted scope of an opaque token, if it is known.
    pub(crate) fn scope(&self) -> Option<&str> {
        (self.kind == Kind::Scope).then(|| self.contents())
    }

    fn contents(&self) -> &str {
        &self.text[self.contents_at as usize..]
    }

    /// The age by the clock that shows more: the monotonic clock stops while a virtual machine is suspended, and the
    /// wall clock may be set back. `wall`: the time since the Unix epoch.
    pub(crate) fn age(&self, now: Instant, wall: Duration) -> Duration {
        let monotonic = now.saturating_duration_since(self.received);
        monotonic.max(wall.saturating_sub(self.received_wall))
    }

    /// The client of the token.
    pub fn client_id(&self) -> &str {
        &self.text[self.id_at as usize..self.contents_at as usize]
    }

    /// `Bearer …`, without characters that could end a header line.
    pub fn authorization(&self) -> &str {
        &self.text[..self.id_at as usize]
    }

    /// A claim of a JWT by its name, or by a path of names joined by `__` (positions in arrays from 1). Text is
    /// returned as it is, any other value as JSON. `None` also for text with control characters, which would end a line
    /// in headers and logs.
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let claims = self.claims_set()?;
        let value = match claims.get(name) {
            Some(value) => value,
            None => walk(
                claims.get(name.split("__").next()?)?,
                name.split("__").skip(1),
            )?,
        };
        Some(match value {
            Packed::Text(text) if text.chars().any(char::is_control) => return None,
            Packed::Text(text) | Packed::Number(text) => text.into(),
            other => other.to_string().into(),
        })
    }

    /// All claims, as a JSON object; `None` if the token is not a JWT.
    pub fn claims(&self) -> Option<String> {
        self.claims_set().map(ClaimsSet::json)
    }

    /// The token without `Bearer`.
    pub fn token(&self) -> &str {
        &self.authorization()[BEARER.len()..]
    }

    /// The success response of a token endpoint ([RFC 6749 section 5.1]), JSON. It contains the token. `expires_in` is
    /// the rest of the provider's lifetime, in whole seconds, and absent if the lifetime is unknown.
    ///
    /// [RFC 6749 section 5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
    pub fn token_response(&self) -> String {
        self.token_response_at(self.age(SystemClock.now(), SystemClock.wall()))
    }

    /// `age`: since the receipt of the token.
    fn token_response_at(&self, age: Duration) -> String {
        let token = self.token();
        let scope = self.granted_scope().filter(|scope| !scope.is_empty());
        let scope = scope.map(|scope| Value::from(&*scope).to_string());
        let scope = scope.as_deref().unwrap_or_default();
        // Written in one allocation, which the caller can wipe. A token has no character that JSON escapes.
        let mut response = String::with_capacity(128 + token.len() + scope.len());
        response.push_str(r#"{"access_token":""#);
        response.push_str(token);
        response.push_str(r#"","token_type":"Bearer""#);
        let left = match self.lifetime {
            Lifetime::Stated(lifetime) => Some(lifetime.saturating_sub(age).as_secs()),
            Lifetime::Unknown => None,
            Lifetime::Unusable => Some(0),
        };
        if let Some(left) = left {
            response.push_str(r#","expires_in":"#);
            response.push_str(&left.to_string());
        }
        if !scope.is_empty() {
            response.push_str(r#","scope":"#);
            response.push_str(scope);
        }
        response.push('}');
        response
    }

    /// The names of the members of that response.
    pub(crate) fn token_response_members(&self) -> Vec<&'static str> {
        let mut members = vec!["access_token", "token_type"];
        if self.lifetime != Lifetime::Unknown {
            members.push("expires_in");
        }
        if self.granted_scope().is_some_and(|scope| !scope.is_empty()) {
            members.push("scope");
        }
        members
    }

    /// The scope of the token, space-separated: that of a JWT is in its claims (RFC 9068 section 2.2.3, or `scp`).
    fn granted_scope(&self) -> Option<Cow<'_, str>> {
        let Some(claims) = self.claims_set() else {
            return self.scope().map(Cow::Borrowed);
        };
        match claims.get("scope").or_else(|| claims.get("scp"))? {
            Packed::Text(scope) => Some(scope.into()),
            Packed::Array(scopes) => {
                let words: Option<Vec<_>> = scopes.values().map(Packed::text).collect();
                Some(words?.join(" ").into())
            }
            _ => None,
        }
    }

    /// The size, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Grant>() + self.text.len()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("client_id", &self.client_id())
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
        grant_with(&Contents::Opaque(None), token, lifetime, clock)
    }

    pub(crate) fn grant_with(
        contents: &Contents<'_>,
        token: &str,
        lifetime: Lifetime,
        clock: &dyn Clock,
    ) -> Grant {
        let origin = Origin {
            key: Key::for_test(1),
            fingerprint: Fingerprint::for_test(1),
            received: clock.now(),
            received_wall: clock.wall(),
            is_client_supplied: false,
        };
        Grant::new(origin, "id", token, lifetime, contents)
    }

    #[test]
    fn a_token_response_states_the_rest_of_the_lifetime() {
        let clock = ManualClock::new();
        let stated = Lifetime::Stated(Duration::from_secs(3600));
        for (lifetime, age, expires_in) in [
            (stated, 0, r#","expires_in":3600"#),
            (stated, 1, r#","expires_in":3599"#),
            (stated, 3600, r#","expires_in":0"#),
            (stated, 9999, r#","expires_in":0"#),
            (Lifetime::Unknown, 1, ""),
            (Lifetime::Unusable, 0, r#","expires_in":0"#),
        ] {
            let grant = grant("t", lifetime, &clock);
            let age = Duration::from_secs(age);
            let expected = format!(r#"{{"access_token":"t","token_type":"Bearer"{expires_in}}}"#);
            assert_eq!(grant.token_response_at(age), expected);
        }
        let grant = grant("t", stated, &clock);
        let almost = grant.token_response_at(Duration::from_millis(1));
        assert!(almost.contains(r#""expires_in":3599"#), "{almost}");
    }

    #[test]
    fn a_token_response_states_the_granted_scope() {
        use crate::token::claims::tests::claims;
        use serde_json::json;
        let clock = ManualClock::new();
        let grant = |contents| grant_with(&contents, "t", Lifetime::Unknown, &clock);
        let opaque = grant(Contents::Opaque(Some("a \"b\"")));
        let response: Value = serde_json::from_str(&opaque.token_response()).unwrap();
        assert_eq!(response["scope"], "a \"b\"");
        for (stated, expected) in [
            (json!({"scope": "a b"}), json!("a b")),
            (json!({"scp": ["a", "b"]}), json!("a b")),
            (json!({"scp": "a"}), json!("a")),
            (json!({"scp": [1]}), Value::Null),
            (json!({"scope": 1}), Value::Null),
            (json!({}), Value::Null),
        ] {
            let grant = grant(Contents::Claims(claims(stated)));
            let response: Value = serde_json::from_str(&grant.token_response()).unwrap();
            assert_eq!(response["scope"], expected);
        }
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
