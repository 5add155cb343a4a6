//! The assertion that proves possession of a client's secret without sending it (`client_secret_jwt`: OpenID Connect
//! Core 1.0 section 9, RFC 7523 section 3).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::time::Duration;
use zeroize::Zeroizing;

/// The lifetime in seconds; the assertion is used at once.
const LIFETIME: u64 = 60;

/// Creates an assertion for this audience, valid for a minute from `wall` (the time since the Unix epoch), with a
/// unique `jti`.
pub(crate) fn client_assertion(
    client_id: &str,
    client_secret: &str,
    audience: &str,
    wall: Duration,
) -> Result<Zeroizing<String>, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    let now = wall.as_secs();
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let mut assertion = Zeroizing::new(URL_SAFE_NO_PAD.encode(header.to_string()));
    assertion.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut assertion);
    let key = hmac::Key::new(hmac::HMAC_SHA256, client_secret.as_bytes());
    let signature = hmac::sign(&key, assertion.as_bytes());
    assertion.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
    Ok(assertion)
}
