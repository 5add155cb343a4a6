//! The primitives of what is model-checked: the standard library's, or in tests with the feature `model` those that run
//! threads in many orders (`tests/run.sh model`).

#[cfg(not(all(test, feature = "model")))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(all(test, feature = "model"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};

/// Another thread may come in between here: before what is not made of these primitives.
#[inline(always)]
pub(crate) fn interleave() {
    #[cfg(all(test, feature = "model"))]
    shuttle::thread::yield_now();
}
