//! `{"client_id": "…", "client_secret": "…"}`: members of a JSON object ([RFC 8259]).
//!
//! A body that is no JSON object holds no credentials; that is for the upstream to judge.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

use super::{Halves, Name, Pair, Scratch};
use crate::cause::Cause;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// The pair among the members.
pub(super) fn find(body: &[u8], scratch: &mut Scratch) -> Result<Option<Pair>, Cause> {
    let mut halves = Halves::default();
    let mut refusal = None;
    let well_formed = members(body, |name, value, _| {
        if refusal.is_none() {
            refusal = halves.note(name, || string(value, scratch)).err();
        }
    });
    match refusal {
        _ if !well_formed => Ok(None),
        Some(cause) => Err(cause),
        None => halves.pair(),
    }
}

/// Shows every member of the object: what its name means, its raw value, and the range from the name's quote to the
/// value's end. False when the body is not one well-formed object; what was shown before that is void.
pub(crate) fn members<'b>(body: &'b [u8], show: impl FnMut(Name, &'b str, Range<usize>)) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let members = Members { body, show };
    serde::Deserializer::deserialize_map(&mut deserializer, members).is_ok()
        && deserializer.end().is_ok()
}

struct Members<'b, F> {
    body: &'b [u8],
    show: F,
}

impl<'b, F: FnMut(Name, &'b str, Range<usize>)> Visitor<'b> for Members<'b, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut last_end = 0;
        while let Some(name) = map.next_key_seed(NameSeed)? {
            let value: &RawValue = map.next_value()?;
            let value = value.get();
            // Between two members there is nothing but white space and the comma (before the first, the brace).
            let quote = self.body[last_end..]
                .iter()
                .position(|&byte| byte == b'"')
                .unwrap_or(0);
            let start = last_end + quote;
            let value_start = value.as_ptr() as usize - self.body.as_ptr() as usize;
            last_end = value_start + value.len();
            (self.show)(name, value, start..last_end);
        }
        Ok(())
    }
}

/// Reads a member's name without keeping it.
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name::of(name.as_bytes()))
    }
}

/// Decodes a raw value, which must be a string, into the scratch.
fn string(raw: &str, scratch: &mut Scratch) -> Result<super::Span, Cause> {
    struct Into<'s>(&'s mut Scratch);

    impl Visitor<'_> for Into<'_> {
        type Value = Result<super::Span, Cause>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(self.0.push(text.bytes().map(Ok)))
        }
    }

    if !raw.starts_with('"') {
        return Err(Cause::MalformedParameter);
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    serde::Deserializer::deserialize_str(&mut deserializer, Into(scratch))
        .unwrap_or(Err(Cause::MalformedParameter))
}
