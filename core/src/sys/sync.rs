//! The primitives of what is model-checked: the standard library's, or with the feature `shuttle` those that run
//! threads in many orders (`tests/run.sh model`).

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};

/// Another thread may come in between here: before what is not made of these primitives.
#[inline(always)]
pub(crate) fn interleave() {
    #[cfg(feature = "shuttle")]
    shuttle::thread::yield_now();
}
