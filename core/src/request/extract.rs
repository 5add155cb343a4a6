//! Finds a client's credentials in a request.
//!
//! Three places are looked at: `Authorization: Basic`, the query string, a form or JSON body; and for a gate that takes
//! tokens, `Authorization: Bearer`. All enabled places are looked at, because credentials in two of them are refused
//! ([RFC 6749 section 5.2]: more than one mechanism). Nothing is allocated: what is found is decoded into a [`Scratch`]
//! on the caller's stack, which wipes itself.
//!
//! [RFC 6749 section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2

use super::args::{self, ArgNames};
use super::pair::Pair;
use super::scratch::Scratch;
use super::span::ArgSpans;
use super::{basic, form, json};
use crate::cause::Cause;
use crate::config::Encoding;
use crate::request::credentials::{Credentials, MAX_LEN};
use crate::request::{BodyKind, Request, Source, carries_body};
use crate::sys::secret::Secret;

/// Where credentials may be, and how large a body may be to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) header: bool,
    pub(crate) query: bool,
    pub(crate) body: bool,
    /// `Authorization: Bearer` is looked at too.
    pub(crate) bearer: bool,
    pub(crate) basic_encoding: Encoding,
    /// Names of arguments that the caller may give in query or body, and of those that the host gives.
    pub(crate) args: ArgNames,
    pub(crate) max_body_bytes: usize,
}

/// What a request presents.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'s> {
    /// Id and secret.
    Pair(PresentedPair<'s>),
    /// A token that the client holds already.
    Token(&'s str),
}

/// A pair: printable ASCII, neither half empty.
#[derive(Clone, Copy)]
pub(crate) struct PresentedPair<'s> {
    pub(crate) client_id: &'s [u8],
    pub(crate) client_secret: &'s [u8],
    pub(crate) source: Source,
    scratch: &'s Scratch<'s>,
}

/// Looks at every enabled place. The error is the cause of the denial.
pub(crate) fn extract<'s>(
    places: &Places,
    request: &Request<'s>,
    scratch: &'s mut Scratch<'_>,
) -> Result<Presented<'s>, Cause> {
    let body = body(places, request);
    let found = match request.credentials {
        Some(_) => None,
        None => match search(places, request, body, scratch)? {
            Found::Token(token) => return Ok(Presented::Token(token)),
            Found::Pair(pair, source) => Some((pair, source)),
        },
    };
    if !places.args.is_empty() {
        scratch.args = Some(args::find(&places.args, request, body, scratch)?);
    }
    let scratch = &*scratch;
    let (id, secret, source) = match found {
        Some((pair, source)) => (scratch.of(pair.id), scratch.of(pair.secret), source),
        None => {
            let (id, secret) = request.credentials.unwrap_or_default();
            if id.is_empty() || secret.is_empty() {
                return Err(Cause::EmptyCredential);
            }
            (id, secret, Source::Host)
        }
    };
    let pair = PresentedPair {
        client_id: printable(id)?,
        client_secret: printable(secret)?,
        source,
        scratch,
    };
    let args: usize = pair.args().map(|(_, value)| value.len()).sum();
    // What the host knows takes no room in the scratch, and counts all the same.
    if id.len() + secret.len() + args > MAX_LEN {
        return Err(Cause::TooLong);
    }
    Ok(Presented::Pair(pair))
}

/// What is found in the request.
enum Found<'r> {
    Pair(Pair, Source),
    Token(&'r str),
}

fn search<'r>(
    places: &Places,
    request: &Request<'r>,
    body: Option<(BodyKind, &[u8])>,
    scratch: &mut Scratch<'_>,
) -> Result<Found<'r>, Cause> {
    let token = match request.authorization {
        Some(value) if places.bearer => basic::bearer(value)?,
        _ => None,
    };
    let mut found = None;
    let mut take = |pair: Result<Option<Pair>, Cause>, source| match pair {
        // What does not fit beside the pair that was found is of a second place, too.
        Ok(Some(_)) | Err(Cause::TooLong) if found.is_some() => Err(Cause::TwoPlaces),
        Ok(Some(_)) if token.is_some() => Err(Cause::TwoPlaces),
        Ok(Some(pair)) => {
            found = Some((pair, source));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(cause) => Err(cause),
    };
    if let (true, Some(value)) = (places.header, request.authorization) {
        let pair = basic::find(value, places.basic_encoding, scratch);
        take(pair, Source::Header)?;
    }
    if let (true, Some(query)) = (places.query, request.query) {
        take(form::find(query, scratch), Source::Query)?;
    }
    if let (true, Some((kind, body))) = (places.body, body) {
        let pair = match kind {
            BodyKind::Form => form::find(body, scratch),
            BodyKind::Json => json::find(body, scratch),
        };
        take(pair, Source::Body)?;
    }
    match (token, found) {
        (Some(token), _) => Ok(Found::Token(token)),
        (None, Some((pair, source))) => Ok(Found::Pair(pair, source)),
        (None, None) => Err(Cause::NoCredentials),
    }
}

/// The body of a request that may hold something, where it was shown and is not too long.
fn body<'r>(places: &Places, request: &Request<'r>) -> Option<(BodyKind, &'r [u8])> {
    let body = request
        .body
        .filter(|body| body.len() <= places.max_body_bytes)?;
    Some((body_kind(places, request)?, body))
}

/// The kind of body of a request that may hold something for this gate.
pub(crate) fn body_kind(places: &Places, request: &Request<'_>) -> Option<BodyKind> {
    if (places.body || !places.args.callers().is_empty()) && carries_body(request.method) {
        BodyKind::of(request.content_type)
    } else {
        None
    }
}

impl<'s> PresentedPair<'s> {
    /// The arguments that came with the request: numbers of the gate's names, and values (UTF-8), in the order of the
    /// names.
    pub(crate) fn args(&self) -> impl ExactSizeIterator<Item = (u8, &'s [u8])> {
        let scratch = self.scratch;
        let args = scratch.args.as_ref().map_or(&[][..], ArgSpans::as_slice);
        args.iter().map(|(name, span)| (*name, scratch.of(*span)))
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            client_id: ascii(self.client_id).to_owned(),
            client_secret: Secret::new(ascii(self.client_secret)),
            args: self
                .args()
                .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
                .collect(),
        }
    }
}

/// `VSCHAR` only (RFC 6749 appendix A), and not empty. Whoever refuses control characters here need not fear them in
/// headers, logs and keys later on.
fn printable(bytes: &[u8]) -> Result<&[u8], Cause> {
    if bytes.is_empty() {
        return Err(Cause::EmptyCredential);
    }
    // Not `all`, which would look at one after the other.
    let is_printable = |so_far, byte: &u8| so_far & (0x20..=0x7e).contains(byte);
    if !bytes.iter().fold(true, is_printable) {
        return Err(Cause::InvalidCharacters);
    }
    Ok(bytes)
}

/// What was found to be printable.
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
