//! JSON packed into text that is read in place: a token's claims take a fifth of the memory that a map of them takes,
//! and no allocation of their own.
//!
//! A value is its kind, the length of its body, and the body. The body of a text is the text, of a number its JSON, of
//! an array its values, and of an object its members: the length of a name, the name, the value. A length has six bits
//! in each byte, the lowest first, and the seventh in all but the last, so that all of it is UTF-8.

use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use zeroize::{Zeroize, Zeroizing};

/// A packed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packed<'p> {
    Null,
    Bool(bool),
    /// As JSON.
    Number(&'p str),
    Text(&'p str),
    Array(Body<'p>),
    Object(Body<'p>),
}

/// The body of an array or object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body<'p>(&'p str);

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;

/// The bits of a length in each byte.
const BITS: u32 = 6;
/// Another byte follows.
const MORE: u8 = 1 << BITS;

/// Packs the members of an object, and wipes their strings.
pub(crate) fn pack(mut members: Map<String, Value>) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::with_capacity(size_of_members(&members)));
    put_members(&mut body, &members);
    members.values_mut().for_each(wipe);
    body
}

impl<'p> Packed<'p> {
    pub(crate) fn text(self) -> Option<&'p str> {
        match self {
            Packed::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn to_value(self) -> Value {
        serde_json::from_str(&self.to_string()).unwrap_or_default()
    }

    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Packed::Number(number) => number.parse().ok(),
            _ => None,
        }
    }
}

impl<'p> Body<'p> {
    /// The body of an object that [`pack`] has packed.
    pub(crate) fn packed(body: &'p str) -> Body<'p> {
        Body(body)
    }

    /// The values of an array.
    pub(crate) fn values(self) -> impl Iterator<Item = Packed<'p>> {
        let mut reader = Reader::of(self);
        std::iter::from_fn(move || reader.is_left().then(|| reader.value()))
    }

    /// The members of an object, by name.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'p str, Packed<'p>)> {
        let mut reader = Reader::of(self);
        std::iter::from_fn(move || {
            let is_left = reader.is_left();
            is_left.then(|| (reader.part(), reader.value()))
        })
    }

    /// The member of an object. Compares names, and reads no other value.
    pub(crate) fn get(self, name: &str) -> Option<Packed<'p>> {
        let mut reader = Reader::of(self);
        while reader.is_left() {
            let len = reader.len();
            let is_it = len == name.len() && reader.bytes()[..len] == *name.as_bytes();
            reader.at += len;
            if is_it {
                return Some(reader.value());
            }
            reader.at += 1;
            reader.at += reader.len();
        }
        None
    }
}

/// Reads one value after another.
struct Reader<'p> {
    body: &'p str,
    at: usize,
}

impl<'p> Reader<'p> {
    fn of(body: Body<'p>) -> Reader<'p> {
        Reader {
            body: body.0,
            at: 0,
        }
    }

    fn is_left(&self) -> bool {
        self.at < self.body.len()
    }

    fn bytes(&self) -> &'p [u8] {
        &self.body.as_bytes()[self.at..]
    }

    fn len(&mut self) -> usize {
        let (mut len, mut shift) = (0, 0);
        loop {
            let byte = self.bytes()[0];
            self.at += 1;
            len |= usize::from(byte & (MORE - 1)) << shift;
            if byte < MORE {
                return len;
            }
            shift += BITS;
        }
    }

    /// A length, and as many bytes.
    fn part(&mut self) -> &'p str {
        let len = self.len();
        let start = self.at;
        self.at += len;
        &self.body[start..self.at]
    }

    fn value(&mut self) -> Packed<'p> {
        let kind = self.bytes()[0];
        self.at += 1;
        let body = self.part();
        match kind {
            FALSE => Packed::Bool(false),
            TRUE => Packed::Bool(true),
            NUMBER => Packed::Number(body),
            TEXT => Packed::Text(body),
            ARRAY => Packed::Array(Body(body)),
            OBJECT => Packed::Object(Body(body)),
            _ => Packed::Null,
        }
    }
}

/// JSON.
impl fmt::Display for Packed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Packed::Null => f.write_str("null"),
            Packed::Bool(is_true) => write!(f, "{is_true}"),
            Packed::Number(number) => f.write_str(number),
            Packed::Text(text) => write_text(f, text),
            Packed::Array(body) => {
                f.write_char('[')?;
                for (at, value) in body.values().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    write!(f, "{value}")?;
                }
                f.write_char(']')
            }
            Packed::Object(body) => {
                f.write_char('{')?;
                for (at, (name, value)) in body.members().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    write_text(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

fn put(out: &mut String, value: &Value) {
    let (kind, len) = (kind(value), size_of_body(value));
    out.push(char::from(kind));
    put_len(out, len);
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(text),
        Value::Array(values) => values.iter().for_each(|value| put(out, value)),
        Value::Object(members) => put_members(out, members),
    }
}

fn put_members(out: &mut String, members: &Map<String, Value>) {
    for (name, value) in members {
        put_len(out, name.len());
        out.push_str(name);
        put(out, value);
    }
}

fn put_len(out: &mut String, mut len: usize) {
    while len >= usize::from(MORE) {
        out.push(char::from(MORE | (len as u8 & (MORE - 1))));
        len >>= BITS;
    }
    out.push(char::from(len as u8));
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Number(_) => NUMBER,
        Value::String(_) => TEXT,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

fn size(value: &Value) -> usize {
    let len = size_of_body(value);
    1 + size_of_len(len) + len
}

fn size_of_body(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(members) => size_of_members(members),
    }
}

fn size_of_members(members: &Map<String, Value>) -> usize {
    let size =
        |(name, value): (&String, &Value)| size_of_len(name.len()) + name.len() + size(value);
    members.iter().map(size).sum()
}

fn size_of_len(len: usize) -> usize {
    (usize::BITS - len.leading_zeros()).div_ceil(BITS).max(1) as usize
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn packed(value: Value) -> Zeroizing<String> {
        let Value::Object(members) = value else {
            panic!("an object")
        };
        let size = size_of_members(&members);
        let body = pack(members);
        assert_eq!((body.len(), body.capacity()), (size, size));
        body
    }

    #[test]
    fn every_value_survives() {
        let deep = (0..100).fold(json!(1), |value, _| json!([{ "a": value }]));
        for value in [
            json!({}),
            json!({"": "", "a": null, "b": [true, false], "c": [], "d": {}}),
            json!({"text": "é\u{0}\u{7f}\"\\\n\u{1f600}", "é": 1}),
            json!({"u": u64::MAX, "i": i64::MIN, "f": 1.5e300, "g": -0.1, "z": 0.0}),
            json!({"deep": deep}),
            json!({"n".repeat(63): "x".repeat(63), "n".repeat(64): "x".repeat(64), "n".repeat(5000): "x".repeat(300_000)}),
        ] {
            let body = packed(value.clone());
            let whole = Packed::Object(Body::packed(&body));
            assert_eq!(whole.to_string(), value.to_string());
            for (name, member) in value.as_object().unwrap() {
                let found = Body::packed(&body).get(name).unwrap();
                assert_eq!(found.to_string(), member.to_string());
                assert_eq!(found.text(), member.as_str());
                assert_eq!(found.number(), member.as_f64());
            }
            assert_eq!(Body::packed(&body).get("absent"), None);
        }
    }

    #[test]
    fn the_strings_that_were_packed_are_wiped() {
        let mut value = json!(["secret", {"a": "secret"}]);
        wipe(&mut value);
        assert_eq!(value, json!(["", {"a": ""}]));
    }
}
