//! Requests that a host presents to the library.

use crate::boundary::{Fail, boundary};
use crate::bytes;
use crate::handle::Out;
use crate::status::{
    CREDGATE_EMPTY, CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT, CREDGATE_OK,
};
use crate::structs;
use credgate_core::{CredentialHeaders, Gate, Request};
use std::ffi::c_char;
use std::mem::{MaybeUninit, align_of, offset_of, size_of};

/// An HTTP request as the host received it. The library uses the strings within
/// the call only.
#[repr(C)]
pub struct credgate_request {
    /// sizeof(credgate_request).
    pub struct_size: u32,
    /// The method, such as POST.
    pub method: *const c_char,
    /// Its length in bytes.
    pub method_len: usize,
    /// The value of the Authorization header, or NULL. A host must refuse a
    /// request with more than one.
    pub authorization: *const c_char,
    /// Its length in bytes.
    pub authorization_len: usize,
    /// The query string as sent, without '?', or NULL.
    pub query: *const c_char,
    /// Its length in bytes.
    pub query_len: usize,
    /// The value of the Content-Type header, or NULL.
    pub content_type: *const c_char,
    /// Its length in bytes.
    pub content_type_len: usize,
    /// The whole body if credgate_gate_wants_body wants it; NULL: there is no
    /// body, or the host has not read it.
    pub body: *const c_char,
    /// Its length in bytes.
    pub body_len: usize,
    /// The values of the gate's token_post_args_host, in that order, UTF-8. The
    /// token request omits empty values. NULL if the gate has none.
    pub args: *const credgate_string,
    /// The number of token_post_args_host. Another number is a denial (internal).
    pub args_len: usize,
    /// sizeof(credgate_string), if there are values.
    pub arg_size: usize,
    /// A client id that the host already knows, or NULL: the library extracts
    /// id and secret from the request, or uses the gate's own. An empty one is
    /// a denial.
    pub client_id: *const c_char,
    /// Its length in bytes.
    pub client_id_len: usize,
    /// The secret of client_id.
    pub client_secret: *const c_char,
    /// Its length in bytes.
    pub client_secret_len: usize,
    /// The IP address of the client as text, or NULL. Exchanges without a token
    /// are counted for it; other text is ignored.
    pub peer: *const c_char,
    /// Its length in bytes.
    pub peer_len: usize,
    /// The value of the traceparent header, or NULL. Ignored unless
    /// credgate_gate_wants_traceparent returns true.
    pub traceparent: *const c_char,
    /// Its length in bytes.
    pub traceparent_len: usize,
    /// The value of the header that credgate_gate_credential_header names first,
    /// the client's id, or NULL.
    pub client_id_header: *const c_char,
    /// Its length in bytes.
    pub client_id_header_len: usize,
    /// The value of the header that it names second, the client's secret, or
    /// NULL.
    pub client_secret_header: *const c_char,
    /// Its length in bytes.
    pub client_secret_header_len: usize,
    /// 1: the request has one of these headers more than once, also with '_' in
    /// place of '-' or the reverse, and is denied. 0: it has not.
    pub repeated_header: u32,
    /// For tests: must be 0.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// A string.
#[repr(C)]
pub struct credgate_string {
    /// Its first byte.
    pub data: *const c_char,
    /// Its length in bytes.
    pub len: usize,
    /// For tests: must be 0.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// The size of version 1, the minimum.
const REQUEST_V1_SIZE: usize = offset_of!(credgate_request, peer_len) + size_of::<usize>();
/// The size of version 1, the minimum.
const STRING_V1_SIZE: usize = offset_of!(credgate_string, len) + size_of::<usize>();

/// The name of a header, as lua-nginx-module lays it out.
#[repr(C)]
pub struct credgate_header_name {
    /// Its length in bytes.
    pub len: u32,
    /// The name.
    pub data: *const c_char,
}

/// Memory for a borrowed request.
pub(crate) struct Scratch<'a> {
    local: MaybeUninit<credgate_request>,
    args: MaybeUninit<[&'a [u8]; MAX_ARGS]>,
}

/// Id and secret.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The maximum that a configuration may name.
const MAX_ARGS: usize = 16;

pub(crate) const fn scratch<'a>() -> Scratch<'a> {
    Scratch {
        local: MaybeUninit::uninit(),
        args: MaybeUninit::uninit(),
    }
}

/// Finds the only header of a name in an array of `count` headers, whose elements
/// have `header_size` bytes and begin with a credgate_header_name. Names are
/// compared byte by byte, so all must be in lower case. *out_index is the
/// position. CREDGATE_EMPTY: no header has the name, or several have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_header_find(
    headers: *const credgate_header_name,
    count: usize,
    header_size: usize,
    name: *const c_char,
    name_len: usize,
    out_index: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an array of `count` elements of this size, and valid pointers, or NULL.
        unsafe {
            let out_index = Out::required(out_index)?;
            let name = bytes::required(name, name_len)?;
            if headers.is_null() && count > 0 {
                return Err(Fail(CREDGATE_NULL_ARGUMENT));
            }
            if header_size < size_of::<credgate_header_name>()
                || !header_size.is_multiple_of(align_of::<credgate_header_name>())
            {
                return Err(Fail(CREDGATE_INVALID_ARGUMENT));
            }
            let mut found = None;
            for index in 0..count {
                let header = &*headers.byte_add(index * header_size);
                if header.len as usize == name.len()
                    && bytes::required(header.data, name.len())? == name
                    && found.replace(index).is_some()
                {
                    return Ok(CREDGATE_EMPTY);
                }
            }
            let Some(index) = found else {
                return Ok(CREDGATE_EMPTY);
            };
            out_index.set(index);
        }
        Ok(CREDGATE_OK)
    })
}

/// Borrows a request, with the headers that the gate reads.
///
/// # Safety
///
/// NULL, or a request whose strings are valid through `'a`.
#[inline(always)] // A hit would otherwise copy the request twice.
pub(crate) unsafe fn borrow<'a>(
    request: *const credgate_request,
    gate: &Gate,
    scratch: &'a mut Scratch<'a>,
) -> Result<Request<'a>, Fail> {
    // SAFETY: the size is checked before anything else is read; the caller guarantees the strings.
    unsafe {
        let size = structs::stated_size(request, REQUEST_V1_SIZE)?;
        let request = structs::read(request, size, &mut scratch.local);
        #[cfg(credgate_grown)]
        if request.grown != 0 {
            return Err(Fail(CREDGATE_INVALID_ARGUMENT));
        }
        let (traceparent, headers) = if gate.reads_headers() {
            let traceparent = bytes::optional(request.traceparent, request.traceparent_len)?;
            (traceparent, headers(request)?)
        } else {
            (None, CredentialHeaders::default())
        };
        Ok(Request {
            method: bytes::required(request.method, request.method_len)?,
            authorization: bytes::optional(request.authorization, request.authorization_len)?,
            query: bytes::optional(request.query, request.query_len)?,
            content_type: bytes::optional(request.content_type, request.content_type_len)?,
            body: bytes::optional(request.body, request.body_len)?,
            credentials: credentials(request)?,
            args: args(request, &mut scratch.args)?,
            peer: bytes::optional(request.peer, request.peer_len)?,
            traceparent,
            headers,
        })
    }
}

/// # Safety
///
/// As [`borrow`].
unsafe fn headers(request: &credgate_request) -> Result<CredentialHeaders<'_>, Fail> {
    let (id, id_len) = (request.client_id_header, request.client_id_header_len);
    let (secret, secret_len) = (
        request.client_secret_header,
        request.client_secret_header_len,
    );
    // SAFETY: the caller guarantees the strings.
    unsafe {
        Ok(CredentialHeaders {
            client_id: bytes::optional(id, id_len)?,
            client_secret: bytes::optional(secret, secret_len)?,
            repeated: request.repeated_header != 0,
        })
    }
}

/// # Safety
///
/// As [`borrow`].
unsafe fn credentials(request: &credgate_request) -> Result<Option<Pair<'_>>, Fail> {
    // SAFETY: the caller guarantees the strings.
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
    slots: &'a mut MaybeUninit<[&'a [u8]; MAX_ARGS]>,
) -> Result<&'a [&'a [u8]], Fail> {
    if request.args_len == 0 {
        return Ok(&[]);
    }
    let slots = slots
        .write([b""; MAX_ARGS])
        .get_mut(..request.args_len)
        .ok_or(Fail(CREDGATE_INVALID_ARGUMENT))?;
    if request.args.is_null() {
        return Err(Fail(CREDGATE_NULL_ARGUMENT));
    }
    let size = request.arg_size;
    if size < STRING_V1_SIZE || !size.is_multiple_of(align_of::<credgate_string>()) {
        return Err(Fail(CREDGATE_INVALID_ARGUMENT));
    }
    for (at, slot) in slots.iter_mut().enumerate() {
        let mut local = MaybeUninit::uninit();
        // SAFETY: the caller guarantees the array, the size of its elements, and its strings.
        unsafe {
            let arg = structs::read(request.args.byte_add(at * size), size, &mut local);
            #[cfg(credgate_grown)]
            if arg.grown != 0 {
                return Err(Fail(CREDGATE_INVALID_ARGUMENT));
            }
            *slot = bytes::optional(arg.data, arg.len)?.unwrap_or_default();
        }
    }
    Ok(slots)
}
