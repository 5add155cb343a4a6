//! Finds a client's credentials in a request.
//!
//! The places are `Authorization: Basic`, the query string, a form or JSON body, and two headers that the gate names;
//! and for gates that accept tokens, `Authorization: Bearer`. All enabled places are searched, because credentials in two of them are refused ([RFC 6749
//! section 5.2]: more than one mechanism). Nothing is allocated: values are decoded into a [`Scratch`] of the thread,
//! which is wiped afterwards.
//!
//! [RFC 6749 section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2

use super::args::{self, ArgNames};
use super::named::{self, HeaderNames};
use super::pair::Pair;
use super::scratch::Scratch;
use super::span::ArgSpans;
use super::{basic, form, json};
use crate::cause::Cause;
use crate::config::Encoding;
use crate::key::MAX_BASIC;
use crate::request::credentials::{Credentials, MAX_LEN};
use crate::request::{BodyKind, CredentialHeaders, Request, Source, carries_body};
use crate::sys::secret::Secret;

/// The places that a gate searches, and the maximum size of a body.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) header: bool,
    pub(crate) query: bool,
    pub(crate) body: bool,
    /// The host supplies the pair.
    pub(crate) host: bool,
    /// The id of the gateway's own client, in place of one that a request presents. Then no place is searched.
    pub(crate) own: Option<String>,
    /// `Authorization: Bearer` is a place too.
    pub(crate) bearer: bool,
    /// Two headers for id and secret are a place too.
    pub(crate) headers: Option<HeaderNames>,
    /// `bearer` or `headers` is a place: most gates test this alone.
    pub(crate) is_rare: bool,
    pub(crate) basic_encoding: Encoding,
    /// The names of the caller's arguments in query or body, and of the host's.
    pub(crate) args: ArgNames,
    pub(crate) max_body_bytes: usize,
}

impl Places {
    /// Whether the gate takes pairs, which it exchanges.
    pub(crate) fn exchanges(&self) -> bool {
        self.header
            || self.query
            || self.body
            || self.headers.is_some()
            || self.host
            || self.own.is_some()
    }

    /// Whether requests are searched for credentials.
    pub(crate) fn are_searched(&self) -> bool {
        !self.host && self.own.is_none()
    }
}

/// The credentials that a request presents.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'s> {
    /// Id and secret.
    Pair(PresentedPair<'s>),
    /// The client's own token.
    Token(&'s str),
}

impl<'s> Presented<'s> {
    /// The id of a pair; empty for a client's own token.
    pub(crate) fn client_id(&self) -> &'s [u8] {
        match self {
            Presented::Pair(pair) => pair.client_id,
            Presented::Token(_) => b"",
        }
    }
}

/// A pair: printable ASCII, neither half empty, except that the gateway's own client has an empty secret here: the
/// exchange knows it, and a hit needs none.
#[derive(Clone, Copy)]
pub(crate) struct PresentedPair<'s> {
    pub(crate) client_id: &'s [u8],
    pub(crate) client_secret: &'s [u8],
    pub(crate) source: Source,
    scratch: &'s Scratch<'s>,
}

/// Searches every enabled place. The error is the cause of the denial.
pub(crate) fn extract<'s>(
    places: &'s Places,
    request: &Request<'s>,
    scratch: &'s mut Scratch<'_>,
) -> Result<Presented<'s>, Cause> {
    let body = body(places, request);
    let found = match request.credentials {
        Some(_) => None,
        None => match search(places, request, body, scratch) {
            Ok(Found::Token(token)) => return Ok(Presented::Token(token)),
            Ok(Found::Pair(pair, source)) => Some((pair, source)),
            // With a client of its own, a gate has no place in which credentials could be found.
            Err(cause) => {
                let id = places.own.as_deref().ok_or(cause)?;
                return own(places, id, request, body, scratch);
            }
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
            (id, secret, Source::Host)
        }
    };
    let pair = PresentedPair {
        client_id: printable(id)?,
        client_secret: printable(secret)?,
        source,
        scratch,
    };
    pair.within_limit()
}

/// The base64 text of `Authorization: Basic`, if no other place can have credentials, and no argument counts: a hit needs
/// nothing more of the request. The text may be malformed. A query is searched with `scratch`.
pub(crate) fn basic_alone<'r>(
    places: &Places,
    request: &Request<'r>,
    scratch: &mut Scratch<'_>,
) -> Option<&'r [u8]> {
    let is_candidate = places.header
        && !places.is_rare
        && places.args.is_empty()
        && places.basic_encoding == Encoding::Raw
        && request.credentials.is_none()
        && (request.body.is_none() || body(places, request).is_none());
    let text = basic::text(request.authorization.filter(|_| is_candidate)?)?;
    let is_alone = match request.query {
        Some(query) if places.query => {
            let mark = scratch.mark();
            let found = form::find(query, scratch);
            scratch.rewind(mark);
            matches!(found, Ok(None))
        }
        _ => true,
    };
    (is_alone && text.len() <= MAX_BASIC).then_some(text)
}

/// The pair of the gateway's own client, with the arguments of the request.
fn own<'s>(
    places: &Places,
    id: &'s str,
    request: &Request<'_>,
    body: Option<(BodyKind, &[u8])>,
    scratch: &'s mut Scratch<'_>,
) -> Result<Presented<'s>, Cause> {
    if !places.args.is_empty() {
        scratch.args = Some(args::find(&places.args, request, body, scratch)?);
    }
    let pair = PresentedPair {
        client_id: id.as_bytes(),
        client_secret: b"",
        source: Source::Host,
        scratch,
    };
    pair.within_limit()
}

/// The credentials found in the request.
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
    let mut token = None;
    let mut found = None;
    if places.is_rare {
        token = search_token(places, request)?;
        found = search_headers(places, request, scratch)?;
        if token.is_some() && found.is_some() {
            return Err(Cause::TwoPlaces);
        }
    }
    let mut take = |pair: Result<Option<Pair>, Cause>, source| match pair {
        // A pair that does not fit beside the first is in a second place, too.
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

fn search_token<'r>(places: &Places, request: &Request<'r>) -> Result<Option<&'r str>, Cause> {
    match request.authorization {
        Some(value) if places.bearer => basic::bearer(value),
        _ => Ok(None),
    }
}

fn search_headers(
    places: &Places,
    request: &Request<'_>,
    scratch: &mut Scratch<'_>,
) -> Result<Option<(Pair, Source)>, Cause> {
    if places.headers.is_none() {
        return Ok(None);
    }
    let pair = named::find(&request.headers, scratch)?;
    Ok(pair.map(|pair| (pair, Source::Headers)))
}

/// The body that may hold credentials or arguments, if it was presented and is within the limit.
fn body<'r>(places: &Places, request: &Request<'r>) -> Option<(BodyKind, &'r [u8])> {
    let body = request
        .body
        .filter(|body| body.len() <= places.max_body_bytes)?;
    Some((body_kind(places, request)?, body))
}

/// The kind of the body, if it may hold credentials or arguments of this gate.
pub(crate) fn body_kind(places: &Places, request: &Request<'_>) -> Option<BodyKind> {
    let is_searched = places.body || !places.args.callers().is_empty();
    if is_searched && places.max_body_bytes > 0 && carries_body(request.method) {
        BodyKind::of(request.content_type)
    } else {
        None
    }
}

/// Whether the request has a header that is a place of this gate, so that the body adds nothing to the decision.
pub(crate) fn header_decides(places: &Places, request: &Request<'_>) -> bool {
    let authorization = request.authorization.unwrap_or_default();
    places.args.callers().is_empty()
        && ((places.header && basic::has_scheme(authorization, b"basic"))
            || (places.bearer && basic::has_scheme(authorization, b"bearer"))
            || (places.headers.is_some() && is_named(&request.headers)))
}

fn is_named(headers: &CredentialHeaders<'_>) -> bool {
    headers.client_id.is_some() || headers.client_secret.is_some()
}

impl<'s> PresentedPair<'s> {
    /// The host's credentials and the gateway's own are not in the scratch, but count too.
    fn within_limit(self) -> Result<Presented<'s>, Cause> {
        let args: usize = self.args().map(|(_, value)| value.len()).sum();
        if self.client_id.len() + self.client_secret.len() + args > MAX_LEN {
            return Err(Cause::TooLong);
        }
        Ok(Presented::Pair(self))
    }

    /// The arguments of the request: numbers of the gate's names, and values (UTF-8), in the order of the names.
    pub(crate) fn args(&self) -> impl ExactSizeIterator<Item = (u8, &'s [u8])> {
        let scratch = self.scratch;
        let args = scratch.args.as_ref().map_or(&[][..], ArgSpans::as_slice);
        args.iter().map(|(name, span)| (*name, scratch.of(*span)))
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            client_id: ascii(self.client_id).to_owned(),
            client_secret: Secret::new(ascii(self.client_secret)),
            signer: None,
            args: self
                .args()
                .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
                .collect(),
        }
    }
}

/// Accepts `VSCHAR` only (RFC 6749 appendix A), at least one. Control characters refused here cannot reach headers,
/// logs or keys.
pub(crate) fn printable(bytes: &[u8]) -> Result<&[u8], Cause> {
    if bytes.is_empty() {
        return Err(Cause::EmptyCredential);
    }
    // A fold vectorizes; `all` would not.
    let is_printable = |so_far, byte: &u8| so_far & (0x20..=0x7e).contains(byte);
    if !bytes.iter().fold(true, is_printable) {
        return Err(Cause::InvalidCharacters);
    }
    Ok(bytes)
}

/// Converts bytes that are known to be printable ASCII.
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
