//! The coroutine of an answer that is known when it is asked for.

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A coroutine that ends with its first step, and touches no event loop.
#[pyclass(frozen, module = "credgate._credgate")]
pub(crate) struct Answered(Mutex<Option<PyResult<Py<PyAny>>>>);

impl Answered {
    pub(crate) fn coroutine<'py>(
        py: Python<'py>,
        answer: PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let answered = Answered(Mutex::new(Some(answer.map(Bound::unbind))));
        Ok(Bound::new(py, answered)?.into_any())
    }

    fn end(&self) -> PyErr {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answer {
            Some(Ok(value)) => PyStopIteration::new_err((value,)),
            Some(Err(error)) => error,
            None => PyRuntimeError::new_err("cannot reuse already awaited coroutine"),
        }
    }
}

#[pymethods]
impl Answered {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> PyResult<Py<PyAny>> {
        Err(self.end())
    }

    fn send(&self, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(self.end())
    }

    #[pyo3(signature = (exception, _value=None, _traceback=None))]
    fn throw(
        &self,
        exception: Bound<'_, PyAny>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.close();
        Err(PyErr::from_value(exception))
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
