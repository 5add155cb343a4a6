//! Errors, for developers of hosts and for operators.

use crate::boundary::{Fail, boundary, boundary_void};
use crate::handle::{self, Out};
use crate::status::CREDGATE_OK;
use credgate_core::Error;
use std::ffi::c_char;

/// The description of an error. It contains no secret.
///
/// Methods: credgate_error_message, credgate_error_free.
pub struct credgate_error {
    message: String,
}

/// Turns an error of the core into its status, and passes its message to the
/// caller if `out_error` is not NULL.
///
/// # Safety
///
/// `out_error` is NULL or may be written to.
pub(crate) unsafe fn report(error: &Error, out_error: *mut *mut credgate_error) -> Fail {
    let message = error.to_string();
    // SAFETY: the caller guarantees the pointer.
    unsafe { handle::set_optional(out_error, || handle::give(credgate_error { message })) };
    Fail(error.kind().code())
}

/// Returns the message: a line of UTF-8 that describes the error and its
/// remedy. A configuration with several problems has a line for each, which
/// begins with the field; a newline separates them. The string belongs to the
/// error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_error_message(
    error: *const credgate_error,
    out_message: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (error, out_message, out_len) = unsafe {
            (
                handle::borrow(error)?,
                Out::required(out_message)?,
                Out::required(out_len)?,
            )
        };
        out_message.set(error.message.as_ptr().cast());
        out_len.set(error.message.len());
        Ok(CREDGATE_OK)
    })
}

/// Frees an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_error_free(error: *mut credgate_error) {
    boundary_void(|| {
        // SAFETY: C passes NULL or an error that it does not use again.
        unsafe { handle::free(error) };
    });
}
