//! Functions for operators: counters, log records, purges.

use crate::boundary::{CallResult, Fail, boundary};
use crate::bytes;
use crate::engine::credgate_engine;
use crate::gate::credgate_gate;
use crate::handle::{self, Out};
use crate::status::{
    CREDGATE_BUFFER_TOO_SMALL, CREDGATE_EMPTY, CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT,
    CREDGATE_OK,
};
use credgate_core::{Cause, Level, Snapshot};
use std::ffi::c_char;
use std::{ptr, slice};

/// The number of numbers that this header knows.
pub const CREDGATE_COUNTERS: usize = 138;
/// The number of numbers in version 1: the minimum for the functions that take
/// an array of them.
pub const CREDGATE_COUNTERS_V1: usize = 138;
/// The first numbers are gauges. All numbers behind them only grow. Reserved
/// numbers are 0; later versions use them, or append theirs at the end. A host
/// that adds up several processes keeps the growing numbers of a process that
/// has ended, and drops its gauges.
pub const CREDGATE_GAUGES: usize = 8;

const _: () = assert!(
    CREDGATE_COUNTERS == Snapshot::COUNTERS
        && CREDGATE_COUNTERS_V1 <= CREDGATE_COUNTERS
        && CREDGATE_GAUGES == Snapshot::GAUGES
);

/// The number of numbers that the library knows.
const KNOWN: usize = CREDGATE_COUNTERS + cfg!(credgate_grown) as usize;

/// Something works again, or was changed on purpose.
pub const CREDGATE_LEVEL_NOTICE: u32 = 1;
/// Something needs attention.
pub const CREDGATE_LEVEL_WARNING: u32 = 2;
/// Something fails for clients.
pub const CREDGATE_LEVEL_ERROR: u32 = 3;

/// Writes an engine's counters and gauges as `count` numbers, at least
/// CREDGATE_COUNTERS_V1; numbers that the library does not know are 0. A host
/// may add up the numbers of several processes one by one.
/// credgate_counters_text gives their meaning.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_counters(
    engine: *const credgate_engine,
    out_counters: *mut u64,
    count: usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid engine and an array of `count` numbers, or NULL.
        unsafe {
            let engine = handle::borrow(engine)?;
            if out_counters.is_null() {
                return Err(Fail(CREDGATE_NULL_ARGUMENT));
            }
            if count < CREDGATE_COUNTERS_V1 {
                return Err(Fail(CREDGATE_BUFFER_TOO_SMALL));
            }
            let mut known = [1; KNOWN];
            known[..CREDGATE_COUNTERS].copy_from_slice(&engine.0.metrics()?.counters());
            for at in 0..count {
                out_counters
                    .add(at)
                    .write(known.get(at).copied().unwrap_or(0));
            }
        }
        Ok(CREDGATE_OK)
    })
}

/// Adds a denial by credgate_gate_deny, which no engine counts, to numbers of
/// credgate_engine_counters: by its code, and by CREDGATE_CACHE_STATUS_NONE.
/// CREDGATE_INVALID_ARGUMENT: the code is no cause, or the numbers are fewer
/// than CREDGATE_COUNTERS_V1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_counters_deny(
    counters: *mut u64,
    count: usize,
    code: i32,
) -> i32 {
    boundary(|| {
        let cause = Cause::from_code(code).ok_or(Fail(CREDGATE_INVALID_ARGUMENT))?;
        // SAFETY: C passes `count` numbers, or NULL.
        unsafe {
            let mut known = numbers(counters, count)?;
            Snapshot::deny(&mut known, cause);
            ptr::copy_nonoverlapping(known.as_ptr(), counters, count.min(known.len()));
        }
        Ok(CREDGATE_OK)
    })
}

/// Writes numbers of credgate_engine_counters in Prometheus's text format,
/// version 0.0.4. Numbers missing behind `count` are 0; numbers that the
/// library does not know are ignored. CREDGATE_BUFFER_TOO_SMALL: *out_len is
/// the capacity that the text needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_counters_text(
    counters: *const u64,
    count: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes `count` numbers, and memory for `capacity` bytes, or NULL.
        unsafe {
            write(counters, count, out, capacity, out_len, |all| {
                all.to_string()
            })
        }
    })
}

/// Writes numbers of credgate_engine_counters as a short report in JSON, with
/// the same rules as credgate_counters_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_counters_report(
    counters: *const u64,
    count: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes `count` numbers, and memory for `capacity` bytes, or NULL.
        unsafe { write(counters, count, out, capacity, out_len, Snapshot::report) }
    })
}

/// Writes a text that is made from numbers.
///
/// # Safety
///
/// NULL, or `count` numbers and memory for `capacity` bytes.
unsafe fn write(
    counters: *const u64,
    count: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
    text: impl FnOnce(&Snapshot) -> String,
) -> CallResult {
    // SAFETY: the caller guarantees the pointers.
    unsafe {
        let text = text(&snapshot(counters, count)?);
        bytes::write(text.as_bytes(), out, capacity, out_len)
    }
}

/// The snapshot of numbers.
///
/// # Safety
///
/// NULL, or `count` numbers.
pub(crate) unsafe fn snapshot(counters: *const u64, count: usize) -> Result<Snapshot, Fail> {
    // SAFETY: the caller guarantees the numbers.
    Ok(Snapshot::from_counters(&unsafe {
        numbers(counters, count)
    }?))
}

/// Reads numbers.
///
/// # Safety
///
/// NULL, or `count` numbers.
unsafe fn numbers(counters: *const u64, count: usize) -> Result<[u64; CREDGATE_COUNTERS], Fail> {
    if count < CREDGATE_COUNTERS_V1 {
        return Err(Fail(CREDGATE_INVALID_ARGUMENT));
    }
    if counters.is_null() {
        return Err(Fail(CREDGATE_NULL_ARGUMENT));
    }
    let given = count.min(CREDGATE_COUNTERS);
    let mut known = [0; CREDGATE_COUNTERS];
    // SAFETY: the caller guarantees the numbers.
    known[..given].copy_from_slice(unsafe { slice::from_raw_parts(counters, given) });
    Ok(known)
}

/// Takes the next line for the operator's log: its CREDGATE_LEVEL_*, and a text
/// without secrets, truncated to the capacity. CREDGATE_EMPTY: there is no
/// line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_record(
    engine: *const credgate_engine,
    out_level: *mut u32,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid engine, and memory for `capacity` bytes, or NULL.
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

/// Purges the tokens and cached refusals of a gate (NULL: of all gates), of a
/// client (NULL: of all clients). Returns at once, for any number of tokens:
/// they are no longer served, and leave the memory shortly afterwards. A purge
/// of all gates and clients also forgets the metadata and keys of providers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_purge(
    engine: *const credgate_engine,
    gate: *const credgate_gate,
    client_id: *const c_char,
    client_id_len: usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let engine = &handle::borrow(engine)?.0;
            let client_id = client(client_id, client_id_len)?;
            match gate.as_ref() {
                Some(gate) => engine.purge(&gate.0, client_id),
                None => engine.purge_all(client_id),
            }?;
        }
        Ok(CREDGATE_OK)
    })
}

/// Follows a purge of all gates that another process of the host has made with
/// credgate_engine_purge at most two seconds ago: purges the tokens of a client
/// (NULL: of all clients) in this engine. The other process purges the shared
/// store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_follow_purge(
    engine: *const credgate_engine,
    client_id: *const c_char,
    client_id_len: usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let engine = &handle::borrow(engine)?.0;
            engine.follow_purge(client(client_id, client_id_len)?)?;
        }
        Ok(CREDGATE_OK)
    })
}

/// # Safety
///
/// The pointer is NULL, or valid for `len` bytes during `'a`.
unsafe fn client<'a>(client_id: *const c_char, len: usize) -> Result<Option<&'a str>, Fail> {
    // SAFETY: the caller guarantees the pointer.
    unsafe {
        bytes::optional(client_id, len)?
            .map(|_| bytes::text(client_id, len))
            .transpose()
    }
}
