//! The attack budget as one exchange sees it: the refusals that its client and its gate may still cost.

use super::Shared;
use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::key::Key;

/// The budgets of a client and its gate.
pub(crate) struct Quota<'q> {
    shared: &'q Shared,
    rules: &'q Rules,
    key: &'q Key,
    /// See [`Purpose::budgets`](super::Purpose::budgets).
    budgets: [Key; 2],
}

impl<'q> Quota<'q> {
    pub(crate) fn new(
        shared: &'q Shared,
        rules: &'q Rules,
        key: &'q Key,
        budgets: [Key; 2],
    ) -> Quota<'q> {
        Quota {
            shared,
            rules,
            key,
            budgets,
        }
    }

    /// Whether another exchange may be risked.
    pub(crate) fn check(&self) -> Result<(), Denial> {
        // A client that was allowed before is no attacker, even after its token has expired.
        if self.shared.cache.peek(self.key).is_some() {
            return Ok(());
        }
        let now = self.shared.env.clock.now();
        let mut budgets = self.budgets.iter().zip(self.rules.refusals);
        budgets
            .try_for_each(|(key, per_minute)| self.shared.budgets.check(key, per_minute, now))
            .map_err(|wait| Denial::new(Cause::TooManyRefusals, "").retry_in(wait))
    }

    /// Records a refused exchange.
    pub(crate) fn draw(&self) {
        let now = self.shared.env.clock.now();
        for (key, per_minute) in self.budgets.into_iter().zip(self.rules.refusals) {
            self.shared.budgets.draw(key, per_minute, now);
        }
    }
}
