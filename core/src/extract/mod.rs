//! Finds a client's credentials in a request.
//!
//! Three places are looked at: `Authorization: Basic`, the query string, a form or JSON body; and for a gate that takes
//! tokens, `Authorization: Bearer`. All enabled places are looked at, because credentials in two of them are refused
//! ([RFC 6749 section 5.2]: more than one mechanism). Nothing is allocated: what is found is decoded into a [`Scratch`]
//! on the caller's stack, which wipes itself.
//!
//! [RFC 6749 section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2

mod args;
mod basic;
pub(crate) mod form;
pub(crate) mod json;

use crate::cause::Cause;
use crate::config::Encoding;
use crate::credentials::{Credentials, MAX_LEN};
use crate::request::{BodyKind, Request, Source, carries_body};
use crate::secret::{Secret, wipe};
pub(crate) use args::ArgNames;
use args::Args;

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

/// Where a thread decodes: zero but while it does.
pub(crate) struct Room([u8; ROOM]);

/// One more than what is accepted: Basic's colon.
const ROOM: usize = MAX_LEN + 1;

/// Holds what was decoded; wiped when dropped.
pub(crate) struct Scratch<'r> {
    bytes: &'r mut [u8; ROOM],
    used: usize,
    /// Beyond this nothing has been written: wiping costs by the byte.
    written: usize,
    args: Option<Args>,
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
        scratch.args = Some(Args::find(&places.args, request, body, scratch)?);
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
        let args = scratch.args.as_ref().map_or(&[][..], Args::as_slice);
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

/// Where the two halves lie in the scratch.
struct Pair {
    id: Span,
    secret: Span,
}

#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
}

impl Room {
    pub(crate) const fn new() -> Room {
        Room([0; ROOM])
    }
}

impl<'r> Scratch<'r> {
    pub(crate) fn new(room: &'r mut Room) -> Scratch<'r> {
        Scratch {
            bytes: &mut room.0,
            used: 0,
            written: 0,
            args: None,
        }
    }

    fn of(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.end]
    }

    /// What is not used yet, to be written to by `write`, which answers how much it has written; all of it may have been
    /// where it fails.
    fn fill<E>(&mut self, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<&[u8], E> {
        self.written = self.bytes.len();
        let len = write(&mut self.bytes[self.used..])?;
        self.written = self.used + len;
        Ok(&self.bytes[self.used..self.written])
    }

    /// Takes the next `len` bytes as used.
    fn keep(&mut self, len: usize) -> Span {
        let start = self.used;
        self.used += len;
        Span {
            start,
            end: self.used,
        }
    }

    /// Decodes what is form-urlencoded where it stands: it only becomes shorter.
    fn decode_in_place(&mut self, span: Span) -> Result<Span, Cause> {
        let mut end = span.start;
        let mut at = span.start;
        while at < span.end {
            let raw = &self.bytes[at..span.end];
            let (byte, len) = match raw {
                [b'%', high, low, ..] => {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    match (digit(*high), digit(*low)) {
                        (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
                        _ => return Err(Cause::MalformedBasic),
                    }
                }
                [b'%', ..] => return Err(Cause::MalformedBasic),
                [b'+', ..] => (b' ', 1),
                [byte, ..] => (*byte, 1),
                [] => break,
            };
            self.bytes[end] = byte;
            end += 1;
            at += len;
        }
        Ok(Span {
            start: span.start,
            end,
        })
    }

    fn push(&mut self, bytes: impl Iterator<Item = Result<u8, Cause>>) -> Result<Span, Cause> {
        let mut len = 0;
        for byte in bytes {
            let byte = byte?;
            let at = self.used + len;
            *self.bytes.get_mut(at).ok_or(Cause::TooLong)? = byte;
            len += 1;
            self.written = self.written.max(at + 1);
        }
        Ok(self.keep(len))
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // Not `used`: a place that was given up half-way has written without keeping.
        wipe(&mut self.bytes[..self.written]);
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

/// Counts a place's parameters, refuses what is ambiguous and answers the pair if there is one.
#[derive(Default)]
struct Halves {
    id: Option<Span>,
    secret: Option<Span>,
    ids: u32,
    secrets: u32,
}

/// What a parameter's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Id,
    Secret,
    /// `CLIENT_ID`, `client_id[]`: what another parser may take for the same parameter.
    LikeId,
    LikeSecret,
    Other,
}

impl Name {
    /// By the decoded name.
    pub(crate) fn of(name: &[u8]) -> Name {
        match name {
            b"client_id" => Name::Id,
            b"client_secret" => Name::Secret,
            _ => {
                let stem = name.split(|&byte| byte == b'[').next().unwrap_or(name);
                if stem.eq_ignore_ascii_case(b"client_id") {
                    Name::LikeId
                } else if stem.eq_ignore_ascii_case(b"client_secret") {
                    Name::LikeSecret
                } else {
                    Name::Other
                }
            }
        }
    }

    pub(crate) fn of_text(name: &str) -> Name {
        Name::of(name.as_bytes())
    }

    pub(crate) fn is_credential(self) -> bool {
        matches!(self, Name::Id | Name::Secret)
    }
}

impl Halves {
    /// Notes a parameter; `value` is asked for the value of a first `client_id` or `client_secret` only.
    fn note(
        &mut self,
        name: Name,
        value: impl FnOnce() -> Result<Span, Cause>,
    ) -> Result<(), Cause> {
        match name {
            Name::Other => return Ok(()),
            Name::Id | Name::LikeId => self.ids += 1,
            Name::Secret | Name::LikeSecret => self.secrets += 1,
        }
        match name {
            Name::Id if self.id.is_none() => self.id = Some(value()?),
            Name::Secret if self.secret.is_none() => self.secret = Some(value()?),
            _ => {}
        }
        Ok(())
    }

    fn pair(self) -> Result<Option<Pair>, Cause> {
        match (self.id, self.secret) {
            // A look-alike alone is the application's own parameter.
            (None, None) => Ok(None),
            _ if self.ids > 1 || self.secrets > 1 => Err(Cause::RepeatedParameter),
            (Some(id), Some(secret)) => Ok(Some(Pair { id, secret })),
            _ => Err(Cause::IncompletePair),
        }
    }
}

#[cfg(test)]
mod tests;
