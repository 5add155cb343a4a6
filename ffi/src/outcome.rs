//! Outcomes.

use crate::boundary::{Fail, boundary, boundary_void};
use crate::bytes;
use crate::engine::credgate_engine;
use crate::gate::credgate_gate;
use crate::handle::{self, Out};
use crate::status::{
    CREDGATE_CACHE_STATUS_NONE, CREDGATE_EMPTY, CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT,
    CREDGATE_OK, CREDGATE_SOURCE_NONE, cache_status_number, source_number,
};
use crate::structs;
use credgate_core::{Allow, Cause, Deny, Grant, Outcome, Rules};
use std::borrow::Cow;
use std::ffi::{c_char, c_void};
use std::mem::{align_of, offset_of, size_of};
use std::ptr;

/// The result of authenticating a request: allow or deny. Strings belong to the
/// outcome and live until credgate_outcome_release.
///
/// Methods: credgate_outcome_headers, credgate_outcome_claim,
/// credgate_outcome_expires_in, credgate_outcome_upstream_status,
/// credgate_outcome_token_response, credgate_outcome_release.
#[repr(C)]
pub struct credgate_outcome {
    /// In: sizeof(credgate_outcome).
    pub struct_size: u32,
    /// 0: allow. Otherwise deny, with this HTTP status.
    pub http_status: u32,
    /// CREDGATE_CACHE_STATUS_*.
    pub cache_status: u32,
    /// CREDGATE_SOURCE_*: the place of the credentials, which the host must
    /// hide from the upstream.
    pub source: u32,
    /// Allow: CREDGATE_OK. Deny: the code of the cause.
    pub code: i32,
    /// Deny: the value of the Retry-After header in seconds; 0: no such header.
    pub retry_after: u32,
    /// 1: credgate_outcome_headers would return the Authorization header with
    /// the value of authorization and nothing else, so the host need not call
    /// it. 0: call it.
    pub authorization_only: u32,
    /// Allow: the id of the client. Empty on a denial and if the request passes
    /// without a token.
    pub client_id: *const c_char,
    /// Its length in bytes.
    pub client_id_len: usize,
    /// Allow: the token as the value of an Authorization header, "Bearer ...".
    /// Empty if the request passes without a token. credgate_outcome_headers
    /// returns the headers for the upstream.
    pub authorization: *const c_char,
    /// Its length in bytes.
    pub authorization_len: usize,
    /// Deny: the value of the WWW-Authenticate header: one challenge, or two with
    /// a comma between them. Empty: no such header.
    pub challenge: *const c_char,
    /// Its length in bytes.
    pub challenge_len: usize,
    /// Deny: the media type of the body.
    pub content_type: *const c_char,
    /// Its length in bytes.
    pub content_type_len: usize,
    /// Deny: the body of the response, JSON. Of a token endpoint: the error
    /// response of RFC 6749 section 5.2.
    pub body: *const c_char,
    /// Its length in bytes.
    pub body_len: usize,
    /// Deny: one line for the operator's log, without secrets; empty: log
    /// nothing.
    pub detail: *const c_char,
    /// Its length in bytes.
    pub detail_len: usize,
    /// Private: an owner of strings.
    pub owner_rules: *const c_void,
    /// Private: an owner of strings.
    pub owner_grant: *const c_void,
    /// Private: an owner of strings.
    pub owner_texts: *mut c_void,
    /// Private: an owner of strings.
    pub owner_deny: *mut c_void,
    /// For tests: 1.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// A header of an allowed request. Strings belong to the outcome.
#[repr(C)]
pub struct credgate_header {
    /// The name, in lower case.
    pub name: *const c_char,
    /// Its length in bytes.
    pub name_len: usize,
    /// The value, or NULL: the host only removes the client's headers of this
    /// name.
    pub value: *const c_char,
    /// Its length in bytes.
    pub value_len: usize,
    /// For tests: 1.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// The size of version 1, the minimum. It includes the owners of the strings.
const OUTCOME_V1_SIZE: usize = offset_of!(credgate_outcome, owner_deny) + size_of::<*mut c_void>();
/// Whether fields follow those of version 1. If not, every valid outcome is
/// complete, and the hit does not compare sizes again.
const HAS_GROWN: bool = size_of::<credgate_outcome>() > OUTCOME_V1_SIZE;
/// The size of version 1, the minimum.
const HEADER_V1_SIZE: usize = offset_of!(credgate_header, value_len) + size_of::<usize>();

/// Strings that the library made for this outcome.
type Texts = Vec<String>;

/// A caller's outcome whose size has been checked.
pub(crate) struct Target {
    outcome: *mut credgate_outcome,
    size: usize,
}

impl Target {
    /// Checks the caller's struct.
    ///
    /// # Safety
    ///
    /// NULL, or a struct of at least its `struct_size` bytes that may be
    /// written to.
    pub(crate) unsafe fn new(outcome: *mut credgate_outcome) -> Result<Target, Fail> {
        const { assert!(offset_of!(credgate_outcome, struct_size) == 0) };
        // SAFETY: the size is the first field.
        let size = unsafe { structs::stated_size(outcome, OUTCOME_V1_SIZE) }?;
        Ok(Target { outcome, size })
    }

    pub(crate) fn set(self, outcome: Outcome) {
        self.replace(|target| match outcome {
            Outcome::Allow(allow) => set_allow(target, allow),
            Outcome::Deny(deny) => set_deny(target, deny),
        });
    }

    /// Empties the caller's outcome and fills it: in place if it has all fields
    /// that the library knows.
    fn replace(self, fill: impl FnOnce(&mut credgate_outcome)) {
        if !HAS_GROWN || self.size >= size_of::<credgate_outcome>() {
            // SAFETY: `new` checked the size, and its caller guarantees the pointer.
            let target = unsafe { &mut *self.outcome };
            empty(target);
            fill(target);
        } else {
            // SAFETY: as above; the size is the first field.
            let struct_size = unsafe { (*self.outcome).struct_size };
            let mut local = credgate_outcome {
                struct_size,
                ..EMPTY
            };
            fill(&mut local);
            // SAFETY: as above.
            unsafe { structs::write(self.outcome, self.size, &local) };
        }
    }
}

/// The parts that keep an outcome's strings alive. An older host's struct is
/// too short to be borrowed whole.
struct Owners<'a> {
    rules: Option<&'a Rules>,
    grant: Option<&'a Grant>,
    texts: *mut *mut c_void,
}

/// # Safety
///
/// NULL, or an outcome that the library filled and has not released.
unsafe fn owners<'a>(outcome: *const credgate_outcome) -> Result<Owners<'a>, Fail> {
    if outcome.is_null() {
        return Err(Fail(CREDGATE_NULL_ARGUMENT));
    }
    // SAFETY: not NULL, and the fields are within version 1.
    unsafe {
        Ok(Owners {
            rules: (*outcome).owner_rules.cast::<Rules>().as_ref(),
            grant: (*outcome).owner_grant.cast::<Grant>().as_ref(),
            texts: (&raw const (*outcome).owner_texts).cast_mut(),
        })
    }
}

/// Empties in place, because moving a struct of this size costs more than
/// filling it.
fn empty(outcome: &mut credgate_outcome) {
    *outcome = credgate_outcome {
        struct_size: outcome.struct_size,
        ..EMPTY
    };
}

const EMPTY: credgate_outcome = credgate_outcome {
    struct_size: 0,
    http_status: 0,
    cache_status: CREDGATE_CACHE_STATUS_NONE,
    source: CREDGATE_SOURCE_NONE,
    code: CREDGATE_OK,
    retry_after: 0,
    authorization_only: 0,
    client_id: ptr::null(),
    client_id_len: 0,
    authorization: ptr::null(),
    authorization_len: 0,
    challenge: ptr::null(),
    challenge_len: 0,
    content_type: ptr::null(),
    content_type_len: 0,
    body: ptr::null(),
    body_len: 0,
    detail: ptr::null(),
    detail_len: 0,
    owner_rules: ptr::null(),
    owner_grant: ptr::null(),
    owner_texts: ptr::null_mut(),
    owner_deny: ptr::null_mut(),
    #[cfg(credgate_grown)]
    grown: 1,
};

/// Fills without an allocation: shares of the rules and of the token keep the
/// strings alive.
fn set_allow(outcome: &mut credgate_outcome, allow: Allow) {
    outcome.cache_status = cache_status_number(allow.cache_status());
    outcome.source = source_number(allow.source());
    outcome.authorization_only = allow.is_authorization_only().into();
    let (rules, grant) = allow.into_parts();
    outcome.owner_rules = handle::share(rules).cast();
    if let Some(grant) = grant {
        let (client_id, authorization) = (grant.client_id(), grant.authorization());
        outcome.client_id = client_id.as_ptr().cast();
        outcome.client_id_len = client_id.len();
        outcome.authorization = authorization.as_ptr().cast();
        outcome.authorization_len = authorization.len();
        outcome.owner_grant = handle::share(grant).cast();
    }
}

fn set_deny(outcome: &mut credgate_outcome, deny: Deny) {
    let owner = handle::give(deny);
    // SAFETY: made in the line above; its strings are behind pointers and do not move.
    let deny = unsafe { &*owner };
    let (challenge, content_type) = (deny.challenge().unwrap_or_default(), deny.content_type());
    let (body, detail) = (deny.body(), deny.detail());
    outcome.http_status = deny.http_status().into();
    outcome.cache_status = cache_status_number(deny.cache_status());
    outcome.code = deny.cause().code();
    outcome.retry_after = deny.retry_after().unwrap_or(0);
    outcome.challenge = challenge.as_ptr().cast();
    outcome.challenge_len = challenge.len();
    outcome.content_type = content_type.as_ptr().cast();
    outcome.content_type_len = content_type.len();
    outcome.body = body.as_ptr().cast();
    outcome.body_len = body.len();
    outcome.detail = detail.as_ptr().cast();
    outcome.detail_len = detail.len();
    outcome.owner_deny = owner.cast();
}

/// Fills *outcome with this gate's denial for a cause (a code from 3001 on):
/// for a host that must deny a request without an engine, or after its own
/// timeout. CREDGATE_INVALID_ARGUMENT: no cause has this code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_deny(
    gate: *const credgate_gate,
    code: i32,
    outcome: *mut credgate_outcome,
) -> i32 {
    boundary(|| {
        let cause = Cause::from_code(code).ok_or(Fail(CREDGATE_INVALID_ARGUMENT))?;
        // SAFETY: C passes a valid gate and a struct of at least its struct_size bytes, or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            Target::new(outcome)?.set(Outcome::deny(&gate.0, cause));
        }
        Ok(CREDGATE_OK)
    })
}

/// Fills *outcome for a request that the host lets in without this gate's
/// decision, for example because of its address: an allow without a token,
/// whose headers only remove those of the client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_gate_bypass(
    gate: *const credgate_gate,
    outcome: *mut credgate_outcome,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid gate and a struct of at least its struct_size bytes, or NULL.
        unsafe {
            let gate = handle::borrow(gate)?;
            Target::new(outcome)?.set(Outcome::bypass(&gate.0));
        }
        Ok(CREDGATE_OK)
    })
}

/// Copies the headers of an allowed request, from number `first` on, at most
/// `capacity` of them, to an array whose elements have `header_size` bytes:
/// sizeof(credgate_header). *out_count is the number of headers copied: 0 after
/// the last one. For each header the host removes the client's headers of that
/// name, in any case and with "_" for "-", and sets the value if there is one. A
/// denial has no headers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_headers(
    outcome: *mut credgate_outcome,
    first: usize,
    headers: *mut credgate_header,
    capacity: usize,
    header_size: usize,
    out_count: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled and has not released, or NULL.
        unsafe {
            let out_count = Out::required(out_count)?;
            let owners = owners(outcome)?;
            if headers.is_null() && capacity > 0 {
                return Err(Fail(CREDGATE_NULL_ARGUMENT));
            }
            if header_size < HEADER_V1_SIZE
                || !header_size.is_multiple_of(align_of::<credgate_header>())
            {
                return Err(Fail(CREDGATE_INVALID_ARGUMENT));
            }
            let mut count = 0;
            if let Some(rules) = owners.rules {
                let all = rules.headers(owners.grant);
                for (name, value) in all.skip(first).take(capacity) {
                    let (value, value_len) = match value {
                        None => (ptr::null(), 0),
                        Some(text) => keep(owners.texts, text),
                    };
                    let header = credgate_header {
                        name: name.as_ptr().cast(),
                        name_len: name.len(),
                        value: value.cast(),
                        value_len,
                        #[cfg(credgate_grown)]
                        grown: 1,
                    };
                    structs::write(headers.byte_add(count * header_size), header_size, &header);
                    count += 1;
                }
            }
            out_count.set(count);
        }
        Ok(CREDGATE_OK)
    })
}

/// Finds a claim of the token by its name, or by a path: names and positions in
/// lists, counted from 1, joined by "__". A string is returned as text, any
/// other value as JSON. CREDGATE_EMPTY: the token has no such claim or is not a
/// JWT, or there is no token. The string belongs to the outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_claim(
    outcome: *mut credgate_outcome,
    name: *const c_char,
    name_len: usize,
    out_value: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled and has not released, or NULL.
        unsafe {
            let (out_value, out_len) = (Out::required(out_value)?, Out::required(out_len)?);
            let owners = owners(outcome)?;
            let name = bytes::text(name, name_len)?;
            let Some(value) = owners.grant.and_then(|grant| grant.claim(name)) else {
                return Ok(CREDGATE_EMPTY);
            };
            let (start, len) = keep(owners.texts, value);
            out_value.set(start.cast());
            out_len.set(len);
        }
        Ok(CREDGATE_OK)
    })
}

/// The number of seconds for which the gate still serves this token from its
/// cache. CREDGATE_EMPTY: the token is not cached, or there is no token.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_expires_in(
    outcome: *const credgate_outcome,
    out_seconds: *mut u64,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled and has not released, or NULL.
        unsafe {
            let out_seconds = Out::required(out_seconds)?;
            let Owners {
                rules: Some(rules),
                grant: Some(grant),
                ..
            } = owners(outcome)?
            else {
                return Ok(CREDGATE_EMPTY);
            };
            let Some(left) = rules.expires_in(grant) else {
                return Ok(CREDGATE_EMPTY);
            };
            out_seconds.set(left.as_secs());
        }
        Ok(CREDGATE_OK)
    })
}

/// Reports the HTTP status of the upstream's response to a request that was
/// allowed with this outcome. If the gate drops tokens on that status, the
/// token leaves the cache, unless a newer token has replaced it or it was
/// issued only just now. *out_dropped (which may be NULL) is true if it was
/// dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_upstream_status(
    outcome: *const credgate_outcome,
    engine: *const credgate_engine,
    http_status: u32,
    out_dropped: *mut bool,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled and has not released, or NULL.
        unsafe {
            let (owners, engine) = (owners(outcome)?, handle::borrow(engine)?);
            let dropped = match (owners.rules, owners.grant, u16::try_from(http_status)) {
                (Some(rules), Some(grant), Ok(status)) => {
                    engine.0.note_upstream_status(rules, grant, status)?
                }
                _ => false,
            };
            handle::set_optional(out_dropped, || dropped);
        }
        Ok(CREDGATE_OK)
    })
}

/// Returns the body of a token endpoint's success response (RFC 6749 section
/// 5.1): a JSON object with access_token, token_type, expires_in (the rest of
/// the provider's lifetime in whole seconds; absent if it is unknown) and scope
/// (absent if it is unknown). Its media type is application/json, and the
/// response needs the header "Cache-Control: no-store". CREDGATE_EMPTY: there
/// is no token. The string contains the token and belongs to the outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_token_response(
    outcome: *mut credgate_outcome,
    out_json: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled and has not released, or NULL.
        unsafe {
            let (out_json, out_len) = (Out::required(out_json)?, Out::required(out_len)?);
            let owners = owners(outcome)?;
            let Some(grant) = owners.grant else {
                return Ok(CREDGATE_EMPTY);
            };
            let (start, len) = keep(owners.texts, grant.token_response().into());
            out_json.set(start.cast());
            out_len.set(len);
        }
        Ok(CREDGATE_OK)
    })
}

/// A text that lives as long as the outcome: borrowed from its token, or moved
/// to its list of texts.
///
/// # Safety
///
/// `texts` is the list of an outcome that the library filled.
unsafe fn keep(texts: *mut *mut c_void, text: Cow<'_, str>) -> (*const u8, usize) {
    let text = match text {
        Cow::Borrowed(text) => return (text.as_ptr(), text.len()),
        Cow::Owned(text) => text,
    };
    // A string's bytes do not move when the list grows.
    let place = (text.as_ptr(), text.len());
    // SAFETY: the list is NULL, or was made here by an earlier call.
    unsafe {
        if (*texts).is_null() {
            *texts = handle::give(Texts::new()).cast();
        }
        (*(*texts).cast::<Texts>()).push(text);
    }
    place
}

/// Releases the strings of an outcome and empties it. Does nothing to an
/// outcome that was released before, or that was zeroed and never filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_release(outcome: *mut credgate_outcome) {
    boundary_void(|| {
        // SAFETY: C passes NULL, or an outcome that is zeroed or was filled by the library.
        unsafe {
            let Ok(target) = Target::new(outcome) else {
                return;
            };
            let (rules, grant) = ((*outcome).owner_rules, (*outcome).owner_grant);
            let (texts, deny) = ((*outcome).owner_texts, (*outcome).owner_deny);
            target.replace(|_| ());
            handle::release(rules.cast::<Rules>());
            handle::release(grant.cast::<Grant>());
            handle::free(texts.cast::<Texts>());
            handle::free(deny.cast::<Deny>());
        }
    });
}
