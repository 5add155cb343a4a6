//! Forwards the library's log records to the logger `credgate`, on a thread of the host.

use credgate_core::{Engine, Level};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

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

/// An exception from the logger must not fail the request.
fn emit(py: Python<'_>, level: u8, message: &str) {
    static LOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let log = LOG.get_or_try_init(py, || {
        let logger = py
            .import("logging")?
            .call_method1("getLogger", ("credgate",))?;
        PyResult::Ok(logger.getattr("log")?.unbind())
    });
    let logged = log.and_then(|log| log.call1(py, (level, "%s", message)));
    if let Err(error) = logged {
        let context = LOG.get(py).map(|log| log.bind(py).as_any());
        error.write_unraisable(py, context);
    }
}
