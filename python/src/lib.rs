//! The extension module behind the Python package `credgate`. No behaviour is here.
#![forbid(unsafe_code)]

mod engine;
mod gate;
mod outcome;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use std::alloc::System;
use zeroizing_alloc::ZeroAlloc;

/// What the library frees is wiped: requests and answers of the token endpoint pass through buffers of others, which do
/// not wipe them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

create_exception!(
    credgate,
    CredgateError,
    PyException,
    "What goes wrong for those who configure and operate. `code` is that of the C ABI."
);
create_exception!(
    credgate,
    ConfigError,
    CredgateError,
    "The configuration is at fault; the message names the field."
);

/// The extension module.
#[pymodule]
fn _credgate(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("CredgateError", py.get_type::<CredgateError>())?;
    module.add("ConfigError", py.get_type::<ConfigError>())?;
    module.add_class::<gate::Gate>()?;
    module.add_class::<outcome::Allow>()?;
    module.add_class::<outcome::Deny>()?;
    engine::watch_forks(py)
}

/// An error of the core as Python raises it.
fn raise(py: Python<'_>, error: &credgate_core::Error) -> PyErr {
    let message = error.to_string();
    let raised = if error.is_config_fault() {
        ConfigError::new_err(message)
    } else {
        CredgateError::new_err(message)
    };
    match raised.value(py).setattr("code", error.kind().code()) {
        Ok(()) => raised,
        Err(failed) => failed,
    }
}
