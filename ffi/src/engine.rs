//! Engines.

use crate::boundary::{Fail, boundary, boundary_void, quiet_panics};
use crate::bytes;
use crate::error::{credgate_error, report};
use crate::handle::{self, Out};
use crate::status::CREDGATE_OK;
use credgate_core::{Engine, EngineOptions, process};
use std::ffi::c_char;
use std::sync::Once;

/// The token cache, the connections to providers and the thread of a process.
///
/// Methods: credgate_engine_new, credgate_engine_check,
/// credgate_engine_counters, credgate_engine_record, credgate_engine_purge,
/// credgate_engine_follow_purge, credgate_engine_clients,
/// credgate_engine_providers, credgate_engine_free.
pub struct credgate_engine(pub(crate) Engine);

/// Makes the engine of this process; a host that forks calls it after the fork.
/// Another call with the same options returns another handle of the same
/// engine. The options are a JSON object, or NULL for the defaults:
/// {"cache_max_bytes": 67108864, "cache_max_entries": 100000, "max_waiting":
/// 10000, "max_exchanges": 64, "provider_pause_max": 5}, and the options of the
/// store in which processes share tokens: "store"
/// ("sqlite:/run/credgate/tokens.db", or "redis://host:6379/0", "rediss://...",
/// "redis+unix:///path/to/socket", "redis+sentinel://host:26379/name/0"),
/// "store_password_file" (of Redis, read at each connect), "store_pepper_file",
/// "store_previous_pepper_files" (a list), "store_timeout" (milliseconds),
/// "store_prefix", "store_ca_file", "store_client_cert_file",
/// "store_client_key_file", "store_max_bytes", "store_metrics" (true or false).
/// "metrics_clients" is the maximum number of clients that have counters of
/// their own (0, the default: none; see credgate_engine_clients).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_new(
    json: *const c_char,
    json_len: usize,
    out_engine: *mut *mut credgate_engine,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        watch_forks();
        quiet_panics();
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let out_engine = Out::required(out_engine)?;
            let options = options(json, json_len, out_error)?;
            let engine = Engine::shared(options).map_err(|error| report(error, out_error))?;
            out_engine.set(handle::give(credgate_engine(engine)));
        }
        Ok(CREDGATE_OK)
    })
}

/// Checks the options of an engine, and the files that they name, without
/// making one, for hosts that read their configuration before they fork.
/// Processes that run as another user may still be unable to read the files.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_check(
    json: *const c_char,
    json_len: usize,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        quiet_panics();
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let options = options(json, json_len, out_error)?;
            Engine::check(&options).map_err(|error| report(error, out_error))?;
        }
        Ok(CREDGATE_OK)
    })
}

/// Frees a handle of an engine. Freeing the last handle or queue of the engine
/// ends its thread; the call waits at most two seconds for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_free(engine: *mut credgate_engine) {
    boundary_void(|| {
        // SAFETY: C passes NULL or an engine that it does not use again.
        unsafe { handle::free(engine) };
    });
}

/// # Safety
///
/// The pointers are valid or NULL.
unsafe fn options(
    json: *const c_char,
    json_len: usize,
    out_error: *mut *mut credgate_error,
) -> Result<EngineOptions, Fail> {
    // SAFETY: the caller guarantees the pointers.
    unsafe {
        match bytes::optional(json, json_len)? {
            None => Ok(EngineOptions::default()),
            Some(_) => EngineOptions::from_json(bytes::text(json, json_len)?)
                .map_err(|error| report(error, out_error)),
        }
    }
}

/// Registers a handler that notes forks in the child. Registers it once,
/// because handlers cannot be removed; the library is never unloaded.
fn watch_forks() {
    extern "C" fn in_child() {
        process::note_fork();
    }

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler is static, and only increments a number.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}
