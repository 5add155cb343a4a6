//! Strings that C passes: a pointer and a length.

use crate::boundary::{CallResult, Fail};
use crate::handle::Out;
use crate::status::{
    CREDGATE_BUFFER_TOO_SMALL, CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT, CREDGATE_OK,
};
use std::ffi::c_char;

/// Borrows a string; NULL is none.
///
/// # Safety
///
/// A pointer that is not NULL points to `len` bytes that nobody writes to
/// while `'a` lasts.
pub(crate) unsafe fn optional<'a>(
    start: *const c_char,
    len: usize,
) -> Result<Option<&'a [u8]>, Fail> {
    match (start.is_null(), len) {
        (true, 0) => Ok(None),
        (true, _) => Err(Fail(CREDGATE_INVALID_ARGUMENT)),
        (false, 0) => Ok(Some(b"")),
        // SAFETY: the caller vouches for pointer and length.
        (false, _) => Ok(Some(unsafe {
            std::slice::from_raw_parts(start.cast(), len)
        })),
    }
}

/// Borrows a string that must be there.
///
/// # Safety
///
/// As [`optional`].
pub(crate) unsafe fn required<'a>(start: *const c_char, len: usize) -> Result<&'a [u8], Fail> {
    // SAFETY: the caller vouches for pointer and length.
    unsafe { optional(start, len) }?.ok_or(Fail(CREDGATE_NULL_ARGUMENT))
}

/// Borrows UTF-8 text that must be there.
///
/// # Safety
///
/// As [`optional`].
pub(crate) unsafe fn text<'a>(start: *const c_char, len: usize) -> Result<&'a str, Fail> {
    // SAFETY: the caller vouches for pointer and length.
    let bytes = unsafe { required(start, len) }?;
    std::str::from_utf8(bytes).map_err(|_| Fail(CREDGATE_INVALID_ARGUMENT))
}

/// Borrows memory to write to.
///
/// # Safety
///
/// A pointer that is not NULL points to `len` initialised bytes that nobody
/// else uses while `'a` lasts.
pub(crate) unsafe fn writable<'a>(start: *mut c_char, len: usize) -> Result<&'a mut [u8], Fail> {
    match (start.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Fail(CREDGATE_NULL_ARGUMENT)),
        // SAFETY: the caller vouches for pointer and length.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }),
    }
}

/// Writes a text and its length; only its length where there is no room for it.
///
/// # Safety
///
/// NULL, or room for `capacity` bytes and a number.
pub(crate) unsafe fn write(
    text: &[u8],
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> CallResult {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        Out::required(out_len)?.set(text.len());
        if capacity < text.len() {
            return Err(Fail(CREDGATE_BUFFER_TOO_SMALL));
        }
        writable(out, text.len())?.copy_from_slice(text);
    }
    Ok(CREDGATE_OK)
}
