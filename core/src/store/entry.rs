//! What is known at an index: a token, a refusal, or both; as text that is sealed.
//!
//! Times are the wall clock's, in milliseconds since the Unix epoch, as no other clock is common to all who share.

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

/// What a process tells the others.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Entry<'e> {
    /// The number of the latest purge that was known when this was begun: later ones are of this too.
    pub(super) purges: u64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<Token<'e>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal<'e>>,
}

/// A token that a provider gave. Whose it is says the index; what it says is read from itself again.
#[derive(Serialize, Deserialize)]
pub(super) struct Token<'e> {
    #[serde(borrow)]
    token: Cow<'e, str>,
    received: u64,
    /// `None`: nothing says how long it lives.
    lifetime: Option<u64>,
    /// When it ends for the gate of who received it.
    expires: u64,
    /// Its signature was verified.
    is_verified: bool,
    /// Its `iss` is what the provider's metadata says.
    is_providers: bool,
}

/// A refusal, or a provider's wish to be left alone.
#[derive(Serialize, Deserialize)]
pub(super) struct Refusal<'e> {
    code: i32,
    received: u64,
    expires: u64,
    #[serde(borrow)]
    detail: Cow<'e, str>,
}

/// Nothing is kept for longer: purges are remembered for [`super::PURGE_LIFE`].
const MAX_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The longest explanation that is told.
const MAX_DETAIL: usize = 512;

impl<'e> Entry<'e> {
    /// The text, which grows in a place of its own that is wiped.
    pub(super) fn write(&self) -> Option<Zeroizing<Vec<u8>>> {
        let room = super::MAX_VALUE - super::seal::OVERHEAD;
        let mut text = Zeroizing::new(Vec::with_capacity(super::MAX_VALUE));
        serde_json::to_writer(&mut *text, self).ok()?;
        (text.len() <= room).then_some(text)
    }

    pub(super) fn read(text: &'e [u8]) -> Option<Entry<'e>> {
        serde_json::from_slice(text).ok()
    }

    /// For how long there is something in it.
    pub(super) fn life(&self, wall: Duration) -> Option<Duration> {
        let token = self.token.as_ref().map(|token| token.expires);
        let refusal = self.refusal.as_ref().map(|refusal| refusal.expires);
        let life = left(token.max(refusal)?, wall)?;
        Some(life.min(MAX_LIFE))
    }
}

impl<'e> Token<'e> {
    /// What others are told of a token; `None` where it is not kept.
    pub(super) fn of(grant: &'e Grant, rules: &Rules, clock: &dyn Clock) -> Option<Token<'e>> {
        let lifetime = match grant.lifetime {
            Lifetime::Stated(lifetime) => Some(lifetime),
            Lifetime::Unknown => None,
            Lifetime::Unusable => return None,
        };
        let kept = rules.retention.kept(grant)?;
        let age = clock.now().saturating_duration_since(grant.received);
        let received = clock.wall().saturating_sub(age);
        Some(Token {
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

    /// The client's token as if this process had received it, at that time. `None` where it has ended, comes from too far ahead, or
    /// has not been verified as the gate asks.
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

impl<'e> Refusal<'e> {
    pub(super) fn of(denial: &'e Denial, kept: Duration, clock: &dyn Clock) -> Refusal<'e> {
        let detail = &denial.detail[..denial.detail.floor_char_boundary(MAX_DETAIL)];
        let received = clock.wall();
        Refusal {
            code: denial.cause.code(),
            received: milliseconds(received),
            expires: milliseconds(received.saturating_add(kept)),
            detail: detail.into(),
        }
    }

    /// What is answered, and for how long it is to be remembered; `None` where that is over, or comes from too far ahead.
    pub(super) fn denial(&self, clock: &dyn Clock) -> Option<(Denial, Duration)> {
        let wall = clock.wall();
        if is_ahead(self.received, wall) {
            return None;
        }
        let left = left(self.expires, wall)?.min(MAX_LIFE);
        let causes = Cause::ALL.into_iter();
        let cause = { causes }.find(|cause| cause.code() == self.code)?;
        let denial = Denial::new(cause, &*self.detail);
        if cause != Cause::ProviderBusy {
            return denial.is_refusal().then_some((denial, left));
        }
        Some((denial.retry_in(left), left))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Further than clocks may disagree.
fn is_ahead(received: u64, wall: Duration) -> bool {
    Duration::from_millis(received) > wall + MAX_SKEW
}

/// What is left until then; `None` where it is over.
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
    fn a_long_explanation_is_cut_between_characters() {
        let clock = ManualClock::new();
        for (detail, kept) in [
            ("é".repeat(100), 200),
            ("é".repeat(256), 512),
            ("é".repeat(300), 512),
            (format!("a{}", "é".repeat(300)), 511),
        ] {
            let denial = Denial::new(Cause::CredentialsRefused, detail.clone());
            let refusal = Refusal::of(&denial, HOUR, &clock);
            assert_eq!(refusal.detail, detail[..kept]);
        }
    }

    #[test]
    fn nothing_is_kept_beyond_the_memory_of_purges() {
        let clock = ManualClock::new();
        let denial = Denial::new(Cause::CredentialsRefused, "no");
        for (kept, life) in [(HOUR, HOUR), (1000 * 24 * HOUR, MAX_LIFE)] {
            let entry = Entry {
                refusal: Some(Refusal::of(&denial, kept, &clock)),
                ..Entry::default()
            };
            assert_eq!(entry.life(clock.wall()), Some(life));
        }
        assert!(MAX_LIFE + MAX_SKEW < super::super::PURGE_LIFE);
        assert!(MAX_LIFE > 24 * HOUR);
    }
}
