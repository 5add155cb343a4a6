//! The exceptions of the package.

use credgate_core::{Cause, Deny, Error, ErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

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
     `problems` is a tuple with a `Problem` for each. `code` is the number of the C ABI: 2001 not\n\
     JSON, 2002 unknown field, 2003 invalid value, 2004 unreadable file."
);
create_exception!(
    credgate,
    DeniedError,
    CredgateError,
    "There is no token for this client.\n\n\
     `cause` is the reason, such as \"credentials_refused\"; `http_status` the HTTP status of the\n\
     denial; `retry_after` the seconds to wait before the next attempt, or None."
);

/// A problem of settings or engine options.
#[pyclass(frozen, eq, hash, module = "credgate")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    field: Option<String>,
    message: String,
}

#[pymethods]
impl Problem {
    #[new]
    fn new(field: Option<String>, message: String) -> Problem {
        Problem { field, message }
    }

    /// The field or the option, or None if all of them are at fault.
    #[getter]
    fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The problem and its remedy, which begin with the place of a value inside the field.
    #[getter]
    fn message(&self) -> &str {
        &self.message
    }

    fn __repr__(&self) -> String {
        let field = self
            .field
            .as_ref()
            .map_or("None".to_owned(), |field| format!("'{field}'"));
        format!("Problem(field={field}, message={:?})", self.message)
    }

    /// So that a `ConfigError` can be pickled.
    fn __reduce__(&self, py: Python<'_>) -> (Py<PyType>, (Option<String>, String)) {
        let arguments = (self.field.clone(), self.message.clone());
        (py.get_type::<Problem>().unbind(), arguments)
    }
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = py.get_type::<CredgateError>();
    base.setattr("retry_after", py.None())?;
    module.add("CredgateError", base)?;
    // The attributes of an exception that a program creates, such as a test.
    let config = py.get_type::<ConfigError>();
    config.setattr("problems", PyTuple::empty(py))?;
    config.setattr("code", ErrorKind::ConfigValue.code())?;
    module.add("ConfigError", config)?;
    module.add_class::<Problem>()?;
    let denied = py.get_type::<DeniedError>();
    denied.setattr("cause", Cause::Internal.name())?;
    denied.setattr("http_status", 500)?;
    module.add("DeniedError", denied)
}

/// The Python exception for an error of the core.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let message = error.to_string();
    if !error.is_config_fault() {
        return CredgateError::new_err(message);
    }
    let problems = error.problems().map(|problem| Problem {
        field: problem.field().map(str::to_owned),
        message: problem.message().to_owned(),
    });
    config_error(py, message, error.kind(), problems.collect())
}

/// The error of engine options that are valid, but come too late.
pub(crate) fn late_options(py: Python<'_>) -> PyErr {
    let message = "the engine of this process already runs with other options; call configure before the first \
                   request, purge, metrics or report, or call close first"
        .to_owned();
    let text = format!("engine options: {message}");
    let problem = Problem {
        field: None,
        message,
    };
    config_error(py, text, ErrorKind::ConfigValue, vec![problem])
}

fn config_error(py: Python<'_>, text: String, kind: ErrorKind, problems: Vec<Problem>) -> PyErr {
    let raised = ConfigError::new_err(text);
    let value = raised.value(py);
    let set = PyTuple::new(py, problems)
        .and_then(|problems| value.setattr("problems", problems))
        .and_then(|()| value.setattr("code", kind.code()));
    match set {
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
