//! Tokens: no forged one verifies, and no token is opaque to the library and signed to another reader.

use super::readers::{URL_SAFE, base64, lenient_base64, members};
use super::{Found, gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use crate::token::claims::Claims;
use crate::token::{Jws, KeySet, is_jws, unverified_claims};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static BEARER: LazyLock<Gate> = LazyLock::new(|| gate(r#","auth_methods":"bearer""#));

/// The keys of a provider, and everything that they have signed.
struct Signed {
    keys: KeySet,
    tokens: Vec<String>,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let text = |bytes: &[u8]| encode(bytes);
    let mut keys = vec![
        json!({"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}),
    ];
    let own = [
        include_str!("../../../../tests/vectors/keys/p256.jwk"),
        include_str!("../../../../tests/vectors/keys/rsa.jwk"),
        include_str!("../../../../tests/vectors/keys/oct.jwk"),
    ];
    keys.extend(
        own.iter()
            .map(|jwk| serde_json::from_str::<Value>(jwk).expect("a key")),
    );
    let tokens = [
        (
            r#"{"alg":"EdDSA","kid":"ed"}"#,
            r#"{"iss":"https://a.example","sub":"a","exp":1}"#,
        ),
        (
            r#"{"alg":"Ed25519","typ":"at+jwt"}"#,
            r#"{"scope":"a b","aud":["c"],"n":{"x":[1,null]}}"#,
        ),
    ];
    Signed {
        keys: KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("keys"),
        tokens: tokens
            .iter()
            .map(|(header, claims)| {
                let message = format!("{}.{}", text(header.as_bytes()), text(claims.as_bytes()));
                let signature = text(pair.sign(message.as_bytes()).as_ref());
                format!("{message}.{signature}")
            })
            .collect(),
    }
});

fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digits = [18, 12, 6, 0].map(|shift| URL_SAFE[(bits >> shift & 63) as usize]);
        out.extend(
            digits[..=group.len()]
                .iter()
                .map(|&digit| char::from(digit)),
        );
    }
    out
}

/// A token; or, after a byte below 32, changes to one of the provider's: positions and bytes.
pub fn jwt(data: &[u8]) {
    let changed;
    let token = match data {
        [which @ 0..32, changes @ ..] => {
            let all = &SIGNED.tokens;
            let mut token = all[usize::from(*which) % all.len()].clone().into_bytes();
            for change in changes.chunks_exact(3) {
                let at = usize::from(change[0]) << 8 | usize::from(change[1]);
                let at = at % token.len();
                token[at] = change[2];
            }
            changed = token;
            str::from_utf8(&changed)
        }
        _ => str::from_utf8(data),
    };
    if let Ok(token) = token {
        judge(token);
    }
}

fn judge(token: &str) {
    let may_be_signed = is_jws(token);
    // Verified or refused, and never opaque.
    assert!(may_be_signed || !is_signed_to_anyone(token));
    let parsed = Jws::parse(token);
    let read = strictly(token);
    match (&parsed, &read) {
        (Ok(jws), Some((header, _))) => {
            assert!(may_be_signed);
            assert_eq!(header["alg"].as_str(), Some(jws.algorithm()));
            assert!(
                header.get("crit").is_none()
                    && header.get("enc").is_none()
                    && header.get("zip").is_none()
            );
            assert_ne!(header.get("b64"), Some(&Value::Bool(false)));
            let _ = jws.may_be_access_token();
        }
        (Ok(_), None) => panic!("the second reader finds no object"),
        (Err(_), _) => {}
    }
    let unverified = unverified_claims(token);
    if let (Some(claims), Some((_, second))) = (&unverified, &read) {
        assert_eq!(claims, second);
    }
    if let Ok(jws) = parsed {
        if jws.verify(&SIGNED.keys).is_ok() {
            let message = |token: &str| {
                token
                    .rsplit_once('.')
                    .map(|(message, _)| message.to_owned())
            };
            let is_own = |own: &String| message(own) == message(token);
            assert!(
                SIGNED.tokens.iter().any(is_own),
                "a forged token verifies: {token}"
            );
        }
        let (_, claims) = read.expect("claims");
        let packed = Claims::new(jws.into_claims(), Some("https://a.example"));
        assert_eq!(
            serde_json::from_str::<Value>(&packed.set().json()).ok(),
            Some(Value::Object(claims))
        );
    }
    as_bearer(token);
}

/// A token of the alphabet of RFC 6750 section 2.1 is one of a client, and nothing else is.
fn as_bearer(token: &str) {
    let header = format!("Bearer {token}");
    let request = Request {
        authorization: Some(header.as_bytes()),
        ..Request::default()
    };
    let trimmed = token.trim_start_matches(' ').trim_end_matches([' ', '\t']);
    let unpadded = trimmed.trim_end_matches('=');
    let is_allowed = !unpadded.is_empty()
        && unpadded
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c))
        && trimmed.len() <= 16 * 1024;
    let expected = match is_allowed {
        true => Ok(Found::Token(trimmed.to_owned())),
        false => Err(Cause::TokenInvalid),
    };
    assert_eq!(search(&BEARER, &request), expected);
}

/// Header and claims of a compact JWS, by a strict reader.
fn strictly(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return None;
    };
    base64(signature.as_bytes(), URL_SAFE, false)?;
    let object = |part: &str| {
        let text = base64(part.as_bytes(), URL_SAFE, false)?;
        // Names are unique, by a reader that sees the repeated ones.
        let members = members(&text)?;
        let Value::Object(object) = serde_json::from_slice(&text).ok()? else {
            return None;
        };
        (object.len() == members.len()).then_some(object)
    };
    Some((object(header)?, object(claims)?))
}

/// Whether some reader takes the token for a signed one: three parts, and a header that is an object in any encoding of
/// text.
fn is_signed_to_anyone(token: &str) -> bool {
    let mut parts = token.split('.');
    let header = lenient_base64(parts.next().unwrap_or_default().as_bytes());
    if parts.count() != 2 {
        return false;
    }
    let utf16 = |order: fn([u8; 2]) -> u16| {
        let units = header.chunks_exact(2).map(|pair| order([pair[0], pair[1]]));
        char::decode_utf16(units)
            .map(|unit| unit.unwrap_or('\u{fffd}'))
            .collect::<String>()
    };
    let utf32 = |order: fn([u8; 4]) -> u32| {
        let units = header
            .chunks_exact(4)
            .map(|four| order([four[0], four[1], four[2], four[3]]));
        units
            .map(|unit| char::from_u32(unit).unwrap_or('\u{fffd}'))
            .collect::<String>()
    };
    let is_object = |text: &str| {
        let text = text.trim_start_matches('\u{feff}');
        text.trim_start_matches([' ', '\t', '\n', '\r'])
            .starts_with('{')
    };
    is_object(&String::from_utf8_lossy(&header))
        || is_object(&utf16(u16::from_le_bytes))
        || is_object(&utf16(u16::from_be_bytes))
        || is_object(&utf32(u32::from_le_bytes))
        || is_object(&utf32(u32::from_be_bytes))
}
