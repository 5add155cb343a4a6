//! Strings that C passes: a pointer and a length.

use crate::boundary::{CallResult, Fail};
use crate::handle::Out;
use crate::status::{
    CREDGATE_BUFFER_TOO_SMALL, CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT, CREDGATE_OK,
};
use std::ffi::c_char;

/// Borrows a string, or returns `None` for NULL.
///
/// # Safety
///
/// The pointer is NULL, or points to `len` bytes that do not change during
/// `'a`.
pub(crate) unsafe fn optional<'a>(
    start: *const c_char,
    len: usize,
) -> Result<Option<&'a [u8]>, Fail> {
    match (start.is_null(), len) {
        (true, 0) => Ok(None),
        (true, _) => Err(Fail(CREDGATE_INVALID_ARGUMENT)),
        // SAFETY: not NULL, which suffices for no bytes; the caller guarantees pointer and length.
        (false, _) => Ok(Some(unsafe {
            std::slice::from_raw_parts(start.cast(), len)
        })),
    }
}

/// Borrows a string that must not be NULL.
///
/// # Safety
///
/// As [`optional`].
pub(crate) unsafe fn required<'a>(start: *const c_char, len: usize) -> Result<&'a [u8], Fail> {
    // SAFETY: the caller guarantees pointer and length.
    unsafe { optional(start, len) }?.ok_or(Fail(CREDGATE_NULL_ARGUMENT))
}

/// Borrows UTF-8 text that must not be NULL.
///
/// # Safety
///
/// As [`optional`].
pub(crate) unsafe fn text<'a>(start: *const c_char, len: usize) -> Result<&'a str, Fail> {
    // SAFETY: the caller guarantees pointer and length.
    let bytes = unsafe { required(start, len) }?;
    std::str::from_utf8(bytes).map_err(|_| Fail(CREDGATE_INVALID_ARGUMENT))
}

/// Borrows memory for writing.
///
/// # Safety
///
/// The pointer is NULL, or points to `len` initialised bytes that nothing else
/// uses during `'a`.
pub(crate) unsafe fn writable<'a>(start: *mut c_char, len: usize) -> Result<&'a mut [u8], Fail> {
    match (start.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Fail(CREDGATE_NULL_ARGUMENT)),
        // SAFETY: the caller guarantees pointer and length.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }),
    }
}

/// Writes a text and its length, or only its length if the text exceeds the
/// capacity.
///
/// # Safety
///
/// The pointers are NULL, or point to `capacity` bytes and a number.
pub(crate) unsafe fn write(
    text: &[u8],
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> CallResult {
    // SAFETY: the caller guarantees the pointers.
    unsafe {
        Out::required(out_len)?.set(text.len());
        if capacity < text.len() {
            return Err(Fail(CREDGATE_BUFFER_TOO_SMALL));
        }
        writable(out, text.len())?.copy_from_slice(text);
    }
    Ok(CREDGATE_OK)
}
