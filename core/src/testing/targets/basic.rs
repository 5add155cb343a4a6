//! `Authorization: Basic`.

use super::readers::{STANDARD, base64};
use super::{Found, gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use crate::request::credentials::MAX_LEN;
use crate::request::extract::basic_alone;
use crate::request::scratch::{Scratch, ScratchBuffer};
use std::sync::LazyLock;

static RAW: LazyLock<Gate> = LazyLock::new(|| gate(""));
static FORM: LazyLock<Gate> = LazyLock::new(|| gate(r#","basic_encoding":"form""#));

/// A header, of any scheme, or the text after `Basic ` if it has none.
pub fn basic(data: &[u8]) {
    let text = data.strip_prefix(b"Basic ").unwrap_or(data);
    let _ = pair_in_basic(text);
    let request = Request {
        authorization: Some(data),
        ..Request::default()
    };
    let mut room = ScratchBuffer::new();
    let alone = basic_alone(&RAW.rules.places, &request, &mut Scratch::new(&mut room));
    match search(&RAW, &request) {
        // The key of a hit is of the text: the same one, which reads as this pair only.
        Ok(Found::Pair { id, secret, .. }) => {
            let decoded = base64(alone.expect("a text"), STANDARD, true);
            assert_eq!(decoded, Some([id, b":".to_vec(), secret].concat()));
        }
        Ok(Found::Token(_)) => panic!("a token where there is none"),
        // Another scheme.
        Err(Cause::NoCredentials) => assert_eq!(alone, None),
        Err(_) => {}
    }
}

/// Compares the pair in a text with that of a second reader, and returns the cause of a denial.
pub(crate) fn pair_in_basic(text: &[u8]) -> Result<(), Cause> {
    // White space around a header's value is none of it, and spaces may follow the scheme.
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(Cause::MalformedBasic);
    }
    let header = [b"Basic ", text].concat();
    let request = Request {
        authorization: Some(&header),
        ..Request::default()
    };
    let reference = base64(text, STANDARD, true);
    let came = search(&RAW, &request);
    agree(came.as_ref(), reference.as_deref(), |half| {
        Some(half.to_vec())
    });
    agree(
        search(&FORM, &request).as_ref(),
        reference.as_deref(),
        percent_decoded,
    );
    came.map(drop)
}

fn agree(
    came: Result<&Found, &Cause>,
    reference: Option<&[u8]>,
    decode: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    let colon = reference.and_then(|pair| pair.iter().position(|&byte| byte == b':'));
    let halves = colon
        .zip(reference)
        .map(|(at, pair)| [&pair[..at], &pair[at + 1..]]);
    let decoded = halves.map(|halves| halves.map(&decode));
    let is_printable = |half: &[u8]| half.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    match (came, reference, decoded) {
        (Ok(Found::Pair { id, secret, args }), _, Some([Some(own_id), Some(own_secret)])) => {
            assert!(*id == own_id && *secret == own_secret && args.is_empty());
            assert!(!id.is_empty() && !secret.is_empty());
            assert!(is_printable(id) && is_printable(secret));
        }
        (Err(Cause::MalformedBasic), None, _) => {}
        (Err(Cause::MalformedBasic), _, Some([id, secret])) => {
            assert!(id.is_none() || secret.is_none())
        }
        (Err(Cause::EmptyCredential), Some(_), None) => {}
        (Err(Cause::EmptyCredential), _, Some([Some(id), Some(secret)])) => {
            assert!(id.is_empty() || secret.is_empty());
        }
        (Err(Cause::InvalidCharacters), _, Some([Some(id), Some(secret)])) => {
            assert!(!is_printable(&id) || !is_printable(&secret));
        }
        (Err(Cause::TooLong), Some(pair), _) => assert!(pair.len() > MAX_LEN),
        (Err(Cause::TooLong), None, _) => {}
        other => panic!("{other:?}"),
    }
}

/// Decodes a half as a form's value; `None` if a percent sign has no two digits.
fn percent_decoded(half: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut parts = half.split(|&byte| byte == b'%');
    let plus = |part: &[u8]| {
        part.iter()
            .map(|&byte| if byte == b'+' { b' ' } else { byte })
            .collect::<Vec<_>>()
    };
    out.extend(plus(parts.next()?));
    for part in parts {
        let digits = str::from_utf8(part.get(..2)?).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend(plus(&part[2..]));
    }
    Some(out)
}
