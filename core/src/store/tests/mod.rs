//! Tests of the contract of stores, and of flights with a scripted store.

pub(crate) mod conformance;
#[cfg(feature = "sqlite")]
mod scripted;
