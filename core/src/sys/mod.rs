//! The ground: clocks, processes, threads, locks, secrets, and the circuit breaker.

pub(crate) mod breaker;
pub(crate) mod clock;
pub mod process;
pub(crate) mod secret;
pub(crate) mod secret_file;
pub(crate) mod sync;
pub(crate) mod thread;
