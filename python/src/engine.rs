//! The engine of this process.

use crate::errors::{late_options, raise};
use crate::text::{from_json, to_json};
use crate::{log, strings};
use credgate_core::{Engine, EngineOptions, Error, process};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

/// Locked only by threads attached to the interpreter, and never across a call into Python. So it is unlocked during a
/// fork and in finalizers.
static STATE: RwLock<State> = RwLock::new(State {
    engine: None,
    options: None,
});

struct State {
    /// Created by the first request, purge, metrics or report.
    engine: Option<Engine>,
    options: Option<EngineOptions>,
}

impl State {
    fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref().filter(|engine| engine.is_usable())
    }

    fn engine_or_new(&mut self) -> Result<Engine, Error> {
        if let Some(engine) = self.engine() {
            return Ok(engine.clone());
        }
        let options = self.options.clone().unwrap_or_default();
        let engine = Engine::shared(options)?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }

    /// Returns false if the engine already runs with other options.
    fn configure(&mut self, options: EngineOptions) -> bool {
        let is_same = self.options.clone().unwrap_or_default() == options;
        let accepted = is_same || self.engine().is_none();
        if accepted {
            self.options = Some(options);
        }
        accepted
    }
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for function in [
        wrap_pyfunction!(configure, module)?,
        wrap_pyfunction!(metrics, module)?,
        wrap_pyfunction!(report, module)?,
        wrap_pyfunction!(purge, module)?,
        wrap_pyfunction!(close, module)?,
        wrap_pyfunction!(note_fork, module)?,
        wrap_pyfunction!(notice_fork, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}

/// The engine of this process. A forked child gets a new one.
pub(crate) fn current(py: Python<'_>) -> PyResult<Engine> {
    let engine = state().engine_or_new();
    engine.map_err(|error| raise(py, &error))
}

/// Calls `f` with the engine of this process. It must not call Python. A handle of its own would cost a cache hit two
/// atomic operations.
pub(crate) fn with<T>(py: Python<'_>, f: impl FnOnce(&Engine) -> T) -> PyResult<T> {
    let state = STATE.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = state.engine() {
        return Ok(f(engine));
    }
    drop(state);
    Ok(f(&current(py)?))
}

/// Set the engine options of this process and of its future children.
///
/// Call it before the first request, purge, metrics or report, which create the engine; options
/// left out get their defaults. `cache_max_bytes`, `cache_max_entries`, `max_waiting` and
/// `max_exchanges` are limits; `provider_pause_max` is the maximum time for which an open circuit
/// breaker keeps exchanges from a provider, in seconds; `metrics_clients` is the maximum number of
/// clients with counters of their own; `store` and the options that begin with `store_` configure
/// the shared store. Raises ConfigError if an option is unknown or invalid, or if the engine
/// already runs with other options.
#[pyfunction]
#[pyo3(signature = (**options))]
fn configure(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let json = match options {
        Some(options) => to_json(options)?,
        None => "{}".to_owned(),
    };
    let options = EngineOptions::from_json(&json).map_err(|error| raise(py, &error))?;
    Engine::check(&options).map_err(|error| raise(py, &error))?;
    if state().configure(options) {
        return Ok(());
    }
    Err(late_options(py))
}

/// Return the metrics of this process in the Prometheus text format; create its engine.
#[pyfunction]
fn metrics(py: Python<'_>) -> PyResult<String> {
    let engine = current(py)?;
    log::collect(py, &engine);
    let snapshot = engine.metrics().map_err(|error| raise(py, &error))?;
    Ok(snapshot.to_string())
}

/// Return the same metrics as a short report: a dict without histograms.
#[pyfunction]
fn report(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let engine = current(py)?;
    log::collect(py, &engine);
    let snapshot = engine.metrics().map_err(|error| raise(py, &error))?;
    from_json(py, &snapshot.report())
}

/// Drop the cached tokens and refusals of one client, or of all clients, in all gates.
///
/// It returns at once, for any number of tokens.
#[pyfunction]
#[pyo3(signature = (client_id=None))]
fn purge(py: Python<'_>, client_id: Option<&str>) -> PyResult<()> {
    let engine = current(py)?;
    let purged = engine.purge_all(client_id);
    strings::clear(py);
    purged.map_err(|error| raise(py, &error))
}

/// Releases the engine. Its thread ends when no request is waiting.
#[pyfunction]
fn close(py: Python<'_>) {
    let engine = state().engine.take();
    if let Some(engine) = &engine {
        log::collect(py, engine);
    }
    strings::clear(py);
    py.detach(|| drop(engine));
}

/// Must be called first in every forked child.
#[pyfunction]
fn note_fork() {
    process::note_fork();
}

/// Must be called before a wait: after an unreported fork, the wait would never end.
#[pyfunction]
pub(crate) fn notice_fork() -> bool {
    process::notice_fork()
}

fn state() -> RwLockWriteGuard<'static, State> {
    STATE.write().unwrap_or_else(PoisonError::into_inner)
}
