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

    pub(crate) fn age(&self, grant: &Grant, now: Instant) -> Age {
        let age = now.saturating_duration_since(grant.received);
        match self.kept(grant) {
            None => Age::Over,
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
