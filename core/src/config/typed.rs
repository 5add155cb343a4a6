//! Values as types. An error names the field and the expected type, never the value, which may be a secret.

use super::{Problems, hint, nearest};
use crate::error::{Error, ErrorKind};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;
use std::fmt;

/// Reads an object, of which every member may be missing. Returns the value of its valid members; each of the others is
/// a problem. `prefix` precedes the member's name in messages.
pub(super) fn read<T: DeserializeOwned + Default>(
    object: Map<String, Value>,
    prefix: &str,
    problems: &mut Problems,
) -> T {
    let mut valid = Map::new();
    for (name, value) in object {
        // Each member by itself: an error in one hides the others.
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        match deserialize::<T>(alone, prefix) {
            Ok(_) => drop(valid.insert(name, value)),
            Err(error) => problems.add_for(&name, error),
        }
    }
    let read = deserialize(valid, prefix);
    problems.check(read).unwrap_or_default()
}

fn deserialize<T: DeserializeOwned>(object: Map<String, Value>, prefix: &str) -> Result<T, Error> {
    serde_path_to_error::deserialize(Typed(Value::Object(object))).map_err(|error| {
        let path = shown(error.path());
        Error::new(
            ErrorKind::ConfigValue,
            format!("{prefix}{path}: {}", error.into_inner()),
        )
    })
}

/// The path up to the names that the operator chose: one of them may be a header line, with its value.
fn shown(path: &serde_path_to_error::Path) -> String {
    let mut shown = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => shown += &format!("[{index}]"),
            Segment::Map { key } if key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') => {
                let dot = if shown.is_empty() { "" } else { "." };
                shown += &format!("{dot}{key}");
            }
            _ => break,
        }
    }
    shown
}

/// A value as a source of types. `serde_json`'s own errors repeat the value.
struct Typed(Value);

/// A value of another type than expected.
#[derive(Debug)]
struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Mismatch {
        Mismatch(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Mismatch {
        let (kind, expected) = (kind(&unexpected), shape(expected));
        Mismatch(format!("invalid type: {kind}, expected {expected}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Mismatch {
        let (kind, expected) = (kind(&unexpected), shape(expected));
        Mismatch(format!("invalid value: {kind}, expected {expected}"))
    }

    /// The name may have any characters, so it is shown as a literal.
    fn unknown_field(unknown: &str, known: &'static [&'static str]) -> Mismatch {
        let hint = hint(nearest(unknown, known), known);
        Mismatch(format!("unknown field {unknown:?}; {hint}"))
    }

    fn unknown_variant(unknown: &str, expected: &'static [&'static str]) -> Mismatch {
        let hint = nearest(unknown, expected)
            .map(|value| format!(", did you mean \"{value}\"?"))
            .unwrap_or_default();
        let expected = expected.join("\", \"");
        Mismatch(format!(
            "unknown value, expected one of \"{expected}\"{hint}"
        ))
    }
}

/// The expectation without the names of Rust's types.
fn shape(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u16" | "u32" | "u64" | "usize" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        _ => expected,
    }
}

fn kind(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "floating point number",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "list",
        Unexpected::Map => "object",
        _ => "value",
    }
}

impl<'de> Deserializer<'de> for Typed {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Typed)))
            }
            Value::Object(members) => {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name, Typed(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            _ => Err(de::Error::custom("invalid type, expected a string")),
        }
    }

    /// Lua has one notation for an empty list and an empty object.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Object(members) if members.is_empty() => {
                visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Typed>()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for Typed {
    type Deserializer = Typed;

    fn into_deserializer(self) -> Typed {
        self
    }
}
