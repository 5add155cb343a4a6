//! A token as the provider answers it, and how long it may be kept.

use crate::cause::{Cause, Denial};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A client's token, ready to be forwarded. Wiped when dropped.
pub struct Grant {
    client_id: Box<str>,
    /// `Bearer …`
    authorization: Zeroizing<Box<str>>,
    /// Until when it may be served from the cache; `None`: for this exchange's waiters only.
    expires: Option<Instant>,
}

impl Grant {
    /// Whose token it is.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// `Bearer …`, with nothing that could end a header line.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now < expires)
    }

    pub(crate) fn is_cacheable(&self) -> bool {
        self.expires.is_some()
    }

    /// Bytes of its strings.
    pub(crate) fn len(&self) -> usize {
        self.client_id.len() + self.authorization.len()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The longest token that is forwarded, in bytes. Upstreams rarely take headers beyond 8 or 16 KiB.
const MAX_TOKEN: usize = 16 * 1024;
/// How long a token is kept of which nothing says how long it lives (Kong's `cache_ttl`).
const DEFAULT_LIFETIME: f64 = 3600.0;
/// A token is not served in the last seconds of its life: it has to reach the upstream alive.
const EAGERLY_EXPIRE: f64 = 5.0;
/// A lifetime beyond this is taken for a mistake.
const ABSURD_LIFETIME: f64 = 10.0 * 365.0 * 86_400.0;

/// The members of [RFC 6749 section 5.1] that matter. A member that stands twice is an error, others are ignored.
///
/// [RFC 6749 section 5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
#[derive(Deserialize)]
struct Answer {
    #[serde(deserialize_with = "secret")]
    access_token: Zeroizing<String>,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Value>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Reads a token endpoint's 200. `now` and `wall` are the same moment on both clocks.
pub(crate) fn grant(
    client_id: &str,
    body: &[u8],
    now: Instant,
    wall: Duration,
) -> Result<Grant, Denial> {
    let invalid = |why: &str| {
        Denial::new(
            Cause::ProviderAnswerInvalid,
            format!("the token endpoint's answer is invalid: {why}"),
        )
    };
    let answer: Answer = json_object(body).ok_or_else(|| {
        invalid("not a JSON object with access_token and token_type, each once and a string")
    })?;
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err(invalid("token_type is not Bearer"));
    }
    let token = answer.access_token.as_str();
    if token.len() > MAX_TOKEN {
        return Err(invalid("access_token is longer than 16 KiB"));
    }
    if !is_b64token(token) {
        return Err(invalid(
            "access_token has characters that a Bearer token cannot have",
        ));
    }
    let lifetime = lifetime(
        answer.expires_in.as_ref(),
        jwt_exp(token).map(|exp| exp - wall.as_secs_f64()),
    );
    Ok(Grant {
        client_id: client_id.into(),
        authorization: Zeroizing::new(format!("Bearer {token}").into_boxed_str()),
        expires: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
    })
}

/// Reads a provider's JSON object. Why it cannot be read is not told: serde's message may quote a token, and its
/// structures accept arrays, which no provider means.
pub(crate) fn json_object<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Option<T> {
    if body.trim_ascii_start().first() == Some(&b'{') {
        serde_json::from_slice(body).ok()
    } else {
        None
    }
}

/// `b64token` of RFC 6750 section 2.1: nothing that could end a header line.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// How long a token may be served from the cache; `None`: not at all.
///
/// `expires_in` (a number, or one in a string), else what remains to the JWT's `exp`, else an hour; never past `exp`.
fn lifetime(expires_in: Option<&Value>, until_exp: Option<f64>) -> Option<Duration> {
    let stated = match expires_in {
        None | Some(Value::Null) => until_exp.unwrap_or(DEFAULT_LIFETIME),
        Some(Value::Number(number)) => number.as_f64()?,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(_) => return None,
    };
    let seconds = stated.min(until_exp.unwrap_or(f64::INFINITY)) - EAGERLY_EXPIRE;
    if !(seconds > 0.0 && stated <= ABSURD_LIFETIME) {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// A JWT's `exp` (RFC 7519 section 4.1.4), not verified: it can only shorten what the provider says.
fn jwt_exp(token: &str) -> Option<f64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }

    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    serde_json::from_slice::<Claims>(&claims)
        .ok()
        .map(|claims| claims.exp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn kept(answer: &Value) -> Option<u64> {
        let now = Instant::now();
        let grant = grant("id", answer.to_string().as_bytes(), now, NOW).unwrap();
        grant.expires.map(|expires| (expires - now).as_secs())
    }

    fn denied(body: &str) -> Denial {
        grant("id", body.as_bytes(), Instant::now(), NOW).unwrap_err()
    }

    #[test]
    fn a24_a_lifetime_is_a_number_or_one_in_a_string() {
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
    fn kong01_an_absurd_lifetime_is_never_cached() {
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
    fn kong08_a_token_is_never_kept_past_its_exp() {
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
    fn a14_a_token_that_could_break_a_header_is_refused() {
        for token in ["a\r\nX: y", "a b", "a\u{0}", "é", "", "=", "a=b", "a\n"] {
            let body = json!({"access_token": token, "token_type": "Bearer"}).to_string();
            assert_eq!(
                denied(&body).cause,
                Cause::ProviderAnswerInvalid,
                "{token:?}"
            );
        }
        let long =
            json!({"access_token": "a".repeat(MAX_TOKEN + 1), "token_type": "Bearer"}).to_string();
        assert_eq!(denied(&long).cause, Cause::ProviderAnswerInvalid);
    }

    #[test]
    fn a15_another_token_type_is_not_forwarded_as_bearer() {
        assert_eq!(
            denied(r#"{"access_token":"t","token_type":"DPoP"}"#).cause,
            Cause::ProviderAnswerInvalid
        );
    }

    #[test]
    fn a33_nonsense_is_invalid_and_its_detail_holds_nothing_of_it() {
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
            assert_eq!(denial.cause, Cause::ProviderAnswerInvalid, "{body}");
            assert!(!denial.detail.contains("s3cret"), "{}", denial.detail);
        }
    }

    #[test]
    fn debug_does_not_show_a_token() {
        let body = br#"{"access_token":"s3cret","token_type":"Bearer"}"#;
        let grant = grant("id", body, Instant::now(), NOW).unwrap();
        assert!(!format!("{grant:?}").contains("s3cret"));
    }
}
