//! Text, bytes and JSON between Python and the core.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

/// `str`, `bytes` or `bytearray`.
pub(crate) enum Text {
    Str(PyBackedStr),
    Bytes(PyBackedBytes),
    /// A `str` with lone surrogates, as bytes. The core rejects them wherever UTF-8 is required.
    Surrogates(PyBackedBytes),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Text> {
        if let Ok(text) = object.cast::<PyString>() {
            return match text.extract() {
                Ok(text) => Ok(Text::Str(text)),
                Err(_) => {
                    let encoded = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
                    Ok(Text::Surrogates(encoded.extract()?))
                }
            };
        }
        match object.extract() {
            Ok(bytes) => Ok(Text::Bytes(bytes)),
            Err(_) => Err(PyTypeError::new_err(format!(
                "must be str, bytes or bytearray, not {}",
                object.get_type().name()?
            ))),
        }
    }
}

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Text::Str(text) => text.as_bytes(),
            Text::Bytes(bytes) | Text::Surrogates(bytes) => bytes,
        }
    }

    /// The same as a `String`; `ValueError` if it is not UTF-8.
    pub(crate) fn to_text(&self) -> PyResult<String> {
        let text = String::from_utf8(self.bytes().to_vec());
        text.map_err(|_| PyValueError::new_err("must be UTF-8"))
    }

    /// Converts `bytes` to the Python type of `self`: `str` or `bytes`.
    pub(crate) fn like<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let bytes = PyBytes::new(py, bytes).into_any();
        match self {
            Text::Bytes(_) => Ok(bytes),
            Text::Str(_) | Text::Surrogates(_) => {
                bytes.call_method1("decode", ("utf-8", "surrogatepass"))
            }
        }
    }
}

/// Serializes a mapping; path objects become strings.
pub(crate) fn to_json(mapping: &Bound<'_, PyDict>) -> PyResult<String> {
    let py = mapping.py();
    let options = PyDict::new(py);
    options.set_item("allow_nan", false)?;
    options.set_item("default", py.import("os")?.getattr("fspath")?)?;
    py.import("json")?
        .call_method("dumps", (mapping,), Some(&options))?
        .extract()
}

pub(crate) fn from_json<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOADS.import(py, "json", "loads")?.call1((json,))
}

/// Return a query string that is safe to log.
///
/// The value of every client_secret is overwritten with "*", in any spelling of the name. All other
/// bytes stay unchanged.
#[pyfunction]
pub(crate) fn redact_query<'py>(py: Python<'py>, query: Text) -> PyResult<Bound<'py, PyAny>> {
    let mut bytes = query.bytes().to_vec();
    credgate_core::redact_query(&mut bytes);
    query.like(py, &bytes)
}

/// Return the fields of a configuration and those that only Kong has, as JSON.
#[pyfunction]
pub(crate) fn config_fields() -> &'static str {
    credgate_core::config_fields()
}
