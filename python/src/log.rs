//! Forwards the library's log records to the logger `credgate`, on a thread of the host.

use credgate_core::{Engine, Level};
use pyo3::prelude::*;

/// The numeric levels of `logging`.
const INFO: u8 = 20;
const WARNING: u8 = 30;
const ERROR: u8 = 40;

/// Logs the records that the engine has collected since the last call.
pub(crate) fn collect(py: Python<'_>, engine: &Engine) {
    while engine.has_records()
        && let Ok(Some(record)) = engine.next_record()
    {
        let level = match record.level {
            Level::Notice => INFO,
            Level::Warning => WARNING,
            _ => ERROR,
        };
        emit(py, level, &record.message);
    }
}

/// Logs the warnings of a configuration.
pub(crate) fn warn(py: Python<'_>, warnings: &[&str]) {
    for warning in warnings {
        emit(py, WARNING, warning);
    }
}

/// An exception from the logger must not fail the request. Each interpreter of the process has a logger of its own.
fn emit(py: Python<'_>, level: u8, message: &str) {
    let logged = py.import("logging").and_then(|logging| {
        let logger = logging.call_method1("getLogger", ("credgate",))?;
        logger.call_method1("log", (level, "%s", message))
    });
    if let Err(error) = logged {
        error.write_unraisable(py, None);
    }
}
