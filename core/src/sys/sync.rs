//! The synchronization primitives of model-checked code: the standard library's, or shuttle's in tests with the feature
//! `model` (`tests/run.sh model`).

#[cfg(not(all(test, feature = "model")))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(all(test, feature = "model"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};

/// A scheduling point for the model, before code that does not use these primitives.
#[inline(always)]
pub(crate) fn interleave() {
    #[cfg(all(test, feature = "model"))]
    shuttle::thread::yield_now();
}
