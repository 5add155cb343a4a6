//! Blocking waits that release the interpreter and run signal handlers.

use pyo3::prelude::*;
use std::time::Duration;

/// The main thread wakes this often to run the handler of a signal that another thread received.
const SLICE: Duration = Duration::from_millis(50);

/// Calls `poll` until it returns a value. `poll` must block for no longer than the given time.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    poll: impl Fn(Duration) -> Option<T> + Sync,
) -> PyResult<T> {
    let slice = slice(py)?;
    loop {
        if let Some(value) = py.detach(|| poll(slice)) {
            return Ok(value);
        }
        py.check_signals()?;
    }
}

/// Python runs signal handlers on its main thread; other threads need not wake for them.
fn slice(py: Python<'_>) -> PyResult<Duration> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let is_main = threading.call_method0("get_ident")?.eq(main)?;
    Ok(if is_main { SLICE } else { Duration::MAX })
}
