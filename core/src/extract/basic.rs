//! `Authorization: Basic` ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)).

use super::{Pair, Scratch, Span};
use crate::cause::Cause;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The pair of a Basic header; `None` for any other scheme.
///
/// The scheme is compared as a whole and without regard to case, one or more spaces follow it, and the rest is strict
/// base64: its alphabet, canonical padding, nothing after it. The id ends at the first colon.
pub(super) fn find(value: &[u8], scratch: &mut Scratch) -> Result<Option<Pair>, Cause> {
    let value = value.trim_ascii();
    let scheme_len = value
        .iter()
        .position(|&byte| byte == b' ')
        .unwrap_or(value.len());
    let (scheme, rest) = value.split_at(scheme_len);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Ok(None);
    }
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    let free = scratch.free();
    let len = STANDARD
        .decode_slice(&rest[spaces..], free)
        .map_err(|error| match error {
            base64::DecodeSliceError::OutputSliceTooSmall => Cause::TooLong,
            base64::DecodeSliceError::DecodeError(_) => Cause::MalformedBasic,
        })?;
    let colon = free[..len]
        .iter()
        .position(|&byte| byte == b':')
        .ok_or(Cause::EmptyCredential)?;
    let whole = scratch.keep(len);
    Ok(Some(Pair {
        id: Span {
            start: whole.start,
            end: whole.start + colon,
        },
        secret: Span {
            start: whole.start + colon + 1,
            end: whole.end,
        },
    }))
}
