//! Arguments of the token request that the caller may give in its own request (`token_post_args_client`).

use super::{Scratch, Span, form, json};
use crate::cause::Cause;
use crate::request::BodyKind;

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
        names: &[String],
        query: Option<&[u8]>,
        body: Option<(BodyKind, &[u8])>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Args, Cause> {
        let mut args = Args::default();
        for (number, name) in (0..).zip(names) {
            let first = args.len;
            let mut note = |span| args.note(number, span);
            if let Some(query) = query {
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
