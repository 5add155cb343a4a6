//! Alternative notations of values.

use serde::Deserialize;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A list, or one element without brackets.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_str<E: de::Error>(self, one: &str) -> Result<Vec<T>, E> {
            T::deserialize(one.into_deserializer()).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = list.next_element()? {
                elements.push(element);
            }
            Ok(elements)
        }

        /// Lua has one notation for an empty list and an empty object.
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<T>, A::Error> {
            match members.next_key::<de::IgnoredAny>()? {
                Some(_) => Err(de::Error::invalid_type(Unexpected::Map, &self)),
                None => Ok(Vec::new()),
            }
        }
    }

    deserializer.deserialize_any(List(PhantomData))
}

pub(super) fn some_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    list(deserializer).map(Some)
}

/// One element, or a list of at most one: Kong has a list, with an element for each of its own clients.
pub(super) fn one<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let mut list = list(deserializer)?;
    match list.len() {
        0 | 1 => Ok(list.pop()),
        _ => Err(de::Error::custom(
            "must be one value, not a list of several",
        )),
    }
}

/// A boolean, or the name of a consumer, as in Kong: any name means true.
pub(super) fn anonymous<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Anonymous;

    impl Visitor<'_> for Anonymous {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false or the name of a consumer")
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E>(self, consumer: &str) -> Result<bool, E> {
            Ok(!consumer.is_empty())
        }
    }

    deserializer.deserialize_any(Anonymous)
}

/// A string; `nil` is Kong's notation for none.
pub(super) fn unless_nil<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(if text == "nil" { String::new() } else { text })
}
