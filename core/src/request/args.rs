//! Arguments of the token request that arrive with a request: the caller's (`token_post_args_client`) and the host's
//! (`token_post_args_host`).

use super::scratch::Scratch;
use super::span::ArgSpans;
use super::{form, json};
use crate::cause::Cause;
use crate::request::{BodyKind, Request};

/// The names of the arguments. An argument has a number; the caller's come first.
#[derive(Debug, Clone)]
pub(crate) struct ArgNames {
    all: Vec<String>,
    callers: usize,
}

impl ArgNames {
    pub(crate) fn new(callers: &[String], host: &[String]) -> ArgNames {
        ArgNames {
            all: [callers, host].concat(),
            callers: callers.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn get(&self, number: u8) -> Option<&str> {
        self.all.get(usize::from(number)).map(String::as_str)
    }

    pub(crate) fn callers(&self) -> &[String] {
        &self.all[..self.callers]
    }

    pub(crate) fn host(&self) -> &[String] {
        &self.all[self.callers..]
    }
}

/// Finds the argument values of a request, in the order of the names, and for each name in the order of the request. A
/// name may repeat (`resource`, RFC 8707 section 2).
pub(super) fn find(
    names: &ArgNames,
    request: &Request<'_>,
    body: Option<(BodyKind, &[u8])>,
    scratch: &mut Scratch<'_>,
) -> Result<ArgSpans, Cause> {
    let mut args = ArgSpans::default();
    for (number, name) in (0..).zip(names.callers()) {
        let first = args.len();
        if let Some(query) = request.query {
            form::values(query, name, number, scratch, &mut args)?;
        }
        match body {
            Some((BodyKind::Form, body)) => form::values(body, name, number, scratch, &mut args)?,
            Some((BodyKind::Json, body)) => json::values(body, name, number, scratch, &mut args)?,
            None => {}
        }
        // A provider would have to choose, and might choose another than the cache key assumes.
        if name == "scope" && args.len() > first + 1 {
            return Err(Cause::RepeatedParameter);
        }
    }
    let first = names.callers().len() as u8;
    for (number, value) in (first..).zip(request.args) {
        let span = scratch.push(value.iter().copied().map(Ok))?;
        args.push(number, span)?;
    }
    for (_, span) in args.as_slice() {
        std::str::from_utf8(scratch.of(*span)).map_err(|_| Cause::MalformedParameter)?;
    }
    Ok(args)
}
