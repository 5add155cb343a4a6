//! The parts of a request that the caller passes.

use crate::text::Text;
use credgate_core::Gate;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) method: Option<Text>,
    pub(crate) authorization: Option<Text>,
    pub(crate) query: Option<Text>,
    pub(crate) content_type: Option<Text>,
    pub(crate) body: Option<Text>,
    pub(crate) credentials: Option<(Text, Text)>,
    pub(crate) args: Vec<Option<Text>>,
    pub(crate) peer: Option<Text>,
    pub(crate) traceparent: Option<Text>,
    /// Names and values of headers, among them those that the gate names.
    pub(crate) headers: Vec<(Text, Text)>,
}

impl Parts {
    /// Calls `f` with the core's view of these parts.
    pub(crate) fn with<T>(
        &self,
        gate: &Gate,
        f: impl FnOnce(&credgate_core::Request<'_>) -> T,
    ) -> T {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.bytes(), value.bytes()));
        let args: Vec<&[u8]> = self.args.iter().map(bytes_or_empty).collect();
        let credentials = self.credentials.as_ref();
        f(&credgate_core::Request {
            method: self.method.as_ref().map_or(b"GET", Text::bytes),
            authorization: self.authorization.as_ref().map(Text::bytes),
            query: self.query.as_ref().map(Text::bytes),
            content_type: self.content_type.as_ref().map(Text::bytes),
            body: self.body.as_ref().map(Text::bytes),
            credentials: credentials.map(|(id, secret)| (id.bytes(), secret.bytes())),
            args: &args,
            peer: self.peer.as_ref().map(Text::bytes),
            traceparent: self.traceparent.as_ref().map(Text::bytes),
            headers: gate.select_headers(headers),
        })
    }
}

/// Credentials that the caller extracted itself.
pub(crate) fn credentials(
    client_id: Option<Text>,
    client_secret: Option<Text>,
) -> PyResult<Option<(Text, Text)>> {
    match (client_id, client_secret) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => Ok(Some((id, secret))),
        _ => Err(PyValueError::new_err(
            "client_id and client_secret must be passed together",
        )),
    }
}

/// The credentials of the client that gets a token; `None` for the gate's own client.
pub(crate) fn client(
    gate: &Gate,
    client_id: Option<Text>,
    client_secret: Option<Text>,
) -> PyResult<Option<(Text, Text)>> {
    let given = credentials(client_id, client_secret)?;
    if given.is_none() {
        let bare = Parts {
            args: args(gate, None)?,
            ..Parts::default()
        };
        let own = bare.with(gate, |request| gate.presented_client_id(request));
        own.ok_or_else(|| {
            PyValueError::new_err(
                "the gate has no client of its own: pass client_id and client_secret, or set client_id",
            )
        })?;
    }
    Ok(given)
}

/// The headers of a request, if the gate names two of them: an iterable of names and values.
pub(crate) fn headers(
    gate: &Gate,
    given: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<(Text, Text)>> {
    match given {
        Some(given) if !gate.credential_headers().is_empty() => {
            let pair = |header: PyResult<Bound<'_, PyAny>>| {
                header?.extract().map_err(|_| {
                    PyTypeError::new_err(
                        "headers must be pairs of name and value, each str or bytes; of a mapping, pass headers.items()",
                    )
                })
            };
            given.try_iter()?.map(pair).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// Values for the gate's `token_post_args_host` in the order of its names.
pub(crate) fn args(
    gate: &Gate,
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

fn bytes_or_empty(value: &Option<Text>) -> &[u8] {
    value.as_ref().map_or(b"", Text::bytes)
}
