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
use credgate_core::{Allow, Cause, Deny, Grant, Outcome, Rules};
use std::borrow::Cow;
use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::time::Instant;

/// What becomes of a request. Strings belong to the outcome, and live until
/// credgate_outcome_release.
///
/// Methods: credgate_outcome_headers, credgate_outcome_claim,
/// credgate_outcome_expires_in, credgate_outcome_upstream_status,
/// credgate_outcome_release.
#[repr(C)]
pub struct credgate_outcome {
    /// In: sizeof(credgate_outcome).
    pub struct_size: u32,
    /// 0: allow. Else deny: the status to answer with.
    pub http_status: u32,
    /// CREDGATE_CACHE_STATUS_*: how it came about.
    pub cache_status: u32,
    /// CREDGATE_SOURCE_*: where the credentials were, and so what has to be
    /// hidden from the upstream.
    pub source: u32,
    /// CREDGATE_OK on allow, else the cause.
    pub code: i32,
    /// Seconds for Retry-After; 0: no such header.
    pub retry_after: u32,
    /// 1: `authorization`, in the header of that name, is all that
    /// credgate_outcome_headers would tell, which need not be asked. 0: ask it.
    pub authorization_only: u32,
    /// Allow: whose token it is. Empty where nobody has been authenticated: on
    /// a denial, and where the request passes without a token.
    pub client_id: *const c_char,
    /// Its length in bytes.
    pub client_id_len: usize,
    /// Allow: the token as the value of an Authorization header, "Bearer
    /// ...". Empty where the request passes without a token. What goes
    /// upstream is told by credgate_outcome_headers.
    pub authorization: *const c_char,
    /// Its length in bytes.
    pub authorization_len: usize,
    /// Deny: the value of the WWW-Authenticate header; empty: no such header.
    pub challenge: *const c_char,
    /// Its length in bytes.
    pub challenge_len: usize,
    /// Deny: the media type of the body.
    pub content_type: *const c_char,
    /// Its length in bytes.
    pub content_type_len: usize,
    /// Deny: the body to answer with, JSON.
    pub body: *const c_char,
    /// Its length in bytes.
    pub body_len: usize,
    /// Deny: one line for the operator's log, without a secret; empty: nothing
    /// worth a line.
    pub detail: *const c_char,
    /// Its length in bytes.
    pub detail_len: usize,
    /// Private: what keeps the strings alive.
    pub owner_rules: *const c_void,
    /// Private: what keeps the strings alive.
    pub owner_grant: *const c_void,
    /// Private: what keeps the strings alive.
    pub owner_texts: *mut c_void,
    /// Private: what keeps the strings alive.
    pub owner_deny: *mut c_void,
}

/// A header of a request that is allowed. Strings belong to the outcome.
#[repr(C)]
pub struct credgate_header {
    /// The name, in lower case.
    pub name: *const c_char,
    /// Its length in bytes.
    pub name_len: usize,
    /// The value; NULL: there is none, and what the client sent under this
    /// name is to be taken away.
    pub value: *const c_char,
    /// Its length in bytes.
    pub value_len: usize,
}

/// Values of headers that had to be made.
type Texts = Vec<String>;

/// Where an outcome goes, once its size is known to suffice.
pub(crate) struct Target(*mut credgate_outcome);

impl Target {
    /// Checks the caller's struct.
    ///
    /// # Safety
    ///
    /// NULL, or a struct of at least its `struct_size` bytes that may be
    /// written to.
    pub(crate) unsafe fn new(outcome: *mut credgate_outcome) -> Result<Target, Fail> {
        const { assert!(offset_of!(credgate_outcome, struct_size) == 0) };
        // SAFETY: the size stands first.
        let struct_size = unsafe { handle::borrow(outcome.cast::<u32>()) }?;
        if (*struct_size as usize) < size_of::<credgate_outcome>() {
            return Err(Fail(CREDGATE_INVALID_ARGUMENT));
        }
        Ok(Target(outcome))
    }

    pub(crate) fn set(self, outcome: Outcome) {
        // SAFETY: checked and vouched for when it was made.
        let target = unsafe { &mut *self.0 };
        empty(target);
        match outcome {
            Outcome::Allow(allow) => set_allow(target, allow),
            Outcome::Deny(deny) => set_deny(target, deny),
        }
    }
}

/// In place: a struct of this size that is moved costs more than what it is filled with.
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
};

/// No allocation: the reference counts of the rules and of the token keep them alive.
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
    // SAFETY: made in the line above; what it borrows lies behind its own pointers and stays where it is.
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

/// Fills *outcome with the denial of a cause (a code from 3001 on), as this
/// gate words it: for a host that must deny a request itself, because it has no
/// engine or gave up waiting. CREDGATE_INVALID_ARGUMENT: no cause has the code.
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

/// The headers of a request that is allowed, from number `first` on: as many as
/// there are, and at most `capacity`, go to headers, and *out_count says how
/// many. A host takes away what the client sent under that name, in any case
/// and with "_" for "-", and sets the value where there is one. A denial has
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_headers(
    outcome: *mut credgate_outcome,
    first: usize,
    headers: *mut credgate_header,
    capacity: usize,
    out_count: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled, and has not released, or NULL.
        unsafe {
            let out_count = Out::required(out_count)?;
            let outcome = outcome.as_mut().ok_or(Fail(CREDGATE_NULL_ARGUMENT))?;
            if headers.is_null() && capacity > 0 {
                return Err(Fail(CREDGATE_NULL_ARGUMENT));
            }
            let mut count = 0;
            if let Some(rules) = outcome.owner_rules.cast::<Rules>().as_ref() {
                let grant = outcome.owner_grant.cast::<Grant>().as_ref();
                let all = rules.headers(grant);
                for (name, value) in all.skip(first).take(capacity) {
                    let (value, value_len) = match value {
                        None => (ptr::null(), 0),
                        Some(text) => keep(outcome, text)?,
                    };
                    headers.add(count).write(credgate_header {
                        name: name.as_ptr().cast(),
                        name_len: name.len(),
                        value: value.cast(),
                        value_len,
                    });
                    count += 1;
                }
            }
            out_count.set(count);
        }
        Ok(CREDGATE_OK)
    })
}

/// What the token says: a claim by its name, or by a path of names joined by
/// "__", with positions in lists from 1. Text as it is, anything else as JSON.
/// CREDGATE_EMPTY: there is no such claim, or no token, or it is no JWT. The
/// string belongs to the outcome.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_claim(
    outcome: *mut credgate_outcome,
    name: *const c_char,
    name_len: usize,
    out_value: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled, and has not released, or NULL.
        unsafe {
            let (out_value, out_len) = (Out::required(out_value)?, Out::required(out_len)?);
            let outcome = outcome.as_mut().ok_or(Fail(CREDGATE_NULL_ARGUMENT))?;
            let name = bytes::text(name, name_len)?;
            let grant = outcome.owner_grant.cast::<Grant>().as_ref();
            let Some(value) = grant.and_then(|grant| grant.claim(name)) else {
                return Ok(CREDGATE_EMPTY);
            };
            let (start, len) = keep(outcome, value)?;
            out_value.set(start.cast());
            out_len.set(len);
        }
        Ok(CREDGATE_OK)
    })
}

/// For how many seconds the gate serves this token still. CREDGATE_EMPTY: it
/// is not kept, or there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_expires_in(
    outcome: *const credgate_outcome,
    out_seconds: *mut u64,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled, and has not released, or NULL.
        unsafe {
            let out_seconds = Out::required(out_seconds)?;
            let outcome = handle::borrow(outcome)?;
            let (Some(rules), Some(grant)) = (
                outcome.owner_rules.cast::<Rules>().as_ref(),
                outcome.owner_grant.cast::<Grant>().as_ref(),
            ) else {
                return Ok(CREDGATE_EMPTY);
            };
            let Some(left) = rules.expires_in(grant, Instant::now()) else {
                return Ok(CREDGATE_EMPTY);
            };
            out_seconds.set(left.as_secs());
        }
        Ok(CREDGATE_OK)
    })
}

/// Tells what the upstream answered to a request that was allowed with this
/// outcome. Where the gate drops tokens after that status, *out_dropped (which
/// may be NULL) says whether one was: unless another has taken its place, or
/// it is brand new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_upstream_status(
    outcome: *const credgate_outcome,
    engine: *const credgate_engine,
    http_status: u32,
    out_dropped: *mut bool,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an outcome that the library filled, and has not released, or NULL.
        unsafe {
            let (outcome, engine) = (handle::borrow(outcome)?, handle::borrow(engine)?);
            let dropped = match (
                outcome.owner_rules.cast::<Rules>().as_ref(),
                outcome.owner_grant.cast::<Grant>().as_ref(),
                u16::try_from(http_status),
            ) {
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

/// Where a text lies while the outcome lives: where it is, or where it is kept
/// for it.
///
/// # Safety
///
/// The outcome was filled by the library.
unsafe fn keep(
    outcome: &mut credgate_outcome,
    text: Cow<'_, str>,
) -> Result<(*const u8, usize), Fail> {
    let text = match text {
        Cow::Borrowed(text) => return Ok((text.as_ptr(), text.len())),
        Cow::Owned(text) => text,
    };
    if outcome.owner_texts.is_null() {
        outcome.owner_texts = handle::give(Texts::new()).cast();
    }
    // A string does not move when the list of strings does.
    let place = (text.as_ptr(), text.len());
    // SAFETY: made above, or by an earlier call.
    let texts = unsafe { outcome.owner_texts.cast::<Texts>().as_mut() };
    texts.ok_or(Fail(CREDGATE_NULL_ARGUMENT))?.push(text);
    Ok(place)
}

/// Releases what an outcome holds, and empties it. Releasing it again, or one
/// that was zeroed and never filled, does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_outcome_release(outcome: *mut credgate_outcome) {
    boundary_void(|| {
        // SAFETY: C passes NULL, or an outcome that is zeroed or was filled by the library.
        unsafe {
            if let Some(outcome) = outcome.as_mut() {
                let (rules, grant) = (outcome.owner_rules, outcome.owner_grant);
                let (texts, deny) = (outcome.owner_texts, outcome.owner_deny);
                empty(outcome);
                handle::release(rules.cast::<Rules>());
                handle::release(grant.cast::<Grant>());
                handle::free(texts.cast::<Texts>());
                handle::free(deny.cast::<Deny>());
            }
        }
    });
}
