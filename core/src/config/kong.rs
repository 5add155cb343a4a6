//! Configurations written for Kong: the plugin object, and fields that Credgate does not have.

use super::value_error;
use crate::error::{Error, ErrorKind, Problems};
use serde_json::{Map, Value};

/// The members of Kong's plugin object. Only `name` and `config` have an effect.
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

/// Returns the configuration inside a plugin object (`{"name": "openid-connect", "config": {…}}`), or the object itself
/// if it is not one. `None` for a plugin object without a configuration, which is a problem.
pub(super) fn unwrap_plugin(
    mut object: Map<String, Value>,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    if !object.contains_key("config") {
        return Some(object);
    }
    super::drop_unknown(&mut object, PLUGIN_FIELDS, problems);
    if object.get("name").and_then(Value::as_str) != Some("openid-connect") {
        problems.add(value_error(
            "name: a plugin object must be named \"openid-connect\"",
        ));
    }
    match object.remove("config") {
        Some(Value::Object(mut config)) => {
            refuse_own_client(&mut config, problems);
            Some(config)
        }
        _ => {
            problems.add(value_error("config: must be an object"));
            None
        }
    }
}

/// Refuses a client of the gateway's own in a plugin object. Kong uses it beside the clients' own credentials, which
/// requests still send; a gate would let requests in without any.
fn refuse_own_client(config: &mut Map<String, Value>, problems: &mut Problems) {
    for name in [
        "client_id",
        "client_secret",
        "client_secret_file",
        "client_assertion_key_file",
        "client_assertion_file",
    ] {
        if config
            .remove(name)
            .is_some_and(|value| !is_unset(name, &value))
        {
            problems.add_for(
                name,
                value_error(format!(
                    "{name}: must not be set in a plugin object of Kong, where clients still send credentials of their \
                     own; remove it, or write the configuration without the plugin object to give every request a token \
                     of this client"
                )),
            );
        }
    }
}

/// Kong's fields that Credgate does not have, by remedy. A trailing `*` matches the rest of a name.
const MISSING: &[(&str, &[&str])] = &[
    (
        "a token is never cached past its lifetime; remove it",
        &["cache_ttl_min"],
    ),
    (
        "bearer tokens are read from the Authorization header only; remove it",
        &["bearer_token_param_type"],
    ),
    (
        "cached tokens are served until they expire while the provider is down; remove it",
        &["cache_ttl_resurrect"],
    ),
    (
        "a gateway's own client is set with client_id and client_secret; remove it",
        &["client_arg"],
    ),
    (
        "it applies to browser logins; remove it",
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
        "it applies to other flows than client credentials; remove it",
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
        "it is not available for this grant; remove it",
        &["proof_of_possession_*"],
    ),
    (
        "machine clients have no user info; remove it",
        &[
            "cache_user_info",
            "resolve_distributed_claims",
            "search_user_info",
            "upstream_user_info_*",
            "userinfo_*",
        ],
    ),
    (
        "metadata is always validated; remove it",
        &["verify_parameters"],
    ),
    (
        "nothing is sent back to clients; remove it",
        &["token_headers_prefix", "token_headers_replay"],
    ),
    (
        "nothing is sent back to clients; use upstream_headers",
        &["downstream_*"],
    ),
    (
        "policy is checked on every request; remove it",
        &["reverify"],
    ),
    (
        "responses are JSON; use forbidden_error_message",
        &["forbidden_*"],
    ),
    (
        "responses are JSON; use unauthorized_error_message",
        &["unauthorized_*"],
    ),
    (
        "send the token in the Authorization header",
        &["bearer_token_cookie_name"],
    ),
    (
        "the host's error log has the details; remove it",
        &["display_errors"],
    ),
    (
        "the shared store is an option of the engine, not of a gate; remove it",
        &["cluster_cache_*", "redis"],
    ),
    (
        "there are no consumers; the client id identifies the client",
        &["by_username_ignore_case", "consumer_*", "credential_claim"],
    ),
    (
        "there are no sessions; remove it",
        &["disable_session", "session_*", "upstream_session_id_header"],
    ),
    (
        "introspection requests have fixed arguments and headers; remove it",
        &["introspection_*"],
    ),
    (
        "introspection results are cached as tokens are (cache_tokens, cache_ttl_max); remove it",
        &["cache_introspection"],
    ),
    (
        "use upstream_headers to forward claims of the introspection response",
        &["upstream_introspection_*"],
    ),
    (
        "tokens with symmetric signatures are refused; remove it",
        &["enable_hs_signatures", "hs_*"],
    ),
    ("use a *_required field with its *_claim", &["domains"]),
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
        "write the private JWK to a file, and use client_assertion_key_file",
        &["client_jwk"],
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
        "use upstream_headers to forward the claim",
        &["authenticated_groups_claim"],
    ),
];

/// Values that Kong's export writes for unset fields, besides null, false and empty ones.
const DEFAULTS: &[(&str, &str)] = &[
    ("authorization_rolling_timeout", "600"),
    ("bearer_token_param_type", r#"["header","query","body"]"#),
    ("cache_introspection", "true"),
    ("cache_token_exchange", "true"),
    ("cache_user_info", "true"),
    ("client_arg", "\"client_id\""),
    ("credential_claim", "[\"sub\"]"),
    ("id_token_param_type", r#"["header","query","body"]"#),
    ("introspection_accept", "\"application/json\""),
    ("introspection_check_active", "true"),
    ("introspection_hint", "\"access_token\""),
    ("introspection_token_param_name", "\"token\""),
    ("password_param_type", r#"["header","query","body"]"#),
    ("refresh_tokens", "true"),
    ("tls_client_auth_ssl_verify", "true"),
    ("verify_nonce", "true"),
];

/// Ignored with any value: the cache key always includes the scope.
const SETTLED: &str = "token_cache_key_include_scope";

/// Removes Kong's fields that Credgate does not have. One that is set is a problem with a remedy: ignoring it could open
/// what it was meant to close.
pub(super) fn drop_unset(config: &mut Map<String, Value>, known: &[&str], problems: &mut Problems) {
    config.retain(|name, value| {
        let Some(remedy) = remedy(name).filter(|_| !known.contains(&name.as_str())) else {
            return name != SETTLED;
        };
        if name != SETTLED && !is_unset(name, value) {
            problems.add(Error::new(
                ErrorKind::ConfigUnknownField,
                format!("\"{name}\" is a field of Kong that Credgate does not have: {remedy}"),
            ));
        }
        false
    });
}

/// The remedy for a field. An exact name takes precedence over a prefix.
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
        let mut problems = Problems::default();
        drop_unset(&mut config, &["issuer"], &mut problems);
        problems
            .finish()
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
    fn unset_fields_of_kong_are_ignored() {
        let config = drop(json!({
            "issuer": "https://a", "session_secret": null, "login_tokens": [], "verify_nonce": true,
            "client_arg": "client_id", "display_errors": false, "token_cache_key_include_scope": true,
        }));
        assert_eq!(config.unwrap().len(), 1);
    }

    #[test]
    fn a_set_field_of_kong_is_refused_with_a_remedy() {
        for (field, value, says) in [
            ("client_jwk", json!([{}]), "client_assertion_key_file"),
            (
                "introspection_hint",
                json!("refresh_token"),
                "fixed arguments",
            ),
            ("enable_hs_signatures", json!(true), "symmetric"),
            ("cache_ttl_min", json!(5), "never cached past"),
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
