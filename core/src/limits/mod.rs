//! Limits that keep a provider, and those who wait for it, from harm.

mod breaker;
mod budget;

pub(crate) use breaker::{Attempt, Breaker, BreakerState};
pub(crate) use budget::Budgets;
