//! Conversion between handles and raw pointers; clippy.toml bans it in other files.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the file that may convert"
)]

use crate::boundary::Fail;
use crate::status::CREDGATE_NULL_ARGUMENT;
use std::sync::Arc;

/// Moves a value to the heap and its ownership to C.
pub(crate) fn give<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Drops a value of [`give`]. Ignores NULL.
///
/// # Safety
///
/// The pointer is NULL or came from [`give`], and is not used again.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the caller guarantees the pointer's origin.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// Passes a share of a value to C, without an allocation.
pub(crate) fn share<T>(value: Arc<T>) -> *const T {
    Arc::into_raw(value)
}

/// Drops a share of [`share`]. Ignores NULL.
///
/// # Safety
///
/// The pointer is NULL or came from [`share`], and is not used again.
pub(crate) unsafe fn release<T>(shared: *const T) {
    if !shared.is_null() {
        // SAFETY: the caller guarantees the pointer's origin.
        drop(unsafe { Arc::from_raw(shared) });
    }
}

/// Borrows the value behind a pointer that must not be NULL.
///
/// # Safety
///
/// The pointer is NULL, or points to a valid value that lives through `'a`.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const T) -> Result<&'a T, Fail> {
    // SAFETY: the caller guarantees the pointer.
    unsafe { pointer.as_ref() }.ok_or(Fail(CREDGATE_NULL_ARGUMENT))
}

/// An output parameter.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Checks the pointer before the call does its work, so that the call makes
    /// nothing that it cannot return.
    ///
    /// # Safety
    ///
    /// The pointer is NULL or may be written to.
    pub(crate) unsafe fn required(pointer: *mut T) -> Result<Out<T>, Fail> {
        if pointer.is_null() {
            Err(Fail(CREDGATE_NULL_ARGUMENT))
        } else {
            Ok(Out(pointer))
        }
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: not NULL, and the caller of `required` guarantees it.
        unsafe { self.0.write(value) };
    }
}

/// Sets an output that may be NULL.
///
/// # Safety
///
/// The pointer is NULL or may be written to.
pub(crate) unsafe fn set_optional<T>(pointer: *mut T, value: impl FnOnce() -> T) {
    if !pointer.is_null() {
        // SAFETY: the caller guarantees the pointer.
        unsafe { pointer.write(value()) };
    }
}
