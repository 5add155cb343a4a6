//! Checks that take the crate as a whole: vectors, properties on random inputs, threads in many orders.

#[cfg(feature = "model")]
mod flights_in_any_order;
mod properties;
pub(crate) mod vectors;
