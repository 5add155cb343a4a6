//! The text of a value before sealing: a token, a refusal, or both.
//!
//! Times are wall-clock milliseconds since the Unix epoch, the only clock that all processes share.

use super::MAX_SKEW;
use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::sys::clock::Clock;
use crate::token::claims::Claims;
use crate::token::{Grant, Lifetime, Origin, is_b64token, unverified_claims};
use crate::token::{Jws, is_jws};
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
        let age = clock.now().saturating_duration_since(grant.received);
        let received = clock.wall().saturating_sub(age);
        Some(TokenEntry {
            token: grant.token().into(),
            received: milliseconds(received),
            lifetime: lifetime.map(milliseconds),
            expires: milliseconds(received.saturating_add(lifetime.unwrap_or(kept))),
            is_verified: rules.verify_signature && is_jws(grant.token()),
            is_providers: grant
                .claims
                .as_ref()
                .is_some_and(|claims| claims.is_providers),
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
        let received = Duration::from_millis(self.received);
        let is_jws = rules.verify_signature && is_jws(&self.token);
        let members = if is_jws {
            let jws = Jws::parse(&self.token).ok()?;
            self.is_verified.then(|| jws.into_claims())?.into()
        } else if rules.verify_signature {
            None
        } else {
            unverified_claims(&self.token)
        };
        let received = now.checked_sub(wall.saturating_sub(received))?;
        Some(Grant::new(
            Origin { received, ..origin },
            client_id,
            &self.token,
            self.lifetime.map_or(Lifetime::Unknown, |lifetime| {
                Lifetime::Stated(Duration::from_millis(lifetime))
            }),
            members.map(|members| Claims::with(members, self.is_providers)),
        ))
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
    use crate::sys::clock::manual::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);

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
