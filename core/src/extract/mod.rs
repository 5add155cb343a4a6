//! Finds a client's credentials in a request.
//!
//! Three places are looked at: `Authorization: Basic`, the query string, a form or JSON body. All enabled places are
//! looked at, because credentials in two of them are refused ([RFC 6749 section 5.2]: more than one mechanism).
//! Nothing is allocated: the pair is decoded into a [`Scratch`] on the caller's stack, which wipes itself.
//!
//! [RFC 6749 section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2

mod basic;
pub(crate) mod form;
pub(crate) mod json;

use crate::cause::Cause;
use crate::credentials::{Credentials, MAX_LEN};
use crate::request::{BodyKind, Request, Source, carries_body};
use crate::secret::Secret;
use zeroize::Zeroize;

/// Where credentials may be, and how large a body may be to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) header: bool,
    pub(crate) query: bool,
    pub(crate) body: bool,
    pub(crate) max_body_bytes: usize,
}

/// Holds the decoded pair; wiped when dropped.
pub(crate) struct Scratch {
    bytes: [u8; MAX_LEN],
    used: usize,
}

/// The pair that a request presents: printable ASCII, neither half empty.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'s> {
    pub(crate) client_id: &'s str,
    pub(crate) client_secret: &'s str,
    pub(crate) source: Source,
}

/// Looks at every enabled place. The error is the cause of the denial.
pub(crate) fn extract<'s>(
    places: &Places,
    request: &Request<'_>,
    scratch: &'s mut Scratch,
) -> Result<Presented<'s>, Cause> {
    let mut found = None;
    let mut take = |pair: Option<Pair>, source| match pair {
        Some(_) if found.is_some() => Err(Cause::TwoPlaces),
        Some(pair) => {
            found = Some((pair, source));
            Ok(())
        }
        None => Ok(()),
    };
    if let (true, Some(value)) = (places.header, request.authorization) {
        take(basic::find(value, scratch)?, Source::Header)?;
    }
    if let (true, Some(query)) = (places.query, request.query) {
        take(form::find(query, scratch)?, Source::Query)?;
    }
    if let (Some(kind), Some(body)) = (body_kind(places, request), request.body)
        && body.len() <= places.max_body_bytes
    {
        let pair = match kind {
            BodyKind::Form => form::find(body, scratch)?,
            BodyKind::Json => json::find(body, scratch)?,
        };
        take(pair, Source::Body)?;
    }
    let (pair, source) = found.ok_or(Cause::NoCredentials)?;
    let client_id = text(&scratch.bytes[pair.id.start..pair.id.end])?;
    let client_secret = text(&scratch.bytes[pair.secret.start..pair.secret.end])?;
    Ok(Presented {
        client_id,
        client_secret,
        source,
    })
}

/// The kind of body of a request that may hold credentials.
pub(crate) fn body_kind(places: &Places, request: &Request<'_>) -> Option<BodyKind> {
    if places.body && carries_body(request.method) {
        BodyKind::of(request.content_type)
    } else {
        None
    }
}

impl Presented<'_> {
    pub(crate) fn to_owned(self) -> Credentials {
        Credentials {
            client_id: self.client_id.to_owned(),
            client_secret: Secret::new(self.client_secret),
        }
    }
}

/// Where the two halves lie in the scratch.
struct Pair {
    id: Span,
    secret: Span,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch {
            bytes: [0; MAX_LEN],
            used: 0,
        }
    }

    /// What is not used yet.
    fn free(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }

    /// Takes the next `len` bytes of [`free`](Scratch::free) as written.
    fn keep(&mut self, len: usize) -> Span {
        let start = self.used;
        self.used += len;
        Span {
            start,
            end: self.used,
        }
    }

    fn push(&mut self, bytes: impl Iterator<Item = Result<u8, Cause>>) -> Result<Span, Cause> {
        let mut len = 0;
        for byte in bytes {
            let byte = byte?;
            *self.free().get_mut(len).ok_or(Cause::TooLong)? = byte;
            len += 1;
        }
        Ok(self.keep(len))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The whole of it, not `used`: a place that was given up half-way has written without keeping.
        self.bytes.zeroize();
    }
}

/// `VSCHAR` only (RFC 6749 appendix A), and not empty. Whoever refuses control characters here need not fear them in
/// headers, logs and keys later on.
fn text(bytes: &[u8]) -> Result<&str, Cause> {
    if bytes.is_empty() {
        return Err(Cause::EmptyCredential);
    }
    if !bytes.iter().all(|byte| (0x20..=0x7e).contains(byte)) {
        return Err(Cause::InvalidCharacters);
    }
    std::str::from_utf8(bytes).map_err(|_| Cause::InvalidCharacters)
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
