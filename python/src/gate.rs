//! `credgate.Gate`.

use crate::outcome::{Allow, Deny};
use crate::{engine, raise};
use credgate_core::{Outcome, Request};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};

/// One compiled configuration. Starts no thread and opens no connection.
#[pyclass(frozen, module = "credgate")]
pub(crate) struct Gate(credgate_core::Gate);

/// Text or bytes.
#[derive(FromPyObject)]
enum Text {
    #[pyo3(transparent, annotation = "str")]
    Str(PyBackedStr),
    #[pyo3(transparent, annotation = "bytes")]
    Bytes(PyBackedBytes),
}

#[pymethods]
impl Gate {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Gate> {
        let py = config.py();
        let json: PyBackedStr = match config.extract() {
            Ok(json) => json,
            Err(_) => {
                let mapping = py.import("builtins")?.call_method1("dict", (config,))?;
                py.import("json")?
                    .call_method1("dumps", (mapping,))?
                    .extract()?
            }
        };
        credgate_core::Gate::from_json(&json)
            .map(Gate)
            .map_err(|error| raise(py, &error))
    }

    /// Authenticate a request; waits for an exchange where one is needed.
    #[pyo3(
        signature = (*, method=None, authorization=None, query=None, content_type=None, body=None),
        text_signature = "($self, /, *, method='GET', authorization=None, query=None, content_type=None, body=None)"
    )]
    fn authenticate(
        &self,
        py: Python<'_>,
        method: Option<Text>,
        authorization: Option<Text>,
        query: Option<Text>,
        content_type: Option<Text>,
        body: Option<Text>,
    ) -> PyResult<Py<PyAny>> {
        let engine = engine::current(py)?;
        let outcome = py
            .detach(|| {
                let request = Request {
                    method: method.as_ref().map_or(b"GET", Text::bytes),
                    authorization: authorization.as_ref().map(Text::bytes),
                    query: query.as_ref().map(Text::bytes),
                    content_type: content_type.as_ref().map(Text::bytes),
                    body: body.as_ref().map(Text::bytes),
                    ..Request::default()
                };
                engine.authenticate_blocking(&self.0, &request)
            })
            .map_err(|error| raise(py, &error))?;
        Ok(match outcome {
            Outcome::Allow(allow) => Py::new(py, Allow(allow))?.into_any(),
            Outcome::Deny(deny) => Py::new(py, Deny(deny))?.into_any(),
        })
    }
}

impl Text {
    fn bytes(&self) -> &[u8] {
        match self {
            Text::Str(text) => text.as_bytes(),
            Text::Bytes(bytes) => bytes,
        }
    }
}
