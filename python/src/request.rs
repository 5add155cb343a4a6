//! What a caller shows of a request.

use crate::outcome::outcome;
use crate::queue;
use crate::text::Text;
use credgate_core::{Authentication, Error};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

/// A request and the gate that it came to.
#[pyclass(frozen, module = "credgate._credgate")]
pub(crate) struct Request {
    pub(crate) gate: credgate_core::Gate,
    pub(crate) shown: Shown,
}

#[pymethods]
impl Request {
    /// Waits on the calling thread.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        outcome(py, queue::wait(py, self)?)
    }
}

impl Request {
    pub(crate) fn begin(&self, queue: &credgate_core::Queue) -> Result<Authentication, Error> {
        self.shown
            .to(|shown| queue.authenticate(&self.gate, shown, 0))
    }
}

/// Its parts.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) method: Option<Text>,
    pub(crate) authorization: Option<Text>,
    pub(crate) query: Option<Text>,
    pub(crate) content_type: Option<Text>,
    pub(crate) body: Option<Text>,
    pub(crate) credentials: Option<(Text, Text)>,
    pub(crate) args: Vec<Option<Text>>,
}

impl Shown {
    /// Shows it to the library.
    pub(crate) fn to<T>(&self, look: impl FnOnce(&credgate_core::Request<'_>) -> T) -> T {
        let args: Vec<&[u8]> = self.args.iter().map(bytes_or_none).collect();
        let credentials = self.credentials.as_ref();
        look(&credgate_core::Request {
            method: self.method.as_ref().map_or(b"GET", Text::bytes),
            authorization: self.authorization.as_ref().map(Text::bytes),
            query: self.query.as_ref().map(Text::bytes),
            content_type: self.content_type.as_ref().map(Text::bytes),
            body: self.body.as_ref().map(Text::bytes),
            credentials: credentials.map(|(id, secret)| (id.bytes(), secret.bytes())),
            args: &args,
        })
    }
}

/// An id and a secret that the caller has from elsewhere.
pub(crate) fn credentials(
    client_id: Option<Text>,
    client_secret: Option<Text>,
) -> PyResult<Option<(Text, Text)>> {
    match (client_id, client_secret) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => Ok(Some((id, secret))),
        _ => Err(PyTypeError::new_err(
            "client_id and client_secret go together",
        )),
    }
}

/// Values by the names of the gate's `token_post_args_host`, in their order.
pub(crate) fn args(
    gate: &credgate_core::Gate,
    given: Option<&Bound<'_, PyMapping>>,
) -> PyResult<Vec<Option<Text>>> {
    let names = gate.args();
    let Some(given) = given else {
        return Ok(names.iter().map(|_| None).collect());
    };
    for name in given.keys()? {
        let name: String = name.extract()?;
        if !names.contains(&name) {
            return Err(PyValueError::new_err(format!(
                "the gate has no argument {name:?} in its token_post_args_host"
            )));
        }
    }
    let value = |name: &String| match given.contains(name)? {
        true => given.get_item(name)?.extract(),
        false => Ok(None),
    };
    names.iter().map(value).collect()
}

fn bytes_or_none(value: &Option<Text>) -> &[u8] {
    value.as_ref().map_or(b"", Text::bytes)
}

/// A mapping as JSON; paths are text.
pub(crate) fn json(mapping: &Bound<'_, PyDict>) -> PyResult<String> {
    let py = mapping.py();
    let options = PyDict::new(py);
    options.set_item("allow_nan", false)?;
    options.set_item("default", py.import("os")?.getattr("fspath")?)?;
    py.import("json")?
        .call_method("dumps", (mapping,), Some(&options))?
        .extract()
}

pub(crate) fn from_json<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (json,))
}
