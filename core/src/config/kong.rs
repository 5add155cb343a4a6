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

/// Kong's fields that Credgate does not have: name, what Kong's own export writes where nobody set it besides null,
/// and what to do instead.
const MISSING: &[(&str, &str, &str)] = &[
    (
        "authenticated_groups_claim",
        "",
        "use upstream_headers to pass the claim on",
    ),
    ("authorization_cookie_*", "", BROWSER),
    ("authorization_endpoint", "", BROWSER),
    ("authorization_query_args_*", "", BROWSER),
    ("authorization_rolling_timeout", "600", BROWSER),
    (
        "bearer_token_cookie_name",
        "",
        "send the token in the Authorization header",
    ),
    (
        "bearer_token_param_type",
        r#"["header","query","body"]"#,
        "bearer tokens are taken from the Authorization header",
    ),
    ("by_username_ignore_case", "false", CONSUMER),
    ("cache_introspection", "true", INTROSPECTION),
    ("cache_token_exchange", "true", FLOW),
    (
        "cache_ttl_min",
        "",
        "a token is never kept longer than it lives; leave it out",
    ),
    (
        "cache_ttl_resurrect",
        "",
        "a cached token is served to its end while the provider is down; leave it out",
    ),
    ("cache_user_info", "true", USERINFO),
    (
        "claims_required",
        "",
        "use scopes_required, audience_required, roles_required or groups_required with its *_claim",
    ),
    ("client_alg", "", GATEWAYS_OWN),
    ("client_arg", "\"client_id\"", GATEWAYS_OWN),
    ("client_id", "", GATEWAYS_OWN),
    ("client_jwk", "", GATEWAYS_OWN),
    ("client_secret", "", GATEWAYS_OWN),
    (
        "cluster_cache_*",
        "",
        "a shared store is not part of a gate's configuration; leave it out",
    ),
    ("consumer_*", "", CONSUMER),
    ("credential_claim", r#"["sub"]"#, CONSUMER),
    (
        "disable_session",
        "",
        "no session is ever made; leave it out",
    ),
    (
        "discovery_headers_client",
        "",
        "use discovery_headers_names and discovery_headers_values",
    ),
    (
        "display_errors",
        "false",
        "the host's error log has the details; leave it out",
    ),
    ("domains", "", "use claims and *_required"),
    (
        "downstream_*",
        "",
        "nothing is sent back to clients; use upstream_headers",
    ),
    ("dpop_*", "", FLOW),
    (
        "enable_hs_signatures",
        "false",
        "tokens with symmetric signatures are refused; leave it out",
    ),
    ("end_session_endpoint", "", BROWSER),
    (
        "forbidden_*",
        "",
        "answers are JSON; use forbidden_error_message",
    ),
    (
        "hs_*",
        "",
        "tokens with symmetric signatures are refused; leave it out",
    ),
    ("id_token_param_name", "", FLOW),
    ("id_token_param_type", r#"["header","query","body"]"#, FLOW),
    ("introspect_jwt_tokens", "false", INTROSPECTION),
    ("introspection_*", "", INTROSPECTION),
    ("login_*", "", BROWSER),
    ("logout_*", "", BROWSER),
    ("max_age", "", BROWSER),
    (
        "mtls_*",
        "",
        "use token_endpoint with tls_client_auth_cert and tls_client_auth_key",
    ),
    ("password_param_type", r#"["header","query","body"]"#, FLOW),
    ("preserve_query_args", "false", BROWSER),
    (
        "proof_of_possession_*",
        "",
        "is not available for this grant; leave it out",
    ),
    ("pushed_authorization_request_*", "", BROWSER),
    ("redirect_uri", "", BROWSER),
    (
        "redis",
        "",
        "a shared store is not part of a gate's configuration; leave it out",
    ),
    ("refresh_token*", "", FLOW),
    ("refresh_tokens", "true", FLOW),
    ("require_*", "", BROWSER),
    ("resolve_distributed_claims", "false", USERINFO),
    ("response_*", "", BROWSER),
    (
        "reverify",
        "false",
        "policy is applied on every request; leave it out",
    ),
    ("revocation_*", "", FLOW),
    ("search_user_info", "false", USERINFO),
    ("session_*", "", "no session is ever made; leave it out"),
    (
        "tls_client_auth_cert_id",
        "",
        "use tls_client_auth_cert and tls_client_auth_key, which name PEM files",
    ),
    ("tls_client_auth_ssl_verify", "true", "use ssl_verify"),
    ("token_cache_key_include_scope", "any", ""),
    ("token_exchange*", "", FLOW),
    (
        "token_headers_client",
        "",
        "use token_headers_names and token_headers_values",
    ),
    (
        "token_headers_grants",
        "",
        "use token_headers_names and token_headers_values",
    ),
    (
        "token_headers_prefix",
        "",
        "nothing is sent back to clients; leave it out",
    ),
    (
        "token_headers_replay",
        "",
        "nothing is sent back to clients; leave it out",
    ),
    (
        "unauthorized_*",
        "",
        "answers are JSON; use unauthorized_error_message",
    ),
    ("unexpected_redirect_uri", "", BROWSER),
    (
        "upstream_access_token_jwk_header",
        "",
        "use upstream_headers",
    ),
    ("upstream_id_token_*", "", FLOW),
    ("upstream_introspection_*", "", INTROSPECTION),
    ("upstream_refresh_token_header", "", FLOW),
    (
        "upstream_session_id_header",
        "",
        "no session is ever made; leave it out",
    ),
    ("upstream_user_info_*", "", USERINFO),
    ("userinfo_*", "", USERINFO),
    ("verify_nonce", "true", BROWSER),
    (
        "verify_parameters",
        "false",
        "metadata is always checked; leave it out",
    ),
];

const BROWSER: &str = "it belongs to logins in a browser; leave it out";
const CONSUMER: &str = "there are no consumers here; the client id tells who it is";
const FLOW: &str = "it belongs to another flow than client credentials; leave it out";
const GATEWAYS_OWN: &str =
    "clients bring their own credentials, the gateway has none for this grant; leave it out";
const INTROSPECTION: &str = "tokens are verified by signature, not by introspection; leave it out";
const USERINFO: &str = "machine clients have no user info; leave it out";

/// Takes out what an export of Kong's holds of fields that nobody set. One that is set is an error that says what to
/// do, as quietly doing without could open what it was to close.
pub(super) fn drop_unset(config: &mut Map<String, Value>, known: &[&str]) -> Result<(), Error> {
    let mut refused = None;
    config.retain(|name, value| {
        if known.contains(&name.as_str()) {
            return true;
        }
        let Some((_, unset, remedy)) = missing(name) else {
            return true;
        };
        if *unset == "any" || is_unset(value) || is_json(value, unset) {
            return false;
        }
        refused.get_or_insert_with(|| (name.clone(), *remedy));
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

fn missing(name: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let exact = MISSING.iter().find(|(field, _, _)| *field == name);
    exact.or_else(|| {
        MISSING.iter().find(|(field, _, _)| {
            field
                .strip_suffix('*')
                .is_some_and(|stem| name.starts_with(stem))
        })
    })
}

fn is_json(value: &Value, text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|other| other == *value)
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
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
    fn the_table_is_in_order_and_every_field_has_a_remedy() {
        assert!(MISSING.is_sorted_by_key(|(name, _, _)| name.trim_end_matches('*')));
        for (name, unset, remedy) in MISSING {
            assert!(!remedy.is_empty() || *unset == "any", "{name}");
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
