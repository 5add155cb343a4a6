//! The status page.

use crate::boundary::{CallResult, Fail, boundary};
use crate::bytes;
use crate::clients::{self, credgate_client};
use crate::engine::credgate_engine;
use crate::handle::{self, Out};
use crate::operate::{self, CREDGATE_LEVEL_NOTICE, CREDGATE_LEVEL_WARNING};
use crate::request::credgate_string;
use crate::status::{CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT, CREDGATE_OK};
use crate::structs;
use credgate_core::{Level, Snapshot, StatusPage, StatusRecord};
use std::borrow::Cow;
use std::ffi::c_char;
use std::mem::{MaybeUninit, align_of, offset_of, size_of};
use std::time::{SystemTime, UNIX_EPOCH};

/// A log record on a status page.
#[repr(C)]
pub struct credgate_record {
    /// Its time, in seconds since the Unix epoch.
    pub time: u64,
    /// Its text, which may be any bytes.
    pub text: *const c_char,
    /// The length of the text in bytes.
    pub text_len: usize,
    /// Its CREDGATE_LEVEL_*.
    pub level: u32,
    /// For tests: ignored.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// The contents of a status page, of one process or of several.
#[repr(C)]
pub struct credgate_page {
    /// sizeof(credgate_page).
    pub struct_size: u32,
    /// The number of processes.
    pub processes: u32,
    /// The time at which they began to count, in seconds since the Unix epoch.
    /// 0: the page does not show it.
    pub since: u64,
    /// The sums of the numbers of credgate_engine_counters.
    pub counters: *const u64,
    /// The number of numbers.
    pub counters_len: usize,
    /// The counters of clients; NULL: none.
    pub clients: *const credgate_client,
    /// The number of clients.
    pub clients_len: usize,
    /// sizeof(credgate_client), if there are clients.
    pub client_size: usize,
    /// The texts of credgate_engine_providers, one for each process; NULL:
    /// none.
    pub providers: *const credgate_string,
    /// The number of texts.
    pub providers_len: usize,
    /// sizeof(credgate_string), if there are texts.
    pub string_size: usize,
    /// The latest log records, the oldest first; NULL: none.
    pub records: *const credgate_record,
    /// The number of records.
    pub records_len: usize,
    /// sizeof(credgate_record), if there are records.
    pub record_size: usize,
    /// The number of processes without an engine, which deny all requests.
    pub without_engine: u32,
    /// For tests: ignored.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// The sizes of version 1, the minimum.
const PAGE_V1_SIZE: usize = offset_of!(credgate_page, record_size) + size_of::<usize>();
const RECORD_V1_SIZE: usize = offset_of!(credgate_record, level) + size_of::<u32>();
const STRING_V1_SIZE: usize = offset_of!(credgate_string, len) + size_of::<usize>();

/// Writes the states of the engine's providers, for a status page: as many as
/// fit, those with an open circuit breaker first. The text is the library's
/// own, and changes with its version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_providers(
    engine: *const credgate_engine,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid engine, and memory for `capacity` bytes, or NULL.
        unsafe {
            let engine = handle::borrow(engine)?;
            let text = StatusPage::providers(&engine.0.providers()?, capacity);
            bytes::write(text.as_bytes(), out, capacity, out_len)
        }
    })
}

/// Writes a status page as an HTML document in UTF-8, whatever the bytes of its
/// strings are. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity that the
/// page needs; a page of the next second may need more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_page_html(
    page: *const credgate_page,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid page, and memory for `capacity` bytes, or NULL.
        unsafe {
            write(page, out, capacity, out_len, |page, snapshot| {
                page.html(&snapshot)
            })
        }
    })
}

/// Writes the contents of a status page in Prometheus's text format, version
/// 0.0.4: the text of credgate_counters_text, with the counters of clients and
/// the states of providers. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity
/// that the text needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_page_metrics(
    page: *const credgate_page,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid page, and memory for `capacity` bytes, or NULL.
        unsafe {
            write(page, out, capacity, out_len, |page, snapshot| {
                page.metrics(snapshot)
            })
        }
    })
}

/// Writes the contents of a status page in JSON: the report of
/// credgate_counters_report, with the states of providers, and with the same
/// rules as credgate_page_metrics.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_page_report(
    page: *const credgate_page,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid page, and memory for `capacity` bytes, or NULL.
        unsafe {
            write(page, out, capacity, out_len, |page, snapshot| {
                page.report(&snapshot)
            })
        }
    })
}

/// Returns the Content-Security-Policy of status pages. Static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_page_policy(
    out_policy: *mut *const c_char,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        let policy = StatusPage::policy();
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let (out_policy, out_len) = (Out::required(out_policy)?, Out::required(out_len)?);
            out_policy.set(policy.as_ptr().cast());
            out_len.set(policy.len());
        }
        Ok(CREDGATE_OK)
    })
}

/// Tells whether a client prefers a status page to the JSON of
/// credgate_counters_report, by its header Accept (RFC 9110 section 12.5.1;
/// several headers joined by commas). A client without a preference does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_page_is_preferred(
    accept: *const c_char,
    accept_len: usize,
    out_is_preferred: *mut bool,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let out = Out::required(out_is_preferred)?;
            let accept = bytes::optional(accept, accept_len)?.unwrap_or_default();
            out.set(StatusPage::is_preferred(accept));
        }
        Ok(CREDGATE_OK)
    })
}

/// Writes a text that is made from a page.
///
/// # Safety
///
/// NULL, or a valid page and memory for `capacity` bytes.
unsafe fn write(
    page: *const credgate_page,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
    text: impl FnOnce(&StatusPage<'_>, Snapshot) -> String,
) -> CallResult {
    let mut local = MaybeUninit::uninit();
    // SAFETY: the caller guarantees the pointers.
    unsafe {
        let size = structs::stated_size(page, PAGE_V1_SIZE)?;
        let page = structs::read(page, size, &mut local);
        let snapshot = operate::snapshot(page.counters, page.counters_len)?;
        let records = records(page)?;
        let status = StatusPage {
            processes: page.processes,
            since: page.since,
            now: now(),
            clients: if page.clients_len == 0 {
                Vec::new()
            } else {
                clients::list(page.clients, page.clients_len, page.client_size)?
            },
            providers: providers(page)?,
            records: records
                .iter()
                .map(|(time, level, message)| StatusRecord {
                    time: *time,
                    level: *level,
                    message,
                })
                .collect(),
            without_engine: page.without_engine,
        };
        bytes::write(text(&status, snapshot).as_bytes(), out, capacity, out_len)
    }
}

/// # Safety
///
/// The page is valid during `'p`.
unsafe fn providers<'p>(page: &credgate_page) -> Result<Vec<&'p [u8]>, Fail> {
    let (start, count, size) = (page.providers, page.providers_len, page.string_size);
    check_array(start, count, size, STRING_V1_SIZE)?;
    let text = |at| {
        let mut local = MaybeUninit::uninit();
        // SAFETY: the caller guarantees the array and its strings.
        unsafe {
            let one: &credgate_string = structs::read(start.byte_add(at * size), size, &mut local);
            bytes::required(one.data, one.len)
        }
    };
    (0..count).map(text).collect()
}

/// # Safety
///
/// The page is valid during `'p`.
unsafe fn records<'p>(page: &credgate_page) -> Result<Vec<(u64, Level, Cow<'p, str>)>, Fail> {
    let (start, count, size) = (page.records, page.records_len, page.record_size);
    check_array(start, count, size, RECORD_V1_SIZE)?;
    let record = |at| {
        let mut local = MaybeUninit::uninit();
        // SAFETY: the caller guarantees the array and its strings.
        let (record, text): (&credgate_record, &[u8]) = unsafe {
            let record: &credgate_record =
                structs::read(start.byte_add(at * size), size, &mut local);
            (record, bytes::required(record.text, record.text_len)?)
        };
        let level = match record.level {
            CREDGATE_LEVEL_NOTICE => Level::Notice,
            CREDGATE_LEVEL_WARNING => Level::Warning,
            _ => Level::Error,
        };
        Ok((record.time, level, String::from_utf8_lossy(text)))
    };
    (0..count).map(record).collect()
}

fn check_array<T>(start: *const T, count: usize, size: usize, minimum: usize) -> Result<(), Fail> {
    if count == 0 {
        return Ok(());
    }
    if start.is_null() {
        return Err(Fail(CREDGATE_NULL_ARGUMENT));
    }
    if size < minimum || !size.is_multiple_of(align_of::<T>()) {
        return Err(Fail(CREDGATE_INVALID_ARGUMENT));
    }
    Ok(())
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}
