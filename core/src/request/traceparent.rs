//! The `traceparent` header: [W3C Trace Context level 1](https://www.w3.org/TR/trace-context-1/#traceparent-header).

use reqwest::header::HeaderValue;

/// The length of version 00: `00-`, 32 digits of the trace, 16 of the parent, 2 of the flags, with dashes between them.
const LEN: usize = 55;
/// The maximum length in later versions, which may append fields.
const MAX_LEN: usize = 128;

/// The value to forward unchanged, if it is well-formed. A later version must begin with the fields of version 00.
pub(crate) fn traceparent(value: &[u8]) -> Option<HeaderValue> {
    let (fields, more) = value.split_at_checked(LEN)?;
    let mut parts = fields.split(|byte| *byte == b'-');
    let mut hex = |len: usize| {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let part = parts.next()?;
        (part.len() == len && part.iter().all(is_digit)).then_some(part)
    };
    let [version, trace, parent, _flags] = [hex(2)?, hex(32)?, hex(16)?, hex(2)?];
    let is_zero = |id: &[u8]| id.iter().all(|digit| *digit == b'0');
    // The comma separates the values of several headers.
    let is_field = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    let has_valid_rest = match version {
        b"00" => more.is_empty(),
        b"ff" => false,
        _ => {
            more.is_empty()
                || value.len() <= MAX_LEN && more[0] == b'-' && more.iter().all(is_field)
        }
    };
    (has_valid_rest && !is_zero(trace) && !is_zero(parent))
        .then(|| HeaderValue::from_bytes(value).ok())
        .flatten()
}
