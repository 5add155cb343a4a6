//! The response of a token endpoint.

use super::is_log_safe;
use super::readers::members;
use crate::key::{Fingerprint, Key};
use crate::token::claims::Claims;
use crate::token::{Contents, Grant, Lifetime, Origin, TokenResponse, unverified_claims};
use serde_json::Value;
use std::time::{Duration, Instant};

const NOW: Duration = Duration::from_secs(1_700_000_000);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The body of a 200.
pub fn token_response(data: &[u8]) {
    // Members that the library does not read may be in another encoding.
    let readable = String::from_utf8_lossy(data);
    let members = members(readable.as_bytes());
    let text = |name: &str| {
        members
            .iter()
            .flatten()
            .find(|member| member.is(name))?
            .text()
    };
    let response = match TokenResponse::read(data) {
        Ok(response) => response,
        Err(denial) => {
            assert!(is_log_safe(&denial.detail));
            let token = text("access_token").filter(|token| token.len() >= 8);
            assert!(
                token
                    .is_none_or(|token| !denial.detail.contains(&token) || is_word_of_ours(&token))
            );
            return;
        }
    };
    let members = members.as_ref().expect("an object");
    for name in ["access_token", "token_type", "expires_in", "scope"] {
        assert!(
            members.iter().filter(|member| member.is(name)).count() <= 1,
            "{name}"
        );
    }
    let token = response.access_token.as_str();
    assert_eq!(text("access_token").as_deref(), Some(token));
    assert!(text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    assert!(!token.is_empty() && token.len() <= 16 * 1024);
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
    );
    let claims = unverified_claims(token).map(|members| Claims::new(members, None));
    let exp = claims
        .as_ref()
        .and_then(|claims| claims.set().get("exp")?.number());
    let lifetime = response.lifetime(claims.as_ref().map(Claims::set), NOW);
    if let Lifetime::Stated(lifetime) = lifetime {
        assert!(!lifetime.is_zero() && lifetime <= TEN_YEARS);
        let until_exp = exp.map_or(f64::INFINITY, |exp| exp - NOW.as_secs_f64());
        assert!(lifetime.as_secs_f64() <= until_exp + 1e-6);
    }
    let scope = response.scope(Some("requested"));
    if !members.iter().any(|member| member.is("scope")) {
        assert_eq!(scope, Some("requested"));
    }
    let contents = match claims {
        Some(claims) => Contents::Claims(claims),
        None => Contents::Opaque(scope),
    };
    let grant = Grant::new(origin(), "id", token, lifetime, &contents);
    assert_eq!(grant.token(), token);
    assert_eq!(grant.client_id(), "id");
    let own: Value = serde_json::from_str(&grant.token_response()).expect("JSON");
    assert_eq!(own["access_token"], token);
    assert_eq!(own["token_type"], "Bearer");
    for name in ["sub", "scope", "a__b", "aud__1", "a__b__2"] {
        let claim = grant.claim(name);
        // Neither text nor JSON may end a line.
        assert!(
            claim.is_none_or(|claim| !claim.bytes().any(|byte| byte < b' ')),
            "{name}"
        );
    }
}

/// Whether the library's own message happens to have this text.
fn is_word_of_ours(token: &str) -> bool {
    const OURS: &str = "the token endpoint's response is invalid: not a JSON object with access_token and token_type, \
        each a string and not repeated token_type is not Bearer access_token is longer than 16 KiB access_token contains \
        characters that are not allowed in a Bearer token";
    OURS.contains(token)
}

/// The origin of a token that has just arrived.
fn origin() -> Origin {
    Origin {
        key: Key::for_test(1),
        fingerprint: Fingerprint::for_test(1),
        received: Instant::now(),
        received_wall: NOW,
        is_client_supplied: false,
    }
}
