//! A token in the compact serialisation (RFC 7515 section 3.1).

use super::algorithm::Algorithm;
use super::{JwsError, KeySet};
use crate::token::{MAX_TOKEN, json_object};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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

/// The members that matter. The token's own key references (`jku`, `jwk`, `x5u`, `x5c`) are not read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "any")]
    typ: Option<Value>,
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

/// Whether any reader could take the token for a signed JWT: it has three parts, and the first decodes to text that
/// begins like a JSON object. Readers differ in what they tolerate after that (duplicate names, lone surrogates, deep
/// nesting, numbers out of range), so such a token is verified or refused, and never opaque.
pub(crate) fn is_jws(token: &str) -> bool {
    let mut parts = token.split('.');
    let header = parts.next().unwrap_or_default();
    parts.count() == 2 && begins_like_an_object(header)
}

/// Decodes as the most lenient readers do: in both alphabets, without the characters outside of them, after a byte
/// order mark, in UTF-8, UTF-16 or UTF-32.
fn begins_like_an_object(base64: &str) -> bool {
    let (mut bits, mut len) = (0u32, 0);
    for byte in base64.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        len += 6;
        if len >= 8 {
            len -= 8;
            match (bits >> len) as u8 {
                // White space, NUL, and the bytes of byte order marks.
                0..=b' ' | 0xbb | 0xbf | 0xef | 0xfe | 0xff => {}
                first => return first == b'{',
            }
        }
    }
    false
}

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
        let UniqueObject(header) = json_object(&decode(header)?).ok_or(JwsError::Malformed)?;
        let header = Header::deserialize(Value::Object(header)).map_err(|_| JwsError::Malformed)?;
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

    /// Whether `typ` is that of an access token (RFC 9068 section 4) or of any JWT, or is absent. Other kinds of JWT
    /// have types of their own (RFC 8725 section 3.11).
    pub(crate) fn may_be_access_token(&self) -> bool {
        let Some(typ) = &self.header.typ else {
            return true;
        };
        let typ = typ.as_str().unwrap_or_default().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        matches!(typ, "jwt" | "at+jwt")
    }

    pub(crate) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// The issuer that the token names. It is proven only by a key of this issuer.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
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

/// The value of a member that is present, null included.
fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// True if the member is present, with any value.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A JSON object without repeated names.
pub(crate) struct UniqueObject(pub(crate) Map<String, Value>);

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
                        return Err(de::Error::custom("a member appears twice"));
                    }
                }
                Ok(UniqueObject(object))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
