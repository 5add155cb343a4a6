//! What is particular to configurations that were written for Kong: the plugin object, and the fields that Credgate
//! does not have.

use super::value_error;
use crate::error::{Error, ErrorKind};
use serde_json::{Map, Value};

/// What surrounds `config` in Kong's plugin object. Only `name` and `config` mean something here.
const PLUGIN_FIELDS: &[&str] = &[
    "config",
    "consumer",
    "consumer_group",
    "created_at",
    "enabled",
    "id",
    "instance_name",
    "name",
    "ordering",
    "partials",
    "protocols",
    "route",
    "service",
    "tags",
    "updated_at",
];

/// The configuration inside a plugin object (`{"name": "openid-connect", "config": {…}}`), or the object itself where
/// it is none.
pub(super) fn unwrap_plugin(mut object: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    if !object.contains_key("config") {
        return Ok(object);
    }
    super::known_fields(&object, PLUGIN_FIELDS)?;
    if object.get("name").and_then(Value::as_str) != Some("openid-connect") {
        return Err(value_error(
            "name: a plugin object must be named \"openid-connect\"",
        ));
    }
    match object.remove("config") {
        Some(Value::Object(config)) => Ok(config),
        _ => Err(value_error("config: must be an object")),
    }
}

/// Kong's fields that Credgate does not have, by what to do instead. A `*` stands for the rest of a name.
const MISSING: &[(&str, &[&str])] = &[
    (
        "a cached token is served to its end while the provider is down; leave it out",
        &["cache_ttl_resurrect"],
    ),
    (
        "a shared store is not part of a gate's configuration; leave it out",
        &["cluster_cache_*", "redis"],
    ),
    (
        "a token is never kept longer than it lives; leave it out",
        &["cache_ttl_min"],
    ),
    (
        "answers are JSON; use forbidden_error_message",
        &["forbidden_*"],
    ),
    (
        "answers are JSON; use unauthorized_error_message",
        &["unauthorized_*"],
    ),
    (
        "bearer tokens are taken from the Authorization header",
        &["bearer_token_param_type"],
    ),
    (
        "clients bring their own credentials, the gateway has none for this grant; leave it out",
        &[
            "client_alg",
            "client_arg",
            "client_id",
            "client_jwk",
            "client_secret",
        ],
    ),
    (
        "is not available for this grant; leave it out",
        &["proof_of_possession_*"],
    ),
    (
        "it belongs to another flow than client credentials; leave it out",
        &[
            "cache_token_exchange",
            "dpop_*",
            "id_token_param_name",
            "id_token_param_type",
            "password_param_type",
            "refresh_token*",
            "refresh_tokens",
            "revocation_*",
            "token_exchange*",
            "upstream_id_token_*",
            "upstream_refresh_token_header",
        ],
    ),
    (
        "it belongs to logins in a browser; leave it out",
        &[
            "authorization_cookie_*",
            "authorization_endpoint",
            "authorization_query_args_*",
            "authorization_rolling_timeout",
            "end_session_endpoint",
            "login_*",
            "logout_*",
            "max_age",
            "preserve_query_args",
            "pushed_authorization_request_*",
            "redirect_uri",
            "require_*",
            "response_*",
            "unexpected_redirect_uri",
            "verify_nonce",
        ],
    ),
    (
        "machine clients have no user info; leave it out",
        &[
            "cache_user_info",
            "resolve_distributed_claims",
            "search_user_info",
            "upstream_user_info_*",
            "userinfo_*",
        ],
    ),
    (
        "metadata is always checked; leave it out",
        &["verify_parameters"],
    ),
    (
        "no session is ever made; leave it out",
        &["disable_session", "session_*", "upstream_session_id_header"],
    ),
    (
        "nothing is sent back to clients; leave it out",
        &["token_headers_prefix", "token_headers_replay"],
    ),
    (
        "nothing is sent back to clients; use upstream_headers",
        &["downstream_*"],
    ),
    (
        "policy is applied on every request; leave it out",
        &["reverify"],
    ),
    (
        "send the token in the Authorization header",
        &["bearer_token_cookie_name"],
    ),
    (
        "the host's error log has the details; leave it out",
        &["display_errors"],
    ),
    (
        "there are no consumers here; the client id tells who it is",
        &["by_username_ignore_case", "consumer_*", "credential_claim"],
    ),
    (
        "tokens are verified by signature, not by introspection; leave it out",
        &[
            "cache_introspection",
            "introspect_jwt_tokens",
            "introspection_*",
            "upstream_introspection_*",
        ],
    ),
    (
        "tokens with symmetric signatures are refused; leave it out",
        &["enable_hs_signatures", "hs_*"],
    ),
    ("use claims and *_required", &["domains"]),
    (
        "use discovery_headers_names and discovery_headers_values",
        &["discovery_headers_client"],
    ),
    (
        "use scopes_required, audience_required, roles_required or groups_required with its *_claim",
        &["claims_required"],
    ),
    ("use ssl_verify", &["tls_client_auth_ssl_verify"]),
    (
        "use tls_client_auth_cert and tls_client_auth_key, which name PEM files",
        &["tls_client_auth_cert_id"],
    ),
    (
        "use token_endpoint with tls_client_auth_cert and tls_client_auth_key",
        &["mtls_*"],
    ),
    (
        "use token_headers_names and token_headers_values",
        &["token_headers_client", "token_headers_grants"],
    ),
    (
        "use upstream_headers",
        &["upstream_access_token_jwk_header"],
    ),
    (
        "use upstream_headers to pass the claim on",
        &["authenticated_groups_claim"],
    ),
];

/// What an export of Kong's writes where nobody set a field, besides null, false and nothing.
const DEFAULTS: &[(&str, &str)] = &[
    ("authorization_rolling_timeout", "600"),
    ("bearer_token_param_type", r#"["header","query","body"]"#),
    ("cache_introspection", "true"),
    ("cache_token_exchange", "true"),
    ("cache_user_info", "true"),
    ("client_arg", "\"client_id\""),
    ("credential_claim", "[\"sub\"]"),
    ("id_token_param_type", r#"["header","query","body"]"#),
    ("password_param_type", r#"["header","query","body"]"#),
    ("refresh_tokens", "true"),
    ("tls_client_auth_ssl_verify", "true"),
    ("verify_nonce", "true"),
];

/// What is always so here, whatever Kong's setting is.
const SETTLED: &str = "token_cache_key_include_scope";

/// Takes out what an export of Kong's holds of fields that nobody set. One that is set is an error that says what to
/// do, as quietly doing without could open what it was to close.
pub(super) fn drop_unset(config: &mut Map<String, Value>, known: &[&str]) -> Result<(), Error> {
    let mut refused = None;
    config.retain(|name, value| {
        let remedy = remedy(name).filter(|_| !known.contains(&name.as_str()));
        if name == SETTLED || (remedy.is_some() && is_unset(name, value)) {
            return false;
        }
        if let Some(remedy) = remedy {
            refused.get_or_insert_with(|| (name.clone(), remedy));
        }
        true
    });
    match refused {
        None => Ok(()),
        Some((name, remedy)) => Err(Error::new(
            ErrorKind::ConfigUnknownField,
            format!("\"{name}\" is a field of Kong that Credgate does not have: {remedy}"),
        )),
    }
}

/// What to do instead of a field; one that is named wholly comes before one that only begins so.
fn remedy(name: &str) -> Option<&'static str> {
    let all = || {
        MISSING
            .iter()
            .flat_map(|(remedy, fields)| fields.iter().map(move |field| (*field, *remedy)))
    };
    let begins = |field: &str| {
        field
            .strip_suffix('*')
            .is_some_and(|stem| name.starts_with(stem))
    };
    all()
        .find(|(field, _)| *field == name)
        .or_else(|| all().find(|(field, _)| begins(field)))
        .map(|(_, remedy)| remedy)
}

fn is_unset(name: &str, value: &Value) -> bool {
    let is_default = || {
        let default = DEFAULTS.iter().find(|(field, _)| *field == name);
        default.is_some_and(|(_, json)| {
            serde_json::from_str(json).is_ok_and(|json: Value| json == *value)
        })
    };
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) if list.is_empty() => true,
        Value::Object(object) if object.is_empty() => true,
        _ => is_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn drop(config: Value) -> Result<Map<String, Value>, String> {
        let Value::Object(mut config) = config else {
            unreachable!()
        };
        drop_unset(&mut config, &["issuer"])
            .map(|()| config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_default_is_json_of_a_field_in_the_table() {
        for (field, json) in DEFAULTS {
            assert!(serde_json::from_str::<Value>(json).is_ok(), "{field}");
            assert!(remedy(field).is_some(), "{field}");
        }
    }

    #[test]
    fn what_nobody_set_is_left_out() {
        let config = drop(json!({
            "issuer": "https://a", "session_secret": null, "login_tokens": [], "verify_nonce": true,
            "client_arg": "client_id", "display_errors": false, "token_cache_key_include_scope": true,
        }));
        assert_eq!(config.unwrap().len(), 1);
    }

    #[test]
    fn what_somebody_set_is_refused_with_what_to_do() {
        for (field, value, says) in [
            ("introspection_endpoint", json!("https://a"), "by signature"),
            ("client_secret", json!(["x"]), "their own credentials"),
            ("enable_hs_signatures", json!(true), "symmetric"),
            ("cache_ttl_min", json!(5), "never kept longer"),
        ] {
            let error = drop(json!({ field: value })).unwrap_err();
            assert!(
                error.starts_with(&format!("\"{field}\" is a field of Kong")),
                "{error}"
            );
            assert!(error.contains(says), "{error}");
        }
    }
}
