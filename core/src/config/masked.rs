//! The effective configuration for operators, with possible secrets masked.

use super::Config;
use serde_json::Value;
use url::Url;

/// Fields whose values may be secrets of the operator.
pub(crate) const SECRET: &[&str] = &[
    "cache_tokens_salt",
    "client_secret",
    "discovery_headers",
    "discovery_headers_values",
    "http_proxy_authorization",
    "https_proxy_authorization",
    "introspection_client_secret",
    "token_headers",
    "token_headers_values",
    "token_post_args",
    "token_post_args_values",
];

/// Arguments of the token request that are not secret, and help to understand a configuration.
const PUBLIC_ARGS: &[&str] = &["audience", "organization", "resource", "scope"];

const MASK: &str = "***";

pub(super) fn masked(config: &Config) -> String {
    let mut shown = serde_json::to_value(config).unwrap_or_default();
    if let Value::Object(fields) = &mut shown {
        for (name, value) in fields.iter_mut() {
            match (name.as_str(), &mut *value) {
                ("token_post_args", Value::Object(args)) => {
                    for (name, value) in args {
                        if !PUBLIC_ARGS.contains(&name.as_str()) {
                            mask(value);
                        }
                    }
                }
                ("token_post_args_values", Value::Array(values)) => {
                    for (name, value) in config.token_post_args_names.iter().zip(values) {
                        if !PUBLIC_ARGS.contains(&name.as_str()) {
                            mask(value);
                        }
                    }
                }
                ("http_proxy" | "https_proxy", Value::String(url)) => *url = without_password(url),
                (name, value) if SECRET.contains(&name) => mask(value),
                _ => {}
            }
        }
    }
    serde_json::to_string_pretty(&shown).unwrap_or_default()
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(members) => members.values_mut().for_each(mask),
        Value::String(text) => MASK.clone_into(text),
        _ => {}
    }
}

fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some(MASK));
            url.into()
        }
        // A user name without a password may be a token.
        Ok(mut url) if !url.username().is_empty() => {
            let _ = url.set_username(MASK);
            url.into()
        }
        Ok(url) => url.into(),
        Err(_) => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_configuration_shows_no_secret() {
        let config = Config::from_json(
            r#"{"issuer":"https://a.example","cache_tokens_salt":"s3cret","client_id":"me","client_secret":"s3cret","token_headers":{"X-Key":"s3cret"},
                "discovery_headers_names":"X-Key","discovery_headers_values":"s3cret",
                "introspection_client_secret":"s3cret",
                "token_post_args":{"audience":"https://api.example","api_key":"s3cret"},
                "http_proxy":"http://s3cret@proxy:3128",
                "https_proxy":"http://user:s3cret@proxy:3128","https_proxy_authorization":"Basic s3cret"}"#,
        )
        .unwrap();
        let shown = config.effective();
        assert!(!shown.contains("s3cret"), "{shown}");
        for kept in [
            "https://api.example",
            "X-Key",
            "api_key",
            "\"timeout\": 10000",
            "user:***@proxy",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
