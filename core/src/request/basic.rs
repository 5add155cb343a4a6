//! `Authorization: Basic` ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)) and `Authorization: Bearer`
//! ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)).

use super::pair::Pair;
use super::scratch::Scratch;
use super::span::Span;
use crate::cause::Cause;
use crate::config::Encoding;
use crate::token::{MAX_TOKEN, is_b64token};
use base64::engine::general_purpose::STANDARD;
use base64::{DecodeSliceError, Engine};

/// Finds the pair of a Basic header; `None` for any other scheme.
///
/// The value is strict base64: its alphabet, canonical padding, nothing after it. The id ends at the first colon. With
/// `encoding` form, both halves are form-urlencoded in addition.
pub(super) fn find(
    value: &[u8],
    encoding: Encoding,
    scratch: &mut Scratch<'_>,
) -> Result<Option<Pair>, Cause> {
    let Some(text) = text(value) else {
        return Ok(None);
    };
    let decoded = scratch.fill(|free| decode(text, free))?;
    let len = decoded.len();
    let colon = decoded
        .iter()
        .position(|&byte| byte == b':')
        .ok_or(Cause::EmptyCredential)?;
    let whole = scratch.keep(len);
    let id = Span {
        start: whole.start,
        end: whole.start + colon,
    };
    let secret = Span {
        start: whole.start + colon + 1,
        end: whole.end,
    };
    Ok(Some(match encoding {
        Encoding::Raw => Pair { id, secret },
        Encoding::Form => Pair {
            id: scratch.decode_in_place(id)?,
            secret: scratch.decode_in_place(secret)?,
        },
    }))
}

/// The base64 text of a Basic header; `None` for any other scheme.
#[inline]
pub(super) fn text(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"Basic ") {
        // As all clients write it: a fifth of the cost.
        Some(text @ [b'!'..=b'~', .., b'!'..=b'~']) => Some(text),
        _ => after_scheme(value, b"basic"),
    }
}

/// Decodes into the start of `free`, and returns the length.
fn decode(text: &[u8], free: &mut [u8]) -> Result<usize, Cause> {
    STANDARD
        .decode_slice(text, free)
        .map_err(|error| match error {
            DecodeSliceError::DecodeError(_) => Cause::MalformedBasic,
            DecodeSliceError::OutputSliceTooSmall => Cause::TooLong,
        })
}

/// The token of a Bearer header; `None` for any other scheme.
pub(super) fn bearer(value: &[u8]) -> Result<Option<&str>, Cause> {
    let Some(token) = after_scheme(value, b"bearer") else {
        return Ok(None);
    };
    let token = std::str::from_utf8(token).map_err(|_| Cause::TokenInvalid)?;
    if token.len() > MAX_TOKEN || !is_b64token(token) {
        return Err(Cause::TokenInvalid);
    }
    Ok(Some(token))
}

/// Whether the value has this scheme.
pub(super) fn has_scheme<const LEN: usize>(value: &[u8], wanted: &[u8; LEN]) -> bool {
    after_scheme(value, wanted).is_some()
}

/// The value after the scheme and one or more spaces; the scheme is compared as a whole and case-insensitively.
/// `wanted` is lower-case.
#[inline]
fn after_scheme<'v, const LEN: usize>(value: &'v [u8], wanted: &[u8; LEN]) -> Option<&'v [u8]> {
    let (scheme, rest) = trim(value).split_first_chunk::<LEN>()?;
    let is_whole = rest.first().is_none_or(|&byte| byte == b' ');
    if !is_whole || scheme.map(|byte| byte.to_ascii_lowercase()) != *wanted {
        return None;
    }
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    Some(&rest[spaces..])
}

/// Strips the white space around a field value (RFC 9110 section 5.5). Line breaks are not white space there; base64
/// refuses them.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
