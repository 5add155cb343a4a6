//! The time for which a gate caches tokens and refusals.

use crate::config::{Config, value_error};
use crate::error::{Error, Problems};
use crate::token::{Grant, Lifetime};
use std::time::{Duration, Instant};

/// A gate's rules for its cache. They belong to the gate, not to the token: gates that share a token may cache it for
/// different times.
#[derive(Debug, Clone)]
pub(crate) struct Retention {
    /// Whether tokens are cached.
    pub(crate) tokens: bool,
    /// The time for which a refusal is cached.
    pub(crate) refusals: Duration,
    /// The lifetime of a token that states none.
    unknown: Duration,
    max: Duration,
    /// The time before its end in which a token is no longer served.
    margin: Duration,
    refresh_ahead: f64,
    /// The part of its time in the cache in which no token is due, in 1/256.
    fresh_share: u64,
}

/// The age of a cached token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// The token is served.
    Fresh,
    /// The token is served, and its refresh is due.
    RefreshDue,
    /// The token is no longer served.
    Over,
}

/// The pause after an unusable token.
pub(crate) const SPENT_PAUSE: Duration = Duration::from_secs(5);

/// The variation of [`Retention::refresh_ahead`] between tokens, so that tokens obtained together are not refreshed
/// together.
const JITTER: f64 = 0.1;

impl Retention {
    pub(crate) fn compile(config: &Config) -> Result<Retention, Error> {
        let mut problems = Problems::default();
        if !(0.1..=1.0).contains(&config.refresh_ahead) {
            problems.add(value_error(
                "refresh_ahead: must be between 0.1 and 1 (1 disables refreshes)",
            ));
        }
        for (field, seconds) in [
            ("cache_ttl", Some(config.cache_ttl)),
            ("cache_ttl_max", config.cache_ttl_max),
        ] {
            if seconds == Some(0) {
                problems.add(value_error(format!(
                    "{field}: must be at least 1 (seconds); to disable caching, set cache_tokens to false"
                )));
            }
        }
        problems.finish()?;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Ok(Retention {
            tokens: config.cache_tokens,
            refusals: seconds(config.cache_ttl_neg),
            unknown: seconds(config.cache_ttl),
            max: config.cache_ttl_max.map_or(Duration::MAX, seconds),
            margin: seconds(config.leeway) + seconds(config.eagerly_expire),
            refresh_ahead: config.refresh_ahead,
            fresh_share: (256.0 * config.refresh_ahead * (1.0 - JITTER)) as u64,
        })
    }

    /// The time for which a token is cached, from its receipt; `None`: not cached.
    pub(crate) fn kept(&self, grant: &Grant) -> Option<Duration> {
        if !self.tokens {
            return None;
        }
        let lifetime = match grant.lifetime {
            Lifetime::Stated(lifetime) => lifetime,
            Lifetime::Unknown => self.unknown,
            Lifetime::Unusable => return None,
        };
        let kept = lifetime.checked_sub(self.margin)?.min(self.max);
        (!kept.is_zero()).then_some(kept)
    }

    /// The seconds after which the refresh of some token is due, or fewer.
    fn surely_fresh(&self, kept: Duration) -> u64 {
        (kept.as_secs().saturating_mul(self.fresh_share) >> 8).saturating_sub(1)
    }

    /// `wall`: the time since the Unix epoch.
    pub(crate) fn age(&self, grant: &Grant, now: Instant, wall: Duration) -> Age {
        let age = grant.age(now, wall);
        match self.kept(grant) {
            None => Age::Over,
            // Most hits, in whole seconds.
            Some(kept) if age.as_secs() < self.surely_fresh(kept) => Age::Fresh,
            Some(kept) if age >= kept => Age::Over,
            Some(kept) => {
                let ahead = self.refresh_ahead * (1.0 - JITTER * grant.key.fraction());
                if self.refresh_ahead < 1.0 && age.as_secs_f64() >= kept.as_secs_f64() * ahead {
                    Age::RefreshDue
                } else {
                    Age::Fresh
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::Clock;
    use crate::sys::clock::manual::ManualClock;
    use crate::token::grant_for_test;

    /// The age of a token with a lifetime of 1,005 seconds, after this time by the monotonic clock and this step of the
    /// wall clock.
    fn age(advance: u64, step: i64) -> Age {
        let config = Config::from_json(r#"{"issuer":"https://a"}"#).unwrap();
        let retention = Retention::compile(&config).unwrap();
        let clock = ManualClock::new();
        let lifetime = Lifetime::Stated(Duration::from_secs(1005));
        let grant = grant_for_test("t", lifetime, &clock);
        clock.advance(Duration::from_secs(advance));
        clock.step(step);
        retention.age(&grant, clock.now(), clock.wall())
    }

    #[test]
    fn a_token_does_not_outlive_a_suspended_machine() {
        for (advance, step, expected) in [
            (0, 0, Age::Fresh),
            (999, 0, Age::RefreshDue),
            (1000, 0, Age::Over),
            (0, 600, Age::Fresh),
            (0, 850, Age::RefreshDue),
            (0, 1000, Age::Over),
            (400, 600, Age::Over),
        ] {
            assert_eq!(age(advance, step), expected, "{advance} {step}");
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_lengthen_a_life() {
        for step in [-1, -3600, -86_400] {
            assert_eq!(age(999, step), Age::RefreshDue, "{step}");
            assert_eq!(age(1000, step), Age::Over, "{step}");
        }
    }
}
