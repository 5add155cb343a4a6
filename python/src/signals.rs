//! Waits, detached from the interpreter, during which signals are served.

use pyo3::prelude::*;
use std::time::Duration;

/// How long the main thread waits until it looks for a signal that another thread has taken.
const SLICE: Duration = Duration::from_millis(50);

/// Asks until there is an answer; what is asked waits for one, no longer than it is told.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    ask: impl Fn(Duration) -> Option<T> + Sync,
) -> PyResult<T> {
    let slice = slice(py)?;
    loop {
        if let Some(answer) = py.detach(|| ask(slice)) {
            return Ok(answer);
        }
        py.check_signals()?;
    }
}

/// Python serves signals on its main thread; no other has to wake for them.
fn slice(py: Python<'_>) -> PyResult<Duration> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let is_main = threading.call_method0("get_ident")?.eq(main)?;
    Ok(if is_main { SLICE } else { Duration::MAX })
}
