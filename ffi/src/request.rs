//! What a host shows the library of an HTTP request.

use crate::boundary::Fail;
use crate::bytes;
use crate::handle;
use crate::status::CREDGATE_INVALID_ARGUMENT;
use credgate_core::Request;
use std::ffi::c_char;
use std::mem::size_of;

/// An HTTP request as the host received it. Every string is used within the
/// call only.
#[repr(C)]
pub struct credgate_request {
    /// sizeof(credgate_request).
    pub struct_size: u32,
    /// The method, such as POST.
    pub method: *const c_char,
    /// Its length in bytes.
    pub method_len: usize,
    /// The value of the Authorization header; NULL: there is none. A host that
    /// receives several refuses the request.
    pub authorization: *const c_char,
    /// Its length in bytes.
    pub authorization_len: usize,
    /// The query string without '?', as sent; NULL: there is none.
    pub query: *const c_char,
    /// Its length in bytes.
    pub query_len: usize,
    /// The value of the Content-Type header; NULL: there is none.
    pub content_type: *const c_char,
    /// Its length in bytes.
    pub content_type_len: usize,
    /// The whole body, where credgate_gate_wants_body asked for it; NULL:
    /// there is none, or it was not read.
    pub body: *const c_char,
    /// Its length in bytes.
    pub body_len: usize,
}

/// Borrows a request.
///
/// # Safety
///
/// NULL, or a request whose strings are valid while `'a` lasts.
pub(crate) unsafe fn borrow<'a>(request: *const credgate_request) -> Result<Request<'a>, Fail> {
    // SAFETY: the size stands first, and is all that is read of a struct that is too small.
    let struct_size = unsafe { handle::borrow(request.cast::<u32>()) }?;
    if (*struct_size as usize) < size_of::<credgate_request>() {
        return Err(Fail(CREDGATE_INVALID_ARGUMENT));
    }
    // SAFETY: not NULL, and large enough; the caller vouches for the strings.
    unsafe {
        let request = handle::borrow(request)?;
        Ok(Request {
            method: bytes::required(request.method, request.method_len)?,
            authorization: bytes::optional(request.authorization, request.authorization_len)?,
            query: bytes::optional(request.query, request.query_len)?,
            content_type: bytes::optional(request.content_type, request.content_type_len)?,
            body: bytes::optional(request.body, request.body_len)?,
        })
    }
}
