//! Taking credentials out of what goes upstream and of what is logged.

use crate::boundary::{CallResult, Fail, boundary};
use crate::bytes;
use crate::gate::credgate_gate;
use crate::handle::{self, Out};
use crate::status::{CREDGATE_BUFFER_TOO_SMALL, CREDGATE_OK};
use credgate_core::redact_query;
use std::ffi::c_char;

/// Copies a query string to out as it goes upstream: without its client_id and
/// client_secret parameters, where the query is a place of the gate;
/// everything else stays byte for byte. The room at out must be at least that
/// of the query.
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
        // SAFETY: C passes valid pointers or NULL, as the header asks; input and output do not overlap.
        unsafe {
            let gate = handle::borrow(gate)?;
            let query = bytes::optional(query, query_len)?.unwrap_or_default();
            into(out, capacity, query.len(), out_len, |out| {
                gate.0.hide_query(query, out)
            })
        }
    })
}

/// Copies a body to out without its credentials, by its media type: parameters
/// of a form, members of a JSON object. Everything else stays byte for byte.
/// The room at out must be at least that of the body.
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
        // SAFETY: C passes valid pointers or NULL, as the header asks; input and output do not overlap.
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

/// Overwrites the value of every client_secret of a query string in place with
/// '*', whatever its spelling: for lines that are logged. The length stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_query_redact(query: *mut c_char, query_len: usize) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid pointer or NULL, as the header asks.
        redact_query(unsafe { bytes::writable(query, query_len) }?);
        Ok(CREDGATE_OK)
    })
}

/// Writes at most `needed` bytes to an output that has room for as many.
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
    // SAFETY: the caller vouches for the pointers.
    let (out, out_len) = unsafe { (bytes::writable(out, capacity)?, Out::required(out_len)?) };
    if out.len() < needed {
        return Err(Fail(CREDGATE_BUFFER_TOO_SMALL));
    }
    out_len.set(write(out));
    Ok(CREDGATE_OK)
}
