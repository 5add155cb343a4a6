//! What a host shows the library of an HTTP request.

use crate::boundary::Fail;
use crate::bytes;
use crate::handle;
use crate::status::{CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT};
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
    /// Values for the gate's token_post_args_host, in their order, UTF-8; an
    /// empty one is left out. NULL: there are none.
    pub args: *const credgate_string,
    /// How many: as many as the gate has token_post_args_host.
    pub args_len: usize,
    /// An id that the host has from elsewhere; NULL: id and secret are looked
    /// for in the request.
    pub client_id: *const c_char,
    /// Its length in bytes.
    pub client_id_len: usize,
    /// Its secret.
    pub client_secret: *const c_char,
    /// Its length in bytes.
    pub client_secret_len: usize,
}

/// A string.
#[repr(C)]
pub struct credgate_string {
    /// Where it begins.
    pub data: *const c_char,
    /// Its length in bytes.
    pub len: usize,
}

/// Where the arguments of a borrowed request are gathered.
pub(crate) type ArgSlots<'a> = [&'a [u8]; MOST_ARGS];

/// Id and secret.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// As many as a configuration may name.
const MOST_ARGS: usize = 16;

pub(crate) const fn room<'a>() -> ArgSlots<'a> {
    [b""; MOST_ARGS]
}

/// Borrows a request.
///
/// # Safety
///
/// NULL, or a request whose strings are valid while `'a` lasts.
pub(crate) unsafe fn borrow<'a>(
    request: *const credgate_request,
    room: &'a mut ArgSlots<'a>,
) -> Result<Request<'a>, Fail> {
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
            credentials: credentials(request)?,
            args: args(request, room)?,
        })
    }
}

/// # Safety
///
/// As [`borrow`].
unsafe fn credentials(request: &credgate_request) -> Result<Option<Pair<'_>>, Fail> {
    // SAFETY: the caller vouches for the strings.
    unsafe {
        let client_id = bytes::optional(request.client_id, request.client_id_len)?;
        let client_secret = bytes::optional(request.client_secret, request.client_secret_len)?;
        match (client_id, client_secret) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) => Ok(Some((id, secret))),
            _ => Err(Fail(CREDGATE_NULL_ARGUMENT)),
        }
    }
}

/// # Safety
///
/// As [`borrow`].
unsafe fn args<'a>(
    request: &credgate_request,
    room: &'a mut ArgSlots<'a>,
) -> Result<&'a [&'a [u8]], Fail> {
    let room = room
        .get_mut(..request.args_len)
        .ok_or(Fail(CREDGATE_INVALID_ARGUMENT))?;
    if !room.is_empty() && request.args.is_null() {
        return Err(Fail(CREDGATE_NULL_ARGUMENT));
    }
    for (at, value) in room.iter_mut().enumerate() {
        // SAFETY: the caller vouches for the array and for its strings.
        unsafe {
            let given = &*request.args.add(at);
            *value = bytes::optional(given.data, given.len)?.unwrap_or_default();
        }
    }
    Ok(room)
}
