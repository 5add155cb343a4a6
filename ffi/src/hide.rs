//! Removes credentials from requests to the upstream and from log lines.

use crate::boundary::{CallResult, Fail, boundary};
use crate::bytes;
use crate::gate::credgate_gate;
use crate::handle::{self, Out};
use crate::status::{CREDGATE_BUFFER_TOO_SMALL, CREDGATE_OK};
use credgate_core::{redact_query, redact_text, text_contains_secret};
use std::ffi::c_char;

/// Copies a query string to out as the upstream should receive it: without its
/// client_id and client_secret parameters if the gate accepts credentials in
/// the query, and otherwise byte for byte. The capacity must be at least
/// query_len.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_hide_query(
    gate: *const credgate_gate,
    query: *const c_char,
    query_len: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL; input and output do not overlap.
        unsafe {
            let gate = handle::borrow(gate)?;
            let query = bytes::optional(query, query_len)?.unwrap_or_default();
            into(out, capacity, query.len(), out_len, |out| {
                gate.0.hide_query(query, out)
            })
        }
    })
}

/// Copies a body to out without its credentials, which are parameters of a form
/// or members of a JSON object, according to its media type. The rest stays
/// byte for byte. The capacity must be at least body_len.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_hide_body(
    gate: *const credgate_gate,
    content_type: *const c_char,
    content_type_len: usize,
    body: *const c_char,
    body_len: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL; input and output do not overlap.
        unsafe {
            let gate = handle::borrow(gate)?;
            let content_type = bytes::optional(content_type, content_type_len)?;
            let body = bytes::optional(body, body_len)?.unwrap_or_default();
            into(out, capacity, body.len(), out_len, |out| {
                gate.0.hide_body(content_type, body, out)
            })
        }
    })
}

/// Overwrites the value of every client_secret in a query string in place with
/// '*', in any spelling of the name, for logging. The length stays the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_query_redact(query: *mut c_char, query_len: usize) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid pointer or NULL.
        redact_query(unsafe { bytes::writable(query, query_len) }?);
        Ok(CREDGATE_OK)
    })
}

/// Overwrites the value of every client_secret in any text in place with '*': in
/// a log line, a URI, a form or a JSON object. The length stays the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_text_redact(text: *mut c_char, text_len: usize) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid pointer or NULL.
        redact_text(unsafe { bytes::writable(text, text_len) }?);
        Ok(CREDGATE_OK)
    })
}

/// Returns whether credgate_text_redact would change the text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_text_contains_secret(
    text: *const c_char,
    text_len: usize,
    out_contains: *mut bool,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (text, out_contains) = unsafe {
            (
                bytes::optional(text, text_len)?.unwrap_or_default(),
                Out::required(out_contains)?,
            )
        };
        out_contains.set(text_contains_secret(text));
        Ok(CREDGATE_OK)
    })
}

/// Writes at most `needed` bytes to an output with at least that capacity.
///
/// # Safety
///
/// The pointers are NULL or may be written to, `out` for `capacity` bytes.
unsafe fn into(
    out: *mut c_char,
    capacity: usize,
    needed: usize,
    out_len: *mut usize,
    write: impl FnOnce(&mut [u8]) -> usize,
) -> CallResult {
    // SAFETY: the caller guarantees the pointers.
    let (out, out_len) = unsafe { (bytes::writable(out, capacity)?, Out::required(out_len)?) };
    if out.len() < needed {
        return Err(Fail(CREDGATE_BUFFER_TOO_SMALL));
    }
    out_len.set(write(out));
    Ok(CREDGATE_OK)
}
