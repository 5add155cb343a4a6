//! Checks that take the crate as a whole: vectors, properties on random inputs, threads in many orders.

pub(crate) mod directory;
#[cfg(feature = "model")]
mod flight_schedules;
mod properties;
pub(crate) mod vectors;
