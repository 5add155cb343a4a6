//! The patience of those who wait for an exchange.

use std::time::{Duration, Instant};

/// The time for which an exchange is of use to those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// The latest deadline.
    pub(crate) until: Instant,
    /// The longest timeout of a gate.
    pub(crate) timeout: Duration,
}

impl Patience {
    pub(crate) fn max(self, other: Patience) -> Patience {
        Patience {
            until: self.until.max(other.until),
            timeout: self.timeout.max(other.timeout),
        }
    }
}
