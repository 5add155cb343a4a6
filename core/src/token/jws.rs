//! A token in the compact serialisation (RFC 7515 section 3.1).

use super::algorithm::Algorithm;
use super::{JwsError, KeySet};
use crate::token::{MAX_TOKEN, json_object};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroizing;

/// A token with a validated header and unverified claims.
pub(crate) struct Jws<'t> {
    header: Header,
    claims: Map<String, Value>,
    /// The signed bytes.
    message: &'t str,
    signature: Vec<u8>,
}

/// The members that matter. A repeated one is an error; the token's own key references (`jku`, `jwk`, `x5u`, `x5c`) are
/// not read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    b64: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    enc: bool,
    #[serde(default, deserialize_with = "present")]
    zip: bool,
}

/// The maximum length of a header that is decoded.
const MAX_HEADER: usize = 4096;

/// Whether the token is meant as a signed JWT rather than opaque: also if it must be refused because it has no
/// signature, or has a form that another reader may accept as a JWT.
pub(crate) fn is_jws(token: &str) -> bool {
    let mut parts = token.split('.');
    let Some(header) = parts.next() else {
        return false;
    };
    if parts.count() != 2 {
        return false;
    }
    let plain: String = header
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    let header = LENIENT.decode(plain).ok();
    header
        .and_then(|header| json_object::<Map<String, Value>>(&header))
        .is_some_and(|header| header.contains_key("alg"))
}

/// For classification only: a token decoded in this way is never trusted.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<'t> Jws<'t> {
    pub(crate) fn parse(token: &'t str) -> Result<Jws<'t>, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::Malformed);
        }
        let (header, payload, signature) = parts(token).ok_or(JwsError::Malformed)?;
        if header.len() > MAX_HEADER {
            return Err(JwsError::Malformed);
        }
        let decode = |part| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| JwsError::Malformed)
        };
        let message = &token[..header.len() + 1 + payload.len()];
        let header: Header = json_object(&decode(header)?).ok_or(JwsError::Malformed)?;
        if header.enc || header.zip {
            return Err(JwsError::Malformed);
        }
        if header.crit || header.b64 == Some(false) {
            return Err(JwsError::Critical);
        }
        if Algorithm::named(&header.alg).is_none() {
            return Err(JwsError::Algorithm);
        }
        let payload = Zeroizing::new(decode(payload)?);
        let UniqueObject(claims) = json_object(&payload).ok_or(JwsError::Malformed)?;
        Ok(Jws {
            header,
            claims,
            message,
            signature: decode(signature)?,
        })
    }

    pub(crate) fn verify(&self, keys: &KeySet) -> Result<(), JwsError> {
        keys.verify(
            self.header.kid.as_deref(),
            &self.header.alg,
            self.message.as_bytes(),
            &self.signature,
        )
    }

    pub(crate) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    pub(crate) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

/// Header, payload and signature, if there are exactly three parts.
fn parts(token: &str) -> Option<(&str, &str, &str)> {
    let mut parts = token.split('.');
    let three = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && !three.0.is_empty() && !three.1.is_empty()).then_some(three)
}

/// True if the member is present, with any value.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A JSON object without repeated names.
struct UniqueObject(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueObject, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = UniqueObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueObject, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = map.next_entry()? {
                    if object.insert(name, value).is_some() {
                        return Err(de::Error::custom("a claim appears twice"));
                    }
                }
                Ok(UniqueObject(object))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
