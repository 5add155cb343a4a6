//! The text of a value before sealing: a token, a refusal, or both.
//!
//! Times are wall-clock milliseconds since the Unix epoch, the only clock that all processes share.

use super::MAX_SKEW;
use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::sys::clock::Clock;
use crate::token::claims::Claims;
use crate::token::{Contents, Grant, Jws, Lifetime, Origin, UniqueObject};
use crate::token::{is_b64token, is_jws, json_object, unverified_claims};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use zeroize::Zeroizing;

/// The message of one process to the others.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Entry<'e> {
    /// The number of the latest purge known when the flight began: later purges apply to this entry.
    pub(super) purges: u64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<TokenEntry<'e>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<RefusalEntry<'e>>,
}

/// A provider's token. The index implies its client; its claims are read from the token again.
#[derive(Serialize, Deserialize)]
pub(super) struct TokenEntry<'e> {
    #[serde(borrow)]
    token: Cow<'e, str>,
    received: u64,
    /// `None`: unknown.
    lifetime: Option<u64>,
    /// The expiry for the gate of the process that received it.
    expires: u64,
    /// The granted scope of an opaque token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Cow<'e, str>>,
    /// The claims of an introspected token, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    introspected: Option<Cow<'e, str>>,
    /// Its signature was verified.
    is_verified: bool,
    /// Its `iss` equals the provider's metadata.
    is_providers: bool,
}

/// A refusal, or a rate limit of the provider.
#[derive(Serialize, Deserialize)]
pub(super) struct RefusalEntry<'e> {
    code: i32,
    received: u64,
    expires: u64,
    #[serde(borrow)]
    detail: Cow<'e, str>,
}

/// The maximum life of an entry: purges are remembered for [`super::PURGE_LIFE`], which is longer.
const MAX_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The maximum length of a refusal's detail, in bytes.
const MAX_DETAIL: usize = 512;

impl<'e> Entry<'e> {
    /// The text, in a buffer that is wiped when dropped.
    pub(super) fn write(&self) -> Option<Zeroizing<Vec<u8>>> {
        let room = super::MAX_VALUE - super::seal::OVERHEAD;
        let mut text = Zeroizing::new(Vec::with_capacity(super::MAX_VALUE));
        serde_json::to_writer(&mut *text, self).ok()?;
        (text.len() <= room).then_some(text)
    }

    pub(super) fn read(text: &'e [u8]) -> Option<Entry<'e>> {
        serde_json::from_slice(text).ok()
    }

    /// The remaining life of the entry.
    pub(super) fn life(&self, wall: Duration) -> Option<Duration> {
        let token = self.token.as_ref().map(|token| token.expires);
        let refusal = self.refusal.as_ref().map(|refusal| refusal.expires);
        let life = left(token.max(refusal)?, wall)?;
        Some(life.min(MAX_LIFE))
    }
}

impl<'e> TokenEntry<'e> {
    /// The entry of a token; `None` if it must not be kept.
    pub(super) fn of(grant: &'e Grant, rules: &Rules, clock: &dyn Clock) -> Option<TokenEntry<'e>> {
        let lifetime = match grant.lifetime {
            Lifetime::Stated(lifetime) => Some(lifetime),
            Lifetime::Unknown => None,
            Lifetime::Unusable => return None,
        };
        let kept = rules.retention.kept(grant)?;
        let wall = clock.wall();
        let received = wall.saturating_sub(grant.age(clock.now(), wall));
        Some(TokenEntry {
            token: grant.token().into(),
            received: milliseconds(received),
            lifetime: lifetime.map(milliseconds),
            expires: milliseconds(received.saturating_add(lifetime.unwrap_or(kept))),
            scope: grant.scope().map(Cow::from),
            introspected: rules
                .introspects(grant.token())
                .and_then(|_| grant.claims_set())
                .map(|claims| claims.json().into()),
            is_verified: rules.verify_signature && is_jws(grant.token()),
            is_providers: grant
                .claims_set()
                .is_some_and(|claims| claims.facts().are_providers),
        })
    }

    /// The client's token as if this process had received it at that time. `None` if it has expired, comes from too far
    /// in the future, or lacks the verification that the gate requires.
    pub(super) fn grant(
        &self,
        client_id: &str,
        origin: Origin,
        rules: &Rules,
        clock: &dyn Clock,
    ) -> Option<Grant> {
        let (now, wall) = (clock.now(), clock.wall());
        left(self.expires, wall)?;
        if is_ahead(self.received, wall) || !is_b64token(&self.token) {
            return None;
        }
        // The other clock may be ahead.
        let received_wall = Duration::from_millis(self.received).min(wall);
        let is_jws = rules.verify_signature && is_jws(&self.token);
        let members = if rules.introspects(&self.token).is_some() {
            // Not introspected by a gate that verifies in the same way: it is exchanged again.
            let UniqueObject(members) = json_object(self.introspected.as_ref()?.as_bytes())?;
            Some(members)
        } else if is_jws {
            let jws = Jws::parse(&self.token).ok()?;
            self.is_verified.then(|| jws.into_claims())?.into()
        } else if rules.verify_signature {
            None
        } else {
            unverified_claims(&self.token)
        };
        let received = now.checked_sub(wall - received_wall)?;
        let contents = match members {
            Some(members) => Contents::Claims(Claims::with(members, self.is_providers)),
            None => Contents::Opaque(self.scope.as_deref()),
        };
        let grant = Grant::new(
            Origin {
                received,
                received_wall,
                ..origin
            },
            client_id,
            &self.token,
            self.lifetime.map_or(Lifetime::Unknown, |lifetime| {
                Lifetime::Stated(Duration::from_millis(lifetime))
            }),
            &contents,
        );
        Some(grant)
    }
}

impl<'e> RefusalEntry<'e> {
    pub(super) fn of(denial: &'e Denial, kept: Duration, clock: &dyn Clock) -> RefusalEntry<'e> {
        let detail = cut(&denial.detail, MAX_DETAIL);
        let received = clock.wall();
        RefusalEntry {
            code: denial.cause.code(),
            received: milliseconds(received),
            expires: milliseconds(received.saturating_add(kept)),
            detail: detail.into(),
        }
    }

    /// The denial and its remaining life; `None` if it has expired or comes from too far in the future.
    pub(super) fn denial(&self, clock: &dyn Clock) -> Option<(Denial, Duration)> {
        let wall = clock.wall();
        if is_ahead(self.received, wall) {
            return None;
        }
        let left = left(self.expires, wall)?.min(MAX_LIFE);
        let causes = Cause::ALL.into_iter();
        let cause = { causes }.find(|cause| cause.code() == self.code)?;
        let mut denial = Denial::new(cause, &*self.detail);
        // Nothing else with this cause is stored.
        denial.is_permanent = cause == Cause::RequestRefused;
        if cause != Cause::ProviderBusy {
            return denial.is_refusal().then_some((denial, left));
        }
        Some((denial.retry_in(left), left))
    }
}

/// The longest prefix of at most `max` bytes that ends at a character boundary.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Further in the future than clocks may differ.
fn is_ahead(received: u64, wall: Duration) -> bool {
    Duration::from_millis(received) > wall + MAX_SKEW
}

/// The time left; `None` if there is none.
fn left(expires: u64, wall: Duration) -> Option<Duration> {
    Duration::from_millis(expires)
        .checked_sub(wall)
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use crate::gate::policy::Breach;
    use crate::key::{Fingerprint, Key};
    use crate::sys::clock::manual::ManualClock;
    use crate::token::claims::tests::claims;
    use crate::token::{grant_for_test, grant_for_test_with};
    use serde_json::json;
    use std::sync::Arc;

    const HOUR: Duration = Duration::from_secs(3600);

    fn rules(config: &str) -> Arc<Rules> {
        let config = config.replacen('{', r#"{"issuer":"https://a.example","#, 1);
        Gate::from_json(&config.replace(",}", "}")).unwrap().rules
    }

    /// The text of a token's entry.
    fn written(grant: &Grant, rules: &Rules, clock: &ManualClock) -> Zeroizing<Vec<u8>> {
        let entry = Entry {
            token: TokenEntry::of(grant, rules, clock),
            ..Entry::default()
        };
        entry.write().unwrap()
    }

    /// The token in the text of an entry.
    fn read(text: &[u8], rules: &Rules, clock: &ManualClock) -> Option<Grant> {
        let origin = Origin {
            key: Key::for_test(1),
            fingerprint: Fingerprint::for_test(1),
            received: clock.now(),
            received_wall: clock.wall(),
            is_client_supplied: false,
        };
        Entry::read(text)?.token?.grant("id", origin, rules, clock)
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character_boundary() {
        let clock = ManualClock::new();
        for (detail, kept) in [
            ("é".repeat(100), 200),
            ("é".repeat(256), 512),
            ("é".repeat(300), 512),
            (format!("a{}", "é".repeat(300)), 511),
        ] {
            let denial = Denial::new(Cause::CredentialsRefused, detail.clone());
            let refusal = RefusalEntry::of(&denial, HOUR, &clock);
            assert_eq!(refusal.detail, detail[..kept]);
        }
    }

    #[test]
    fn a_suspended_machine_shares_the_true_age_of_a_token() {
        let rules = rules("{}");
        let clock = ManualClock::new();
        let grant = grant_for_test("t", Lifetime::Stated(HOUR), &clock);
        for (step, age) in [(900, 900), (-4500, 0)] {
            clock.step(step);
            let entry = TokenEntry::of(&grant, &rules, &clock).unwrap();
            assert_eq!(clock.wall().as_secs() - entry.received / 1000, age);
            assert_eq!(entry.expires - entry.received, 3_600_000);
        }
    }

    #[test]
    fn a_shared_token_ages_by_both_clocks() {
        let (rules, clock) = (rules("{}"), ManualClock::new());
        let grant = grant_for_test("t", Lifetime::Stated(HOUR), &clock);
        let text = written(&grant, &rules, &clock);
        clock.advance(Duration::from_secs(60));
        let shared = read(&text, &rules, &clock).unwrap();
        let age = || shared.age(clock.now(), clock.wall()).as_secs();
        assert_eq!(age(), 60);
        clock.step(900);
        assert_eq!(age(), 960);
        clock.step(-86_400);
        assert_eq!(age(), 60);
        clock.advance(Duration::from_secs(60));
        assert_eq!(age(), 120);
    }

    #[test]
    fn a_token_of_a_clock_that_is_ahead_is_new() {
        let (rules, ahead, behind) = (rules("{}"), ManualClock::new(), ManualClock::new());
        ahead.step(5);
        let grant = grant_for_test("t", Lifetime::Stated(HOUR), &ahead);
        let text = written(&grant, &rules, &ahead);
        let shared = read(&text, &rules, &behind).unwrap();
        behind.step(10);
        let age = shared.age(behind.now(), behind.wall());
        assert_eq!(age, Duration::from_secs(10));
    }

    #[test]
    fn an_opaque_token_is_shared_with_its_scope() {
        let (rules, clock) = (rules(r#"{"scopes_required":"read"}"#), ManualClock::new());
        for (scope, expected) in [
            (Some("write read"), Ok(())),
            (Some("write"), Err(Breach::Insufficient("scopes_required"))),
            (None, Err(Breach::Insufficient("scopes_required"))),
        ] {
            let contents = Contents::Opaque(scope);
            let grant = grant_for_test_with(&contents, "t", Lifetime::Unknown, &clock);
            let text = written(&grant, &rules, &clock);
            let shared = read(&text, &rules, &clock).unwrap();
            assert_eq!(shared.scope(), scope);
            assert_eq!(rules.policy.check(&shared, clock.wall()), expected);
        }
    }

    #[test]
    fn an_introspected_token_is_shared_with_its_claims() {
        let own = r#"{"auth_methods":["client_credentials","introspection"],"introspection_client_id":"g",
            "introspection_client_secret":"s","roles_required":"reader"}"#;
        let (rules, clock) = (rules(own), ManualClock::new());
        let grant = grant_for_test("t", Lifetime::Unknown, &clock);
        let plain = written(&grant, &rules, &clock);
        let claims = claims(json!({"iss": "https://a.example/", "roles": ["reader"]}));
        let grant = grant_for_test_with(&Contents::Claims(claims), "t", Lifetime::Unknown, &clock);
        let text = written(&grant, &rules, &clock);
        let shared = read(&text, &rules, &clock).unwrap();
        assert_eq!(rules.policy.check(&shared, clock.wall()), Ok(()));
        // Without claims it has not been introspected.
        assert!(read(&plain, &rules, &clock).is_none());
    }

    #[test]
    fn no_entry_outlives_the_memory_of_purges() {
        let clock = ManualClock::new();
        let denial = Denial::new(Cause::CredentialsRefused, "no");
        for (kept, life) in [(HOUR, HOUR), (1000 * 24 * HOUR, MAX_LIFE)] {
            let entry = Entry {
                refusal: Some(RefusalEntry::of(&denial, kept, &clock)),
                ..Entry::default()
            };
            assert_eq!(entry.life(clock.wall()), Some(life));
        }
        assert!(MAX_LIFE + MAX_SKEW < super::super::PURGE_LIFE);
        assert!(MAX_LIFE > 24 * HOUR);
    }
}
