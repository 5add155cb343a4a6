//! What is raised.

use credgate_core::{Deny, Error};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

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
create_exception!(
    credgate,
    DeniedError,
    CredgateError,
    "No token is to be had.\n\n\
     `code` is the cause, by its number in the C ABI; `http_status` the HTTP status;\n\
     `retry_after` the seconds after which to try again, or None."
);

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = py.get_type::<CredgateError>();
    base.setattr("retry_after", py.None())?;
    module.add("CredgateError", base)?;
    module.add("ConfigError", py.get_type::<ConfigError>())?;
    module.add("DeniedError", py.get_type::<DeniedError>())
}

/// An error of the core as Python raises it.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let message = error.to_string();
    let raised = if error.is_config_fault() {
        ConfigError::new_err(message)
    } else {
        CredgateError::new_err(message)
    };
    let code = Some(error.kind().code().into());
    with(py, raised, &[("code", code)])
}

/// A denial where a token was asked for.
pub(crate) fn denied(py: Python<'_>, deny: &Deny) -> PyErr {
    let cause = deny.cause();
    let mut message = format!("no token: {}", cause.name());
    if !deny.detail().is_empty() {
        message = format!("{message}: {}", deny.detail());
    }
    let attributes = [
        ("code", Some(cause.code().into())),
        ("http_status", Some(deny.http_status().into())),
        ("retry_after", deny.retry_after().map(i64::from)),
    ];
    with(py, DeniedError::new_err(message), &attributes)
}

/// A gate that lets requests pass without a token has none for this client.
pub(crate) fn without_token(py: Python<'_>) -> PyErr {
    let cause = credgate_core::Cause::CredentialsRefused;
    let message = "no token: this client is none of the provider's, and the gate lets it pass without one (anonymous)";
    let attributes = [("code", Some(cause.code().into())), ("http_status", Some(401))];
    with(py, DeniedError::new_err(message), &attributes)
}

fn with(py: Python<'_>, raised: PyErr, attributes: &[(&str, Option<i64>)]) -> PyErr {
    let value = raised.value(py);
    for (name, number) in attributes {
        if let Err(failed) = value.setattr(*name, *number) {
            return failed;
        }
    }
    raised
}
