//! Errors, for developers of hosts and for operators.

use crate::boundary::{Fail, boundary, boundary_void};
use crate::handle::{self, Out};
use crate::status::{CREDGATE_EMPTY, CREDGATE_OK};
use credgate_core::Error;
use std::ffi::c_char;

/// The description of an error. It contains no secret.
///
/// Methods: credgate_error_message, credgate_error_problem,
/// credgate_error_free.
pub struct credgate_error(Error);

/// Turns an error of the core into its status, and passes its message to the
/// caller if `out_error` is not NULL.
///
/// # Safety
///
/// `out_error` is NULL or may be written to.
pub(crate) unsafe fn report(error: Error, out_error: *mut *mut credgate_error) -> Fail {
    let code = error.kind().code();
    // SAFETY: the caller guarantees the pointer.
    unsafe { handle::set_optional(out_error, || handle::give(credgate_error(error))) };
    Fail(code)
}

/// Returns the message: a line of UTF-8 that describes the error and its
/// remedy. A configuration with several problems has a line for each,
/// "FIELD: MESSAGE"; a newline separates them. The string belongs to the error.
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
        let message = error.0.message();
        out_message.set(message.as_ptr().cast());
        out_len.set(message.len());
        Ok(CREDGATE_OK)
    })
}

/// Returns a problem of the configuration, one for each index from 0;
/// CREDGATE_EMPTY after the last one, and for an error of the system. The field
/// is empty if the whole configuration is at fault. The strings belong to the
/// error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_error_problem(
    error: *const credgate_error,
    index: usize,
    out_field: *mut *const c_char,
    out_field_len: *mut usize,
    out_message: *mut *const c_char,
    out_message_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (error, out_field, out_field_len, out_message, out_message_len) = unsafe {
            (
                handle::borrow(error)?,
                Out::required(out_field)?,
                Out::required(out_field_len)?,
                Out::required(out_message)?,
                Out::required(out_message_len)?,
            )
        };
        let Some(problem) = error.0.problems().nth(index) else {
            return Ok(CREDGATE_EMPTY);
        };
        let field = problem.field().unwrap_or_default();
        out_field.set(field.as_ptr().cast());
        out_field_len.set(field.len());
        out_message.set(problem.message().as_ptr().cast());
        out_message_len.set(problem.message().len());
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
