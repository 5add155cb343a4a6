//! The one place where handles become pointers and pointers handles again; clippy.toml bans it elsewhere.
#![allow(clippy::disallowed_methods, reason = "this is that place")]

use crate::boundary::Fail;
use crate::status::CREDGATE_NULL_ARGUMENT;
use std::sync::Arc;

/// Gives a value to C.
pub(crate) fn give<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Takes back what [`give`] gave, and drops it; NULL is nothing.
///
/// # Safety
///
/// The pointer is NULL or came from [`give`], and is not used again.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the caller vouches for the pointer's origin.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// Gives a share of a value to C: no allocation.
pub(crate) fn share<T>(value: Arc<T>) -> *const T {
    Arc::into_raw(value)
}

/// Takes back what [`share`] gave, and drops it; NULL is nothing.
///
/// # Safety
///
/// The pointer is NULL or came from [`share`], and is not used again.
pub(crate) unsafe fn release<T>(shared: *const T) {
    if !shared.is_null() {
        // SAFETY: the caller vouches for the pointer's origin.
        drop(unsafe { Arc::from_raw(shared) });
    }
}

/// Borrows what a pointer points to.
///
/// # Safety
///
/// A pointer that is not NULL points to a valid value that lives through `'a`.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const T) -> Result<&'a T, Fail> {
    // SAFETY: the caller vouches for the pointer.
    unsafe { pointer.as_ref() }.ok_or(Fail(CREDGATE_NULL_ARGUMENT))
}

/// Where an output goes.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Checks an output before there is anything to write, so that nothing is
    /// made that could not be handed over.
    ///
    /// # Safety
    ///
    /// A pointer that is not NULL may be written to.
    pub(crate) unsafe fn required(pointer: *mut T) -> Result<Out<T>, Fail> {
        if pointer.is_null() {
            Err(Fail(CREDGATE_NULL_ARGUMENT))
        } else {
            Ok(Out(pointer))
        }
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: not NULL, and vouched for when it was made.
        unsafe { self.0.write(value) };
    }
}

/// Sets an output that the caller may have left out.
///
/// # Safety
///
/// A pointer that is not NULL may be written to.
pub(crate) unsafe fn set_optional<T>(pointer: *mut T, value: impl FnOnce() -> T) {
    if !pointer.is_null() {
        // SAFETY: the caller vouches for the pointer.
        unsafe { pointer.write(value()) };
    }
}
