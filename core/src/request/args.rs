//! Arguments of the token request that come with a request: the caller's own (`token_post_args_client`) and the host's
//! (`token_post_args_host`).

use super::scratch::{Scratch, Span};
use super::{form, json};
use crate::cause::Cause;
use crate::request::{BodyKind, Request};

/// Their names. An argument is known by its number: the caller's come first.
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

/// How many values a request may give, all names together.
const MAX_ARGS: usize = 16;

/// What was found: the number of a name, and where its value lies in the scratch.
#[derive(Clone, Copy, Default)]
pub(super) struct Args {
    found: [(u8, Span); MAX_ARGS],
    len: usize,
}

impl Args {
    /// In the order of the names, and for each name in the order of the request. A name may stand twice
    /// (`resource`, RFC 8707 section 2); one without a value is as if left out (RFC 6749 section 3.2).
    pub(super) fn find(
        names: &ArgNames,
        request: &Request<'_>,
        body: Option<(BodyKind, &[u8])>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Args, Cause> {
        let mut args = Args::default();
        for (number, name) in (0..).zip(names.callers()) {
            let first = args.len;
            let mut note = |span| args.note(number, span);
            if let Some(query) = request.query {
                form::values(query, name, scratch, &mut note)?;
            }
            match body {
                Some((BodyKind::Form, body)) => form::values(body, name, scratch, &mut note)?,
                Some((BodyKind::Json, body)) => json::values(body, name, scratch, &mut note)?,
                None => {}
            }
            // A provider would have to choose, and might not choose what the cache took it for.
            if name == "scope" && args.len > first + 1 {
                return Err(Cause::RepeatedParameter);
            }
        }
        let first = names.callers().len() as u8;
        for (number, value) in (first..).zip(request.args) {
            let span = scratch.push(value.iter().copied().map(Ok))?;
            args.note(number, span)?;
        }
        for (_, span) in args.as_slice() {
            std::str::from_utf8(scratch.of(*span)).map_err(|_| Cause::MalformedParameter)?;
        }
        Ok(args)
    }

    pub(super) fn as_slice(&self) -> &[(u8, Span)] {
        &self.found[..self.len]
    }

    fn note(&mut self, number: u8, span: Span) -> Result<(), Cause> {
        if span.start < span.end {
            *self.found.get_mut(self.len).ok_or(Cause::TooLong)? = (number, span);
            self.len += 1;
        }
        Ok(())
    }
}
