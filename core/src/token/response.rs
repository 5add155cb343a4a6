//! The token response of a provider ([RFC 6749 section 5.1]), and the lifetime of its token.
//!
//! [RFC 6749 section 5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1

use super::claims::ClaimsSet;
use super::grant::Lifetime;
use super::jws::UniqueObject;
use crate::cause::{Cause, Denial};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::time::Duration;
use zeroize::Zeroizing;

/// The maximum length of a forwarded token, in bytes. Upstreams rarely accept headers beyond 8 or 16 KiB.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;
/// A longer lifetime, in seconds, is treated as an error.
const ABSURD_LIFETIME: f64 = 10.0 * 365.0 * 86_400.0;

/// The members of [RFC 6749 section 5.1] that matter. A repeated one is an error; others are ignored.
///
/// [RFC 6749 section 5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
#[derive(Deserialize)]
pub(crate) struct TokenResponse {
    #[serde(deserialize_with = "secret")]
    pub(crate) access_token: Zeroizing<String>,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    scope: Option<Value>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

impl TokenResponse {
    /// Parses the body of a 200.
    pub(crate) fn read(body: &[u8]) -> Result<TokenResponse, Denial> {
        let invalid = |why: &str| {
            Denial::new(
                Cause::ProviderResponseInvalid,
                format!("the token endpoint's response is invalid: {why}"),
            )
        };
        let response: TokenResponse = json_object(body).ok_or_else(|| {
            invalid("not a JSON object with access_token and token_type, each a string and not repeated")
        })?;
        let unusable = |why| Err(invalid(why).spent());
        if !response.token_type.eq_ignore_ascii_case("bearer") {
            return unusable("token_type is not Bearer");
        }
        let token = response.access_token.as_str();
        if token.len() > MAX_TOKEN {
            return unusable("access_token is longer than 16 KiB");
        }
        if !is_b64token(token) {
            return unusable(
                "access_token contains characters that are not allowed in a Bearer token",
            );
        }
        Ok(response)
    }

    /// The token's scope, space-separated: a provider that does not state it has granted the requested one. `None`:
    /// unknown.
    pub(crate) fn scope<'s>(&'s self, requested: Option<&'s str>) -> Option<&'s str> {
        match &self.scope {
            Some(stated) => stated.as_str(),
            None => requested,
        }
    }

    /// The token's lifetime: `expires_in` (a number or a numeric string), else the time until the JWT's `exp`; never
    /// past `exp`. `wall`: the time since the Unix epoch.
    pub(crate) fn lifetime(&self, claims: Option<ClaimsSet<'_>>, wall: Duration) -> Lifetime {
        lifetime(self.expires_in.as_ref(), until_exp(claims, wall))
    }
}

/// The lifetime of a client's own token.
pub(crate) fn remaining(claims: ClaimsSet<'_>, wall: Duration) -> Lifetime {
    lifetime(None, until_exp(Some(claims), wall))
}

fn until_exp(claims: Option<ClaimsSet<'_>>, wall: Duration) -> Option<f64> {
    let exp = claims?.get("exp")?.number()?;
    Some(exp - wall.as_secs_f64())
}

fn lifetime(expires_in: Option<&Value>, until_exp: Option<f64>) -> Lifetime {
    let stated = match expires_in {
        None | Some(Value::Null) => match until_exp {
            Some(seconds) => Some(seconds),
            None => return Lifetime::Unknown,
        },
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    stated
        .filter(|stated| *stated <= ABSURD_LIFETIME)
        .map(|stated| stated.min(until_exp.unwrap_or(f64::INFINITY)))
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(Lifetime::Unusable, Lifetime::Stated)
}

/// Parses a provider's JSON object. The error is not returned: serde's message may quote a token. Arrays, which serde
/// accepts for structs, are refused.
pub(crate) fn json_object<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Option<T> {
    if body.trim_ascii_start().first() == Some(&b'{') {
        serde_json::from_slice(body).ok()
    } else {
        None
    }
}

/// Whether the text is a `b64token` (RFC 6750 section 2.1), which cannot end a header line.
pub(crate) fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The claims of a JWT without verification, for gates that trust the token endpoint. A repeated claim is an error.
pub(crate) fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    json_object(&payload).map(|UniqueObject(claims)| claims)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sys::clock::manual::ManualClock;
    use crate::token::claims::Claims;
    use serde_json::json;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    /// The retention of a gate with default settings.
    fn kept(answer: &Value) -> Option<u64> {
        let answer = TokenResponse::read(answer.to_string().as_bytes()).unwrap();
        let claims = unverified_claims(&answer.access_token).map(|map| Claims::new(map, None));
        match answer.lifetime(claims.as_ref().map(Claims::set), NOW) {
            Lifetime::Stated(lifetime) => lifetime.as_secs().checked_sub(5).filter(|s| *s > 0),
            Lifetime::Unknown => Some(3595),
            Lifetime::Unusable => None,
        }
    }

    fn denied(body: &str) -> Denial {
        TokenResponse::read(body.as_bytes()).err().unwrap()
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_numeric_string() {
        for (expires_in, expect) in [
            (json!(3600), Some(3595)),
            (json!("43199"), Some(43194)),
            (json!(60.5), Some(55)),
            (json!(null), Some(3595)),
        ] {
            let answer =
                json!({"access_token": "t", "token_type": "Bearer", "expires_in": expires_in});
            assert_eq!(kept(&answer), expect, "{expires_in}");
        }
        assert_eq!(
            kept(&json!({"access_token": "t", "token_type": "bEaReR"})),
            Some(3595)
        );
    }

    #[test]
    fn an_absurd_lifetime_is_never_cached() {
        for expires_in in [
            json!(0),
            json!(-1),
            json!(5),
            json!(1e300),
            json!(u64::MAX),
            json!("x"),
            json!("NaN"),
            json!("inf"),
            json!([]),
            json!(true),
        ] {
            let answer =
                json!({"access_token": "t", "token_type": "Bearer", "expires_in": expires_in});
            assert_eq!(kept(&answer), None, "{expires_in}");
        }
    }

    #[test]
    fn a_token_is_never_cached_past_its_exp() {
        let token = jwt(&json!({"exp": NOW.as_secs() + 100}));
        assert_eq!(
            kept(&json!({"access_token": token, "token_type": "Bearer"})),
            Some(95)
        );
        assert_eq!(
            kept(&json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600})),
            Some(95)
        );
        assert_eq!(
            kept(&json!({"access_token": token, "token_type": "Bearer", "expires_in": 50})),
            Some(45)
        );
        let expired = jwt(&json!({"exp": NOW.as_secs() - 1}));
        assert_eq!(
            kept(&json!({"access_token": expired, "token_type": "Bearer", "expires_in": 3600})),
            None
        );
    }

    #[test]
    fn a_token_that_could_break_a_header_is_refused() {
        for token in ["a\r\nX: y", "a b", "a\u{0}", "é", "", "=", "a=b", "a\n"] {
            let body = json!({"access_token": token, "token_type": "Bearer"}).to_string();
            assert_eq!(
                denied(&body).cause,
                Cause::ProviderResponseInvalid,
                "{token:?}"
            );
        }
        let long =
            json!({"access_token": "a".repeat(MAX_TOKEN + 1), "token_type": "Bearer"}).to_string();
        assert_eq!(denied(&long).cause, Cause::ProviderResponseInvalid);
    }

    #[test]
    fn another_token_type_is_not_forwarded_as_bearer() {
        assert_eq!(
            denied(r#"{"access_token":"t","token_type":"DPoP"}"#).cause,
            Cause::ProviderResponseInvalid
        );
    }

    #[test]
    fn an_invalid_response_is_not_quoted_in_its_denial() {
        for body in [
            "",
            "null",
            "[]",
            r#"["s3cret","Bearer",60]"#,
            "s3cret",
            r#"{"access_token":"s3cret"}"#,
            r#"{"access_token":null,"token_type":"Bearer"}"#,
            r#"{"access_token":["s3cret"],"token_type":"Bearer"}"#,
            r#"{"access_token":"s3cret","access_token":"t","token_type":"Bearer"}"#,
            r#"{"access_token":"t","token_type":"s3cret"}"#,
        ] {
            let denial = denied(body);
            assert_eq!(denial.cause, Cause::ProviderResponseInvalid, "{body}");
            assert!(!denial.detail.contains("s3cret"), "{}", denial.detail);
        }
    }

    #[test]
    fn debug_does_not_show_a_token() {
        let grant = crate::token::grant_for_test("s3cret", Lifetime::Unknown, &ManualClock::new());
        assert!(!format!("{grant:?}").contains("s3cret"));
    }
}
