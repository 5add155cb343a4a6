//! The extension module of the Python package `credgate`: translates between Python and `credgate-core`.
#![forbid(unsafe_code)]

mod engine;
mod errors;
mod gate;
mod log;
mod outcome;
mod queue;
mod request;
mod signals;
mod strings;
mod text;

use pyo3::prelude::*;
use std::alloc::System;
use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is freed. Requests and responses of the token endpoint pass through buffers of dependencies,
/// which do not wipe them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// The extension module.
#[pymodule]
fn _credgate(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::add_to(module)?;
    module.add_class::<gate::Gate>()?;
    module.add_class::<outcome::Allow>()?;
    module.add_class::<outcome::Token>()?;
    module.add_class::<outcome::Deny>()?;
    module.add_class::<queue::Queue>()?;
    module.add_class::<queue::Request>()?;
    module.add_function(wrap_pyfunction!(outcome::to_token, module)?)?;
    module.add_function(wrap_pyfunction!(text::redact_query, module)?)?;
    module.add_function(wrap_pyfunction!(text::config_fields, module)?)?;
    engine::add_to(module)
}
