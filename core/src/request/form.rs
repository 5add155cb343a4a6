//! `name=value&name=value`: query strings and `application/x-www-form-urlencoded` bodies, decoded as the [URL standard]
//! says, exactly once. `+` is a space, `;` is no separator, and `%` must be followed by two hexadecimal digits.
//!
//! [URL standard]: https://url.spec.whatwg.org/#urlencoded-parsing

use super::names::Name;
use super::pair::{Halves, Pair};
use super::scratch::Scratch;
use super::span::ArgSpans;
use crate::cause::Cause;

/// Finds the pair among the parameters.
pub(super) fn find(input: &[u8], scratch: &mut Scratch<'_>) -> Result<Option<Pair>, Cause> {
    let mut halves = Halves::default();
    for part in parts(input) {
        let (name, value) = split(part);
        halves.note(name_of(name), || scratch.push(decode(value)))?;
    }
    halves.pair()
}

/// Decodes the values of a name into the scratch, and adds them as arguments of this number.
pub(super) fn values(
    input: &[u8],
    name: &str,
    number: u8,
    scratch: &mut Scratch<'_>,
    args: &mut ArgSpans,
) -> Result<(), Cause> {
    for part in parts(input) {
        let (raw, value) = split(part);
        if decode(raw).eq(name.bytes().map(Ok)) {
            args.push(number, scratch.push(decode(value))?)?;
        }
    }
    Ok(())
}

/// The raw parameters, including empty ones: joined by `&` they are the input again.
pub(crate) fn parts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|&byte| byte == b'&')
}

/// Raw name and raw value; a parameter without `=` has an empty value.
pub(crate) fn split(part: &[u8]) -> (&[u8], &[u8]) {
    match part.iter().position(|&byte| byte == b'=') {
        Some(at) => (&part[..at], &part[at + 1..]),
        None => (part, b""),
    }
}

/// Classifies a raw name. One that does not decode is another parameter's.
pub(crate) fn name_of(raw: &[u8]) -> Name {
    // Nearly every name of every request returns here.
    if !raw.contains(&b'%') {
        return Name::of(raw);
    }
    // A name longer than "client_secret[" is `Other` or a look-alike; its first bytes decide.
    let mut name = [0; 14];
    let mut len = 0;
    for byte in decode(raw) {
        match byte {
            Ok(byte) if len < name.len() => {
                name[len] = byte;
                len += 1;
            }
            Ok(_) => {}
            Err(_) => return Name::Other,
        }
    }
    Name::of(&name[..len])
}

pub(super) fn decode(raw: &[u8]) -> impl Iterator<Item = Result<u8, Cause>> {
    let mut rest = raw.iter();
    std::iter::from_fn(move || {
        let byte = match *rest.next()? {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|&byte| char::from(byte).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Some(Err(Cause::MalformedParameter)),
                }
            }
            byte => byte,
        };
        Some(Ok(byte))
    })
}
