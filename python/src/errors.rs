//! The exceptions of the package.

use credgate_core::{Cause, Deny, Error};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    credgate,
    CredgateError,
    PyException,
    "The base class of the package's exceptions.\n\n\
     Raised itself if the system refuses a thread or a file descriptor, and after a fork in the\n\
     middle of a call."
);
create_exception!(
    credgate,
    ConfigError,
    CredgateError,
    "Settings or engine options are invalid; the message has a line for each.\n\n\
     `code` is the number of the C ABI: 2001 not JSON, 2002 unknown field, 2003 invalid value, 2004\n\
     unreadable file."
);
create_exception!(
    credgate,
    DeniedError,
    CredgateError,
    "There is no token for this client.\n\n\
     `cause` is the reason, such as \"credentials_refused\"; `http_status` the HTTP status of the\n\
     denial; `retry_after` the seconds to wait before the next attempt, or None."
);

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = py.get_type::<CredgateError>();
    base.setattr("retry_after", py.None())?;
    module.add("CredgateError", base)?;
    module.add("ConfigError", py.get_type::<ConfigError>())?;
    module.add("DeniedError", py.get_type::<DeniedError>())
}

/// The Python exception for an error of the core.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let message = error.to_string();
    if error.is_config_fault() {
        config_error(py, message, error.kind().code())
    } else {
        CredgateError::new_err(message)
    }
}

pub(crate) fn config_error(py: Python<'_>, message: String, code: i32) -> PyErr {
    let raised = ConfigError::new_err(message);
    match raised.value(py).setattr("code", code) {
        Ok(()) => raised,
        Err(failed) => failed,
    }
}

/// A denial of a request for a token.
pub(crate) fn denied(py: Python<'_>, deny: &Deny) -> PyErr {
    let cause = deny.cause();
    let mut message = format!("no token: {}", cause.name());
    if !deny.detail().is_empty() {
        message = format!("{message}: {}", deny.detail());
    }
    denied_error(py, message, cause, deny.http_status(), deny.retry_after())
}

/// The provider refused the client, but the gate is `anonymous` and lets its requests pass.
pub(crate) fn without_token(py: Python<'_>) -> PyErr {
    let message = "no token: the provider refused this client; the gate is anonymous and would let its request pass \
                   without a token";
    denied_error(py, message.to_owned(), Cause::CredentialsRefused, 401, None)
}

fn denied_error(
    py: Python<'_>,
    message: String,
    cause: Cause,
    http_status: u16,
    retry_after: Option<u32>,
) -> PyErr {
    let raised = DeniedError::new_err(message);
    let value = raised.value(py);
    let set = value
        .setattr("cause", cause.name())
        .and_then(|()| value.setattr("http_status", http_status))
        .and_then(|()| value.setattr("retry_after", retry_after));
    match set {
        Ok(()) => raised,
        Err(failed) => failed,
    }
}
