//! `{"client_id": "…", "client_secret": "…"}`: members of a JSON object ([RFC 8259]).
//!
//! A body that is not a JSON object holds no credentials; the upstream judges it.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

use super::names::Name;
use super::pair::{Halves, Pair};
use super::scratch::Scratch;
use super::span::{ArgSpans, Span};
use crate::cause::Cause;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// Finds the pair among the members.
pub(super) fn find(body: &[u8], scratch: &mut Scratch<'_>) -> Result<Option<Pair>, Cause> {
    let mut halves = Halves::default();
    let mut refusal = None;
    let mark = scratch.mark();
    let well_formed = members(body, Name::of_text, |name, value, _| {
        if refusal.is_none() {
            refusal = halves.note(name, || string(value, scratch)).err();
        }
    });
    match refusal {
        _ if !well_formed => {
            scratch.rewind(mark);
            Ok(None)
        }
        Some(cause) => Err(cause),
        None => halves.pair(),
    }
}

/// Decodes the values of a name into the scratch, and adds them as arguments of this number.
pub(super) fn values(
    body: &[u8],
    name: &str,
    number: u8,
    scratch: &mut Scratch<'_>,
    args: &mut ArgSpans,
) -> Result<(), Cause> {
    let mut refusal = None;
    let (mark, before) = (scratch.mark(), args.len());
    let is_it = |text: &str| text == name;
    let well_formed = members(body, is_it, |is_it, value, _| {
        if is_it && refusal.is_none() {
            let pushed = string(value, scratch).and_then(|span| args.push(number, span));
            refusal = pushed.err();
        }
    });
    if !well_formed {
        scratch.rewind(mark);
        args.truncate(before);
        return Ok(());
    }
    refusal.map_or(Ok(()), Err)
}

/// Visits every member of the object: its name as `read` classifies it, its raw value, and the range from the name's
/// quote to the value's end. Returns false if the body is not one well-formed object; the visits are void then.
pub(crate) fn members<'b, N>(
    body: &'b [u8],
    read: impl Fn(&str) -> N,
    show: impl FnMut(N, &'b str, Range<usize>),
) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let members = Members { body, read, show };
    serde::Deserializer::deserialize_map(&mut deserializer, members).is_ok()
        && deserializer.end().is_ok()
}

struct Members<'b, R, F> {
    body: &'b [u8],
    read: R,
    show: F,
}

impl<'b, N, R: Fn(&str) -> N, F: FnMut(N, &'b str, Range<usize>)> Visitor<'b>
    for Members<'b, R, F>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut map: A) -> Result<(), A::Error> {
        let at = |token: &str| token.as_ptr() as usize - self.body.as_ptr() as usize;
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (name, value) = (name.get(), value.get());
            let range = at(name)..at(value) + value.len();
            (self.show)(read_name(name, &self.read), value, range);
        }
        Ok(())
    }
}

/// Classifies a raw name. One that does not decode (a lone surrogate, which RFC 8259 section 8.2 allows) is another
/// member's, and reads as empty.
fn read_name<N>(raw: &str, read: impl Fn(&str) -> N) -> N {
    struct Decoded<R>(R);

    impl<N, R: Fn(&str) -> N> Visitor<'_> for Decoded<R> {
        type Value = N;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }

        fn visit_str<E>(self, name: &str) -> Result<N, E> {
            Ok((self.0)(name))
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(raw);
    serde::Deserializer::deserialize_str(&mut deserializer, Decoded(&read))
        .unwrap_or_else(|_| read(""))
}

/// Decodes a raw value, which must be a string, into the scratch.
fn string(raw: &str, scratch: &mut Scratch<'_>) -> Result<Span, Cause> {
    struct Into<'s, 'r>(&'s mut Scratch<'r>);

    impl Visitor<'_> for Into<'_, '_> {
        type Value = Result<Span, Cause>;

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
