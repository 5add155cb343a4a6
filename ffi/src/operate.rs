//! What those who operate a host ask of an engine: numbers, records, purges.

use crate::boundary::{CallResult, Fail, boundary};
use crate::bytes;
use crate::engine::credgate_engine;
use crate::gate::credgate_gate;
use crate::handle::{self, Out};
use crate::status::{
    CREDGATE_BUFFER_TOO_SMALL, CREDGATE_EMPTY, CREDGATE_INVALID_ARGUMENT, CREDGATE_OK,
};
use credgate_core::{Level, Snapshot};
use std::ffi::c_char;

/// How many numbers credgate_engine_counters writes.
pub const CREDGATE_COUNTERS: usize = 81;
/// How many of them, the first ones, only grow: a host that adds up several
/// processes keeps those of one that has ended.
pub const CREDGATE_COUNTERS_CUMULATIVE: usize = 78;

const _: () = assert!(
    CREDGATE_COUNTERS == Snapshot::COUNTERS && CREDGATE_COUNTERS_CUMULATIVE == Snapshot::CUMULATIVE
);

/// Something works again, or has been settled.
pub const CREDGATE_LEVEL_NOTICE: u32 = 1;
/// Something should be looked at.
pub const CREDGATE_LEVEL_WARNING: u32 = 2;
/// Something fails for clients.
pub const CREDGATE_LEVEL_ERROR: u32 = 3;

/// What an engine has done, as CREDGATE_COUNTERS numbers. Those of several
/// processes may be added up one by one; credgate_counters_text says what they
/// mean.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_counters(
    engine: *const credgate_engine,
    out_counters: *mut u64,
    count: usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid engine, and room for `count` numbers, or NULL.
        unsafe {
            let engine = handle::borrow(engine)?;
            let out = Out::required(out_counters.cast::<[u64; Snapshot::COUNTERS]>())?;
            if count < Snapshot::COUNTERS {
                return Err(Fail(CREDGATE_BUFFER_TOO_SMALL));
            }
            out.set(engine.0.metrics()?.counters());
        }
        Ok(CREDGATE_OK)
    })
}

/// Numbers of credgate_engine_counters in Prometheus's text format, version
/// 0.0.4. CREDGATE_BUFFER_TOO_SMALL: *out_len is the room that is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_counters_text(
    counters: *const u64,
    count: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes `count` numbers, and room for `capacity` bytes, or NULL.
        unsafe {
            write(counters, count, out, capacity, out_len, |all| {
                all.to_string()
            })
        }
    })
}

/// Numbers of credgate_engine_counters as JSON. CREDGATE_BUFFER_TOO_SMALL:
/// *out_len is the room that is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_counters_report(
    counters: *const u64,
    count: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes `count` numbers, and room for `capacity` bytes, or NULL.
        unsafe { write(counters, count, out, capacity, out_len, Snapshot::report) }
    })
}

/// Writes what the numbers mean.
///
/// # Safety
///
/// NULL, or `count` numbers and room for `capacity` bytes.
unsafe fn write(
    counters: *const u64,
    count: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
    text: impl FnOnce(&Snapshot) -> String,
) -> CallResult {
    if count != Snapshot::COUNTERS {
        return Err(Fail(CREDGATE_INVALID_ARGUMENT));
    }
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        let counters = handle::borrow(counters.cast::<[u64; Snapshot::COUNTERS]>())?;
        let text = text(&Snapshot::from_counters(counters));
        bytes::write(text.as_bytes(), out, capacity, out_len)
    }
}

/// The next line for the operator's log: a CREDGATE_LEVEL_*, and a text
/// without a secret, cut where there is no more room. CREDGATE_EMPTY: there is
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_record(
    engine: *const credgate_engine,
    out_level: *mut u32,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid engine, and room for `capacity` bytes, or NULL.
        unsafe {
            let engine = handle::borrow(engine)?;
            let (out_level, out_len) = (Out::required(out_level)?, Out::required(out_len)?);
            let out = bytes::writable(out, capacity)?;
            let Some(record) = engine.0.next_record()? else {
                return Ok(CREDGATE_EMPTY);
            };
            out_level.set(match record.level {
                Level::Notice => CREDGATE_LEVEL_NOTICE,
                Level::Warning => CREDGATE_LEVEL_WARNING,
                _ => CREDGATE_LEVEL_ERROR,
            });
            let len = record.message.len().min(out.len());
            out[..len].copy_from_slice(&record.message.as_bytes()[..len]);
            out_len.set(len);
        }
        Ok(CREDGATE_OK)
    })
}

/// Drops the tokens of a gate (NULL: of all gates) and of a client (NULL: of
/// all clients) from the engine's cache, and all remembered refusals.
/// *out_count (which may be NULL) says how many tokens that were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_purge(
    engine: *const credgate_engine,
    gate: *const credgate_gate,
    client_id: *const c_char,
    client_id_len: usize,
    out_count: *mut u64,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL, as the header asks.
        unsafe {
            let engine = &handle::borrow(engine)?.0;
            let client_id = client(client_id, client_id_len)?;
            let purged = match gate.as_ref() {
                Some(gate) => engine.purge(&gate.0, client_id),
                None => engine.purge_all(client_id),
            };
            let purged = purged?;
            handle::set_optional(out_count, || purged);
        }
        Ok(CREDGATE_OK)
    })
}

/// Follows a purge of all gates that another process of the host has made with
/// credgate_engine_purge and told of: drops the tokens of a client (NULL: of
/// all clients) from this engine's cache, and nothing from the shared store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_follow_purge(
    engine: *const credgate_engine,
    client_id: *const c_char,
    client_id_len: usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL, as the header asks.
        unsafe {
            let engine = &handle::borrow(engine)?.0;
            engine.follow_purge(client(client_id, client_id_len)?)?;
        }
        Ok(CREDGATE_OK)
    })
}

/// # Safety
///
/// As for the functions of C that this is a part of; the bytes are used within the call.
unsafe fn client<'a>(client_id: *const c_char, len: usize) -> Result<Option<&'a str>, Fail> {
    // SAFETY: as for the caller.
    unsafe {
        bytes::optional(client_id, len)?
            .map(|_| bytes::text(client_id, len))
            .transpose()
    }
}
