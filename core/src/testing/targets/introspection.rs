//! The response of an introspection endpoint.

use super::readers::members;
use super::{gate, is_log_safe};
use crate::http::Response;
use crate::provider::{Metadata, are_of_access_token, read_introspection, read_metadata};
use serde_json::Value;
use std::sync::LazyLock;
use zeroize::Zeroizing;

static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let document = br#"{"issuer":"https://a.example","token_endpoint":"https://a.example/token"}"#;
    read_metadata(&gate("").rules.issuer, document).expect("metadata")
});

/// The body of a 200.
pub fn introspection(data: &[u8]) {
    let response = |media_type: &str| Response {
        status: 200,
        media_type: Some(media_type.to_owned()),
        retry_after: None,
        max_age: None,
        limits: Vec::new(),
        body: Zeroizing::new(data.to_vec()),
    };
    assert!(
        read_introspection(&response("application/token-introspection+jwt"), &METADATA).is_err()
    );
    let read = read_introspection(&response("application/json"), &METADATA);
    let stated: Option<Value> = serde_json::from_slice(data).ok();
    let is_active = stated
        .as_ref()
        .and_then(|stated| stated["active"].as_bool());
    match read {
        Ok(Some(claims)) => {
            assert_eq!(is_active, Some(true));
            let Some(Value::Object(mut stated)) = stated else {
                panic!("claims of no object");
            };
            // A repeated member is not guessed at.
            assert_eq!(
                members(data).map(|members| members.len()),
                Some(stated.len())
            );
            stated.remove("active");
            stated.entry("iss").or_insert("https://a.example".into());
            let is_ours = stated["iss"] == "https://a.example";
            assert_eq!(claims.set().facts().are_providers, is_ours);
            let own: Value = serde_json::from_str(&claims.set().json()).expect("JSON");
            if are_of_access_token(claims.set()) {
                let kind = stated
                    .get("token_type")
                    .and_then(Value::as_str)
                    .unwrap_or("Bearer");
                assert!(
                    ["bearer", "access_token"]
                        .iter()
                        .any(|one| one.eq_ignore_ascii_case(kind))
                );
            }
            assert_eq!(own, Value::Object(stated));
        }
        Ok(None) => assert_eq!(is_active, Some(false)),
        Err(why) => assert!(is_log_safe(why)),
    }
}
