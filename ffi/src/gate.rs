//! Gates.

use crate::boundary::{Fail, boundary, boundary_void};
use crate::bytes;
use crate::error::{credgate_error, report};
use crate::handle::{self, Out};
use crate::request::{self, credgate_request};
use crate::status::{CREDGATE_EMPTY, CREDGATE_OK};
use credgate_core::{Error, Gate, config_fields};
use std::ffi::c_char;

/// A compiled configuration: the issuer, the places of credentials, the token
/// request, the requirements on tokens.
///
/// Methods: credgate_gate_new, credgate_gate_token_endpoint,
/// credgate_gate_external, credgate_gate_wants_body,
/// credgate_gate_wants_traceparent, credgate_gate_presented_client_id,
/// credgate_gate_timeout, credgate_gate_config, credgate_gate_warning,
/// credgate_gate_searches_requests, credgate_gate_arg,
/// credgate_gate_credential_header, credgate_gate_deny, credgate_gate_bypass,
/// credgate_gate_hide_query, credgate_gate_hide_body, credgate_gate_free.
pub struct credgate_gate(pub(crate) Gate);

/// Compiles a configuration: a JSON object, or Kong's plugin object. Starts no
/// thread and opens no connection, so it works before a fork and while the
/// provider is down. If the configuration is invalid, *out_error (out_error may
/// be NULL) names the field to change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_new(
    json: *const c_char,
    json_len: usize,
    out_gate: *mut *mut credgate_gate,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let out_gate = Out::required(out_gate)?;
            let gate = Gate::from_json(bytes::text(json, json_len)?)
                .map_err(|error| report(error, out_error))?;
            out_gate.set(handle::give(credgate_gate(gate)));
        }
        Ok(CREDGATE_OK)
    })
}

/// Returns the fields of a configuration, and those of Kong that Credgate does
/// not have, as JSON: an array of objects with "name", "type" and "kong" (Kong
/// has it), and with "elements", "keys", "values", "fields", "one_of", "default",
/// "secret", "description" and "remedy" where they apply. A field with a remedy
/// must not be set. The types are those of Kong's schemas. The string is static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_config_fields(
    out_json: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (out_json, out_len) = unsafe { (Out::required(out_json)?, Out::required(out_len)?) };
        let json = config_fields();
        out_json.set(json.as_ptr().cast());
        out_len.set(json.len());
        Ok(CREDGATE_OK)
    })
}

/// Derives the gate of a token endpoint that answers from the cache (RFC 6749
/// section 3.2). It allows only token requests: POST of a form with
/// grant_type=client_credentials, with the credentials in Authorization: Basic
/// or in the form. scope, audience and resource must be in
/// token_post_args_client or equal what the gate requests. Its denials are
/// error responses (section 5.2), and credgate_outcome_token_response returns
/// the body of a success. Every response needs "Cache-Control: no-store".
///
/// Both gates share their tokens. The caller frees both, in any order. A gate
/// that exchanges no credentials of clients is a configuration error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_token_endpoint(
    gate: *const credgate_gate,
    out_gate: *mut *mut credgate_gate,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe { derive(gate, out_gate, out_error, Gate::token_endpoint) }
    })
}

/// Derives the gate of a service that other proxies ask about their requests
/// (nginx's auth_request, Traefik's ForwardAuth, Envoy's ext_authz). It searches
/// headers only: such a service sees neither query nor body of the original
/// request, or can remove nothing from them. The service responds with the
/// denial, or with 200 and the headers of credgate_outcome_headers.
///
/// Both gates share their tokens. The caller frees both, in any order. A gate
/// that searches no header is a configuration error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_external(
    gate: *const credgate_gate,
    out_gate: *mut *mut credgate_gate,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe { derive(gate, out_gate, out_error, Gate::external) }
    })
}

/// # Safety
///
/// As [`Out::required`]; the gate is valid or NULL.
unsafe fn derive(
    gate: *const credgate_gate,
    out_gate: *mut *mut credgate_gate,
    out_error: *mut *mut credgate_error,
    derived: impl FnOnce(&Gate) -> Result<Gate, Error>,
) -> Result<i32, Fail> {
    // SAFETY: the caller guarantees the pointers.
    unsafe {
        let gate = handle::borrow(gate)?;
        let out_gate = Out::required(out_gate)?;
        let derived = derived(&gate.0).map_err(|error| report(error, out_error))?;
        out_gate.set(handle::give(credgate_gate(derived)));
    }
    Ok(CREDGATE_OK)
}

/// Returns whether the body of this request may contain credentials, so that
/// the host must read it and set it in the request: depends on the method, the
/// media type and the length in bytes (-1: not known yet). A body of unknown
/// length is not wanted beside a header that the gate searches, unless clients
/// may set arguments of the token request. Ignores the body in *request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_wants_body(
    gate: *const credgate_gate,
    request: *const credgate_request,
    content_length: i64,
    out_wants: *mut bool,
) -> i32 {
    boundary(|| {
        let mut scratch = request::scratch();
        // SAFETY: C passes valid pointers or NULL.
        let (gate, request, out_wants) = unsafe {
            let gate = handle::borrow(gate)?;
            (
                gate,
                request::borrow(request, &gate.0, &mut scratch)?,
                Out::required(out_wants)?,
            )
        };
        out_wants.set(
            gate.0
                .wants_body(&request, u64::try_from(content_length).ok()),
        );
        Ok(CREDGATE_OK)
    })
}

/// Returns whether the gate forwards a request's traceparent to the provider,
/// so that the host must look the header up and set it in the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_wants_traceparent(
    gate: *const credgate_gate,
    out_wants: *mut bool,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (gate, out_wants) = unsafe { (handle::borrow(gate)?, Out::required(out_wants)?) };
        out_wants.set(gate.0.wants_traceparent());
        Ok(CREDGATE_OK)
    })
}

/// Copies the client id that the request presents to out, with any secret: for
/// the log of a denial. It is printable ASCII and may contain quotation marks.
/// Returns CREDGATE_EMPTY if there are no credentials, or malformed ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_presented_client_id(
    gate: *const credgate_gate,
    request: *const credgate_request,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        let mut scratch = request::scratch();
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            let request = request::borrow(request, &gate.0, &mut scratch)?;
            match gate.0.presented_client_id(&request) {
                Some(id) => bytes::write(id.as_bytes(), out, capacity, out_len),
                None => Ok(CREDGATE_EMPTY),
            }
        }
    })
}

/// Returns the maximum time that a request waits for its token, in
/// milliseconds: no outcome takes longer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_timeout(
    gate: *const credgate_gate,
    out_milliseconds: *mut u32,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (gate, out_milliseconds) =
            unsafe { (handle::borrow(gate)?, Out::required(out_milliseconds)?) };
        out_milliseconds.set(u32::try_from(gate.0.timeout().as_millis()).unwrap_or(u32::MAX));
        Ok(CREDGATE_OK)
    })
}

/// Returns the effective configuration as JSON, with defaults, and with the
/// operator's secrets masked. The string belongs to the gate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_config(
    gate: *const credgate_gate,
    out_json: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            let (out_json, out_len) = (Out::required(out_json)?, Out::required(out_len)?);
            let json = gate.0.effective_config();
            out_json.set(json.as_ptr().cast());
            out_len.set(json.len());
        }
        Ok(CREDGATE_OK)
    })
}

/// Returns a warning about a dangerous setting in the configuration, one line
/// for each index from 0; CREDGATE_EMPTY after the last one. The string is
/// static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_warning(
    gate: *const credgate_gate,
    index: usize,
    out_text: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            let warnings = gate.0.warnings();
            set_text(warnings.get(index).copied(), out_text, out_len)
        }
    })
}

/// Returns whether the gate searches requests for credentials. If not
/// (client_id, or the place host), something else must decide which requests
/// may pass, and the warning of index 0 says so: a host that knows of another
/// guard may leave it out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_searches_requests(
    gate: *const credgate_gate,
    out_searches: *mut bool,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (gate, out_searches) = unsafe { (handle::borrow(gate)?, Out::required(out_searches)?) };
        out_searches.set(gate.0.searches_requests());
        Ok(CREDGATE_OK)
    })
}

/// Returns the name of an argument of the token request that takes its value
/// from credgate_request's args, one for each index from 0; CREDGATE_EMPTY
/// after the last one. The string belongs to the gate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_arg(
    gate: *const credgate_gate,
    index: usize,
    out_name: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            let names = gate.0.args();
            set_text(names.get(index).map(String::as_str), out_name, out_len)
        }
    })
}

/// Returns the name of a header with the client's credentials, in lower case:
/// the id for index 0, the secret for index 1; CREDGATE_EMPTY after that, and if
/// the gate names no headers. Their values belong into credgate_request's
/// client_id_header and client_secret_header. The string belongs to the gate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_credential_header(
    gate: *const credgate_gate,
    index: usize,
    out_name: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            let names = gate.0.credential_headers();
            set_text(names.get(index).map(String::as_str), out_name, out_len)
        }
    })
}

/// Sets a string of a list, or returns CREDGATE_EMPTY after the last one.
///
/// # Safety
///
/// As [`Out::required`].
unsafe fn set_text(
    text: Option<&str>,
    out_text: *mut *const c_char,
    out_len: *mut usize,
) -> Result<i32, Fail> {
    // SAFETY: the caller guarantees the pointers.
    let (out_text, out_len) = unsafe { (Out::required(out_text)?, Out::required(out_len)?) };
    let Some(text) = text else {
        return Ok(CREDGATE_EMPTY);
    };
    out_text.set(text.as_ptr().cast());
    out_len.set(text.len());
    Ok(CREDGATE_OK)
}

/// Frees a gate. Waiting requests are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_free(gate: *mut credgate_gate) {
    boundary_void(|| {
        // SAFETY: C passes NULL or a gate that it does not use again.
        unsafe { handle::free(gate) };
    });
}
