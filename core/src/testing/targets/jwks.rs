//! The provider's keys.

use super::readers::{URL_SAFE, base64, members};
use crate::token::{Jws, KeySet};
use serde_json::Value;
use std::sync::LazyLock;

/// A JWKS document.
pub fn jwks(data: &[u8]) {
    let parsed = KeySet::parse(data);
    let stated: Option<Value> = serde_json::from_slice(data).ok();
    let stated_keys = stated.as_ref().and_then(|stated| stated["keys"].as_array());
    let Some(mut keys) = parsed else {
        // A second list, or one in an array, is no list.
        let lists = members(data).map_or(0, |all| {
            all.iter().filter(|member| member.is("keys")).count()
        });
        assert!(stated_keys.is_none() || lists != 1 || stated.is_none());
        return;
    };
    assert!(keys.len() <= 100);
    // Members that the library does not read may have values that this reader refuses.
    if let Some(stated_keys) = stated_keys {
        assert!(keys.len() <= stated_keys.iter().filter(|key| may_verify(key)).count());
    }
    for token in &*UNSIGNED {
        let jws = Jws::parse(token).expect("a token");
        assert!(
            jws.verify(&keys).is_err(),
            "a key verifies what it has not signed"
        );
    }
    let len = keys.len();
    keys.extend(KeySet::parse(data).expect("the same keys"));
    assert_eq!(keys.len(), (2 * len).min(100));
}

/// Tokens without a key id, whose signatures have the form of their algorithm's.
static UNSIGNED: LazyLock<[String; 3]> = LazyLock::new(|| {
    // `{"alg":"EdDSA"}`, `{"alg":"ES256"}` and `{"alg":"RS256"}`, of `{}`.
    [
        "eyJhbGciOiJFZERTQSJ9",
        "eyJhbGciOiJFUzI1NiJ9",
        "eyJhbGciOiJSUzI1NiJ9",
    ]
    .map(|header| format!("{header}.e30.{}AQ", "q6ur".repeat(21)))
});

/// Whether a key may be one for signatures, of a kind and a size that standards allow.
fn may_verify(key: &Value) -> bool {
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    let len = |name: &str| {
        let decoded = base64(text(name).trim_end_matches('=').as_bytes(), URL_SAFE, false);
        let decoded = decoded.unwrap_or_default();
        decoded.len() - decoded.iter().take_while(|&&byte| byte == 0).count()
    };
    let fits = match (text("kty"), text("crv")) {
        ("RSA", _) => (256..=1024).contains(&len("n")) && (1..=8).contains(&len("e")),
        ("EC", "P-256") => len("x") <= 32 && len("y") <= 32,
        ("EC", "P-384") => len("x") <= 48 && len("y") <= 48,
        ("EC", "P-521") => len("x") <= 66 && len("y") <= 66,
        ("OKP", "Ed25519") => len("x") <= 32,
        _ => false,
    };
    fits && (key["use"].is_null() || text("use") == "sig")
}
