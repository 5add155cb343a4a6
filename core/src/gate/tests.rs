use super::*;
use crate::cause::{Cause, Denial};
use crate::outcome::Outcome;
use crate::request::Request;
use std::time::Duration;

fn gate(json: &str) -> Gate {
    Gate::from_json(json).unwrap()
}

fn error(json: &str) -> String {
    Gate::from_json(json).unwrap_err().to_string()
}

const SEED: &str = r#"{
    "auth_methods": ["client_credentials"],
    "issuer": "https://tenant.auth0.com/.well-known/openid-configuration",
    "token_post_args_names": ["audience"],
    "token_post_args_values": ["https://example.com/"]
}"#;

#[test]
fn the_seed_compiles() {
    let rules = gate(SEED).rules;
    assert_eq!(
        rules.request.args,
        [("audience".to_owned(), "https://example.com/".to_owned())]
    );
    assert_eq!(rules.request.scope.as_deref(), Some("openid"));
    assert_eq!(
        rules
            .upstream
            .challenge(&Denial::new(Cause::NoCredentials, "")),
        Some("Basic realm=\"tenant.auth0.com\", charset=\"UTF-8\"")
    );
    assert_eq!(rules.timeout, Duration::from_secs(10));
}

#[test]
fn spellings_of_the_same_issuer_share_tokens() {
    let plugin = gate(&format!(
        r#"{{"name":"openid-connect","enabled":true,"config":{SEED}}}"#
    ));
    let bare = gate(&SEED.replace("/.well-known/openid-configuration", ""));
    let slash = gate(&SEED.replace(".well-known/openid-configuration", ""));
    let seed = gate(SEED);
    assert_eq!(seed.rules.fingerprint, plugin.rules.fingerprint);
    assert_eq!(seed.rules.fingerprint, bare.rules.fingerprint);
    assert_eq!(seed.rules.fingerprint, slash.rules.fingerprint);
}

#[test]
fn gates_with_different_token_requests_do_not_share_tokens() {
    let seed = gate(SEED).rules.fingerprint;
    for (from, to) in [
        ("https://example.com/", "https://example.com"),
        ("\"audience\"", "\"resource\""),
        ("tenant", "tenant2"),
        ("\"auth_methods\"", "\"scopes\": \"a\", \"auth_methods\""),
        (
            "\"auth_methods\"",
            "\"scopes\": \"openid\", \"auth_methods\"",
        ),
        ("\"auth_methods\"", "\"scopes\": [], \"auth_methods\""),
    ] {
        assert_ne!(
            seed,
            gate(&SEED.replace(from, to)).rules.fingerprint,
            "{from} -> {to}"
        );
    }
    let timeout = gate(&SEED.replace("\"auth_methods\"", "\"timeout\": 5, \"auth_methods\""));
    assert_eq!(
        seed, timeout.rules.fingerprint,
        "the timeout does not change the token"
    );
}

#[test]
fn a_default_of_kong_has_a_warning_that_names_the_methods_without_effect() {
    let default = r#"["authorization_code","bearer","client_credentials","introspection","kong_oauth2","password",
        "refresh_token","session","userinfo"]"#;
    let with = |methods: &str| {
        gate(&format!(
            r#"{{"issuer":"https://a","auth_methods":{methods}}}"#
        ))
    };
    let gate = with(default);
    let [warning] = gate.warnings() else {
        panic!("{:?}", gate.warnings())
    };
    let methods: Vec<&str> = serde_json::from_str(default).unwrap();
    assert!(warning.starts_with("auth_methods "), "{warning}");
    for method in methods {
        assert!(warning.contains(method), "{method}: {warning}");
    }
    assert!(with(r#"["client_credentials"]"#).warnings().is_empty());
}

#[test]
fn an_invalid_value_is_refused_with_its_field() {
    for (config, starts) in [
        (
            r#"{"issuer":"https://a","auth_methods":["saml"]}"#,
            "auth_methods[0]: unknown value, expected one of \"client_credentials\"",
        ),
        (
            r#"{"issuer":"https://a","auth_methods":[]}"#,
            "auth_methods",
        ),
        ("{}", "issuer: is missing"),
        (r#"{"issuer":""}"#, "issuer: is missing"),
        (r#"{"issuer":"https://a","timeout":0}"#, "timeout"),
        (
            r#"{"issuer":"https://a","client_credentials_param_type":[]}"#,
            "client_credentials_param_type",
        ),
        (
            r#"{"issuer":"https://a","client_credentials_param_type":["cookie"]}"#,
            "client_credentials_param_type[0]",
        ),
        (
            r#"{"issuer":"https://a","token_post_args_names":"a"}"#,
            "token_post_args_values: 0 values for 1",
        ),
        (
            r#"{"issuer":"https://a","token_post_args_names":"scope","token_post_args_values":"x"}"#,
            "token_post_args_names: \"scope\"",
        ),
        (
            r#"{"issuer":"https://a","token_post_args_names":"client_secret","token_post_args_values":"x"}"#,
            "token_post_args_names: \"client_secret\"",
        ),
        (r#"{"issuer":"https://a","scopes":["a\"b"]}"#, "scopes"),
        (
            r#"{"issuer":"https://a","ssl_trusted_certificate":"/nonexistent.pem"}"#,
            "ssl_trusted_certificate: cannot read",
        ),
        (
            r#"{"issuer":"https://a","ssl_trusted_certificate":"/dev/null"}"#,
            "ssl_trusted_certificate: /dev/null contains no",
        ),
        (r#"{"issuer":"http://a"}"#, "issuer"),
    ] {
        let message = error(config);
        assert!(message.starts_with(starts), "{config}: {message}");
    }
}

#[test]
fn a_disabled_place_is_forwarded_unchanged() {
    let gate = gate(r#"{"issuer":"https://a","client_credentials_param_type":["header"]}"#);
    let query = b"client_id=application".as_slice();
    let mut out = [0; 32];
    let len = gate.hide_query(query, &mut out);
    assert_eq!(&out[..len], query);
    let len = gate.hide_body(Some(b"application/x-www-form-urlencoded"), query, &mut out);
    assert_eq!(&out[..len], query);
}

#[test]
fn a_body_is_wanted_only_if_it_can_contain_credentials() {
    let gate = gate(r#"{"issuer":"https://a","max_body_bytes":100}"#);
    let form = Request {
        method: b"POST",
        content_type: Some(b"application/x-www-form-urlencoded"),
        ..Request::default()
    };
    assert!(gate.wants_body(&form, None));
    assert!(gate.wants_body(&form, Some(100)));
    assert!(!gate.wants_body(&form, Some(101)));
    assert!(!gate.wants_body(&form, Some(0)));
    assert!(!gate.wants_body(
        &Request {
            method: b"GET",
            ..form
        },
        None
    ));
    assert!(!gate.wants_body(
        &Request {
            content_type: Some(b"image/png"),
            ..form
        },
        None
    ));
}

#[test]
fn a_body_of_unknown_length_is_not_wanted_beside_a_header_that_decides() {
    let form = |authorization: &'static [u8]| Request {
        method: b"POST",
        content_type: Some(b"application/x-www-form-urlencoded"),
        authorization: Some(authorization),
        ..Request::default()
    };
    let any = gate(r#"{"issuer":"https://a"}"#);
    assert!(!any.wants_body(&form(b"Basic YTpi"), None));
    assert!(any.wants_body(&form(b"Basic YTpi"), Some(10)));
    assert!(any.wants_body(&form(b"Bearer x"), None));
    let tokens = gate(r#"{"issuer":"https://a","auth_methods":["client_credentials","bearer"]}"#);
    assert!(!tokens.wants_body(&form(b"Bearer x"), None));
    let elsewhere = gate(r#"{"issuer":"https://a","client_credentials_param_type":["body"]}"#);
    assert!(elsewhere.wants_body(&form(b"Basic YTpi"), None));
    let args = gate(r#"{"issuer":"https://a","token_post_args_client":["tenant"]}"#);
    assert!(args.wants_body(&form(b"Basic YTpi"), None));
}

#[test]
fn a_body_of_unknown_length_is_not_wanted_beside_named_headers() {
    let gate = gate(
        r#"{"issuer":"https://a","client_id_header":"X-Id","client_secret_header":"X-Secret"}"#,
    );
    let form = Request {
        method: b"POST",
        content_type: Some(b"application/x-www-form-urlencoded"),
        ..Request::default()
    };
    let named = Request {
        headers: CredentialHeaders {
            client_id: Some(b"a"),
            ..CredentialHeaders::default()
        },
        ..form
    };
    assert!(gate.wants_body(&form, None));
    assert!(!gate.wants_body(&named, None));
    assert!(gate.wants_body(&named, Some(10)));
}

#[test]
fn a_bypass_removes_the_named_headers_unless_others_replace_them() {
    let removed = |more: &str| {
        let config = format!(
            r#"{{"issuer":"https://a.example","client_id_header":"X-Id","client_secret_header":"X-Secret"{more}}}"#
        );
        match Outcome::bypass(&gate(&config)) {
            Outcome::Allow(allow) => {
                assert!(!allow.is_authorization_only());
                let headers = allow
                    .headers()
                    .map(|(name, value)| (name.to_owned(), value));
                headers
                    .map(|(name, value)| {
                        format!("{name}{}", if value.is_none() { "" } else { "=" })
                    })
                    .collect::<Vec<_>>()
            }
            Outcome::Deny(deny) => panic!("{deny:?}"),
        }
    };
    assert_eq!(removed(""), ["x-id", "x-secret", "authorization"]);
    assert_eq!(
        removed(r#","hide_credentials":false"#),
        ["authorization"],
        "the token replaces it"
    );
    assert_eq!(
        removed(r#","upstream_headers_claims":["azp"],"upstream_headers_names":["x_id"]"#),
        ["x-secret", "authorization", "x_id"],
    );
}

#[test]
fn a_presented_client_id_needs_no_right_secret() {
    let gate = gate(r#"{"issuer":"https://a"}"#);
    let id = |query: &'static [u8]| {
        gate.presented_client_id(&Request {
            query: Some(query),
            ..Request::default()
        })
    };
    assert_eq!(
        id(b"client_id=a%22b&client_secret=wrong"),
        Some("a\"b".into())
    );
    assert_eq!(id(b"client_id=a"), None);
    assert_eq!(id(b"client_id=a%0a&client_secret=b"), None);
    assert_eq!(id(b""), None);
}

#[test]
fn an_optional_gate_differs_in_anonymous_only() {
    let gate =
        Gate::from_json(r#"{"issuer":"https://a.example","hide_credentials":false}"#).unwrap();
    let optional = gate.optional();
    assert!(optional.rules.anonymous && !gate.rules.anonymous);
    assert_eq!(optional.rules.fingerprint, gate.rules.fingerprint);
    let config =
        |gate: &Gate| serde_json::from_str::<serde_json::Value>(gate.effective_config()).unwrap();
    let mut expected = config(&gate);
    expected["anonymous"] = true.into();
    assert_eq!(config(&optional), expected);
}

#[test]
fn a_bypass_only_removes_headers() {
    let bypass = |json: &str| match Outcome::bypass(&gate(json)) {
        Outcome::Allow(allow) => {
            assert_eq!(allow.authorization(), None);
            let headers = allow.headers();
            headers
                .map(|(name, value)| (name.to_owned(), value.map(|text| text.into_owned())))
                .collect::<Vec<_>>()
        }
        Outcome::Deny(deny) => panic!("{deny:?}"),
    };
    let removed = |name: &str| (name.to_owned(), None);
    assert_eq!(bypass(SEED), [removed("authorization")]);
    let json = r#"{"issuer":"https://a.example","anonymous":true,"upstream_access_token_header":"X-Token",
        "upstream_headers_claims":["sub"],"upstream_headers_names":["x_client"]}"#;
    assert_eq!(
        bypass(json),
        ["authorization", "x-token", "x_client"].map(removed)
    );
}

#[test]
fn a_token_endpoint_needs_a_gate_that_exchanges_credentials() {
    for (settings, field) in [
        (
            r#""auth_methods":["bearer"],"audience_required":["a"]"#,
            "auth_methods: ",
        ),
        (
            r#""client_id":"own","client_secret":"s3cret""#,
            "client_id: ",
        ),
        (
            r#""client_credentials_param_type":["host"]"#,
            "client_credentials_param_type: ",
        ),
    ] {
        let gate = gate(&format!(r#"{{"issuer":"https://a",{settings}}}"#));
        let error = gate.token_endpoint().unwrap_err();
        assert!(error.is_config_fault());
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

#[test]
fn an_external_check_needs_a_gate_that_searches_a_header() {
    let elsewhere =
        gate(r#"{"issuer":"https://a","client_credentials_param_type":["query","body"]}"#);
    let error = elsewhere.external().unwrap_err();
    assert!(error.is_config_fault());
    assert!(
        error
            .to_string()
            .starts_with("client_credentials_param_type: "),
        "{error}"
    );
    let bearer =
        gate(r#"{"issuer":"https://a","auth_methods":["bearer"],"audience_required":["a"]}"#);
    assert!(bearer.external().is_ok());
}

#[test]
fn derived_gates_state_their_places() {
    let gate = gate(r#"{"issuer":"https://a","anonymous":true}"#);
    let places = |derived: Result<Gate, Error>| {
        let derived = derived.unwrap();
        assert_eq!(derived.rules.fingerprint, gate.rules.fingerprint);
        let config: serde_json::Value = serde_json::from_str(derived.effective_config()).unwrap();
        (
            config["client_credentials_param_type"].clone(),
            config["anonymous"].clone(),
        )
    };
    let (header, form) = ("header", "body");
    assert_eq!(
        places(gate.token_endpoint()),
        (vec![header, form].into(), false.into())
    );
    assert_eq!(places(gate.external()), (vec![header].into(), true.into()));
}

#[test]
fn a_token_endpoint_wants_every_form() {
    let endpoint = gate(r#"{"issuer":"https://a"}"#).token_endpoint().unwrap();
    let request = Request {
        method: b"POST",
        authorization: Some(b"Basic YTpi"),
        content_type: Some(b"application/x-www-form-urlencoded"),
        ..Request::default()
    };
    assert!(endpoint.wants_body(&request, None));
    assert!(endpoint.wants_body(&request, Some(10)));
    assert_eq!(endpoint.presented_client_id(&request), Some("a".into()));
}

#[test]
fn an_external_check_wants_no_body() {
    for more in ["", r#","token_post_args_client":["tenant"]"#] {
        let config = format!(r#"{{"issuer":"https://a"{more}}}"#);
        let check = gate(&config).external().unwrap();
        let request = Request {
            method: b"POST",
            authorization: Some(b"Basic YTpi"),
            query: Some(b"tenant=%zz"),
            content_type: Some(b"application/x-www-form-urlencoded"),
            ..Request::default()
        };
        assert!(!check.wants_body(&request, None), "{more}");
        assert!(!check.wants_body(&request, Some(10)), "{more}");
        assert_eq!(check.presented_client_id(&request), Some("a".into()));
    }
}

#[test]
fn a_gate_whose_bodies_have_no_room_wants_none() {
    let gate = gate(r#"{"issuer":"https://a","max_body_bytes":0}"#);
    let request = Request {
        method: b"POST",
        content_type: Some(b"application/json"),
        ..Request::default()
    };
    assert!(!gate.wants_body(&request, None));
}
