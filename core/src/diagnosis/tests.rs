use super::*;
use crate::http::scripted::{ScriptedTransport, Seen as Sent, reply};
use crate::http::{Fault, Obstacle, Response};
use crate::token::tests::es256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::time::SystemTime;

const DOCUMENT: &str = r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/token","token_endpoint_auth_methods_supported":["client_secret_post"]}"#;
const SECRET: &str = "Kanarie7Qz+/%&=";

/// The findings of a check of `config` if the token endpoint responds with `answer`.
fn check(
    config: &str,
    answer: impl Fn() -> Result<Response, Fault> + Send + Sync + 'static,
) -> Diagnosis {
    over(config, move |sent| match sent.form {
        None => reply(200, DOCUMENT),
        Some(_) => answer(),
    })
}

fn over(
    config: &str,
    script: impl Fn(&Sent) -> Result<Response, Fault> + Send + Sync + 'static,
) -> Diagnosis {
    over_with(config, &[], script)
}

fn over_with(
    config: &str,
    args: &[(&str, &str)],
    script: impl Fn(&Sent) -> Result<Response, Fault> + Send + Sync + 'static,
) -> Diagnosis {
    let config = config.replacen('{', r#"{"issuer":"https://a.example","#, 1);
    let gate = Gate::from_json(&config.replace(",}", "}")).unwrap();
    let transport = Arc::new(ScriptedTransport::new(script));
    gate.check_over(transport, "alice", SECRET, args).unwrap()
}

fn last(diagnosis: &Diagnosis) -> &Finding {
    diagnosis.findings().last().unwrap()
}

#[test]
fn a_granted_token_is_explained_step_by_step() {
    let diagnosis = check("{}", || {
        reply(
            200,
            r#"{"access_token":"0paque","token_type":"Bearer","expires_in":3600}"#,
        )
    });
    assert_eq!(diagnosis.verdict(), Verdict::Ok);
    let steps: Vec<_> = diagnosis
        .findings()
        .iter()
        .map(|finding| finding.step)
        .collect();
    assert!(steps.is_sorted(), "{steps:?}");
    let codes: Vec<_> = diagnosis.findings().iter().map(|one| one.code).collect();
    assert_eq!(
        codes,
        [
            "well_formed",
            "found",
            "granted",
            "came",
            "opaque_without_audience",
            "met",
            "token_endpoint"
        ]
    );
    assert_eq!(diagnosis.findings()[3].facts["kept"], 3595);
    assert!(!diagnosis.to_json().contains("0paque"));
}

#[test]
fn an_introspection_is_explained_beside_the_token_request() {
    let document = r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/token","introspection_endpoint":"https://a.example/introspect"}"#;
    let config = r#"{"auth_methods":["client_credentials","introspection"],"introspection_client_id":"gateway","introspection_client_secret":"s","roles_required":"reader",}"#;
    for (status, body, code) in [
        (
            200,
            r#"{"active":true,"iss":"https://a.example/","roles":["reader"]}"#,
            "met",
        ),
        (
            200,
            r#"{"active":true,"roles":["writer"]}"#,
            "requirement_unmet",
        ),
        (200, r#"{"active":false}"#, "token_inactive"),
        (200, "<html>", "introspection_invalid"),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            "introspection_refused",
        ),
        (503, "", "introspection_failed"),
    ] {
        let diagnosis = over(config, move |sent| match (&sent.form, sent.url.as_str()) {
            (None, _) => reply(200, document),
            (_, "https://a.example/introspect") => reply(status, body),
            _ => reply(200, r#"{"access_token":"0paque","token_type":"Bearer"}"#),
        });
        let codes: Vec<_> = diagnosis.findings().iter().map(|one| one.code).collect();
        assert!(codes.contains(&code), "{codes:?}");
        assert_eq!(
            codes.contains(&"introspected"),
            code.ends_with("met"),
            "{codes:?}"
        );
        assert!(!diagnosis.to_json().contains("0paque"));
    }
}

#[test]
fn each_fault_has_its_verdict_and_its_name() {
    let unreachable = |obstacle| Err(Fault::Unreachable(obstacle, "because".to_owned()));
    let body = |error: &str| format!(r#"{{"error":"{error}"}}"#);
    for (answer, verdict, code) in [
        (
            reply(401, &body("invalid_client")),
            Verdict::Refused,
            "credentials_refused",
        ),
        (
            reply(400, &body("unauthorized_client")),
            Verdict::Refused,
            "grant_not_allowed",
        ),
        (
            reply(403, &body("access_denied")),
            Verdict::Refused,
            "client_forbidden",
        ),
        (
            reply(400, &body("invalid_target")),
            Verdict::Misconfigured,
            "audience_refused",
        ),
        (
            reply(400, &body("invalid_scope")),
            Verdict::Misconfigured,
            "scope_refused",
        ),
        (
            reply(400, &body("invalid_request")),
            Verdict::Misconfigured,
            "request_incomplete",
        ),
        (
            reply(400, &body("unsupported_grant_type")),
            Verdict::Misconfigured,
            "grant_unsupported",
        ),
        (
            reply(400, &body("its_own")),
            Verdict::Misconfigured,
            "request_refused",
        ),
        (reply(403, ""), Verdict::Unreachable, "blocked"),
        (
            reply(403, "\n<!doctype html><title>Forbidden</title>"),
            Verdict::Unreachable,
            "blocked",
        ),
        (reply(404, ""), Verdict::Misconfigured, "no_token_endpoint"),
        (reply(307, ""), Verdict::Misconfigured, "redirect"),
        (reply(429, ""), Verdict::Unreachable, "busy"),
        (reply(500, ""), Verdict::Unreachable, "provider_failed"),
        (reply(200, "<html>"), Verdict::Misconfigured, "html_page"),
        (reply(200, "{}"), Verdict::Misconfigured, "response_invalid"),
        (
            unreachable(Obstacle::Name),
            Verdict::Unreachable,
            "name_unresolved",
        ),
        (
            unreachable(Obstacle::Refused),
            Verdict::Unreachable,
            "connection_refused",
        ),
        (
            unreachable(Obstacle::Authority),
            Verdict::Unreachable,
            "authority_unknown",
        ),
        (
            unreachable(Obstacle::CaCertificate),
            Verdict::Unreachable,
            "certificate_of_ca",
        ),
        (
            unreachable(Obstacle::Certificate),
            Verdict::Unreachable,
            "certificate_invalid",
        ),
        (unreachable(Obstacle::Tls), Verdict::Unreachable, "no_tls"),
        (
            unreachable(Obstacle::Guarded),
            Verdict::Unreachable,
            "address_guarded",
        ),
        (
            unreachable(Obstacle::Network),
            Verdict::Unreachable,
            "network",
        ),
        (
            Err(Fault::Broken("closed".to_owned())),
            Verdict::Unreachable,
            "connection_broken",
        ),
        (
            Err(Fault::TooLong),
            Verdict::Misconfigured,
            "answer_too_long",
        ),
    ] {
        // Taken by the one request that may be.
        let answer = std::sync::Mutex::new(Some(answer));
        let diagnosis = check(r#"{"scopes":["read"]}"#, move || {
            answer.lock().unwrap().take().unwrap()
        });
        let finding = last(&diagnosis);
        assert_eq!((diagnosis.verdict(), finding.code), (verdict, code));
        assert_eq!(finding.level, crate::Level::Error, "{code}");
        assert!(finding.remedy.is_some(), "{code}");
    }
}

#[test]
fn omitted_parameters_are_explained() {
    let gate = Gate::from_json(r#"{"issuer":"https://a.example"}"#).unwrap();
    let transport = || Arc::new(ScriptedTransport::new(|_| panic!("nobody is asked")));
    for (id, secret, code) in [
        ("", "s", "empty_credential"),
        ("a", "s\n", "invalid_characters"),
        ("a", &"s".repeat(4000), "too_long"),
    ] {
        let diagnosis = gate.check_over(transport(), id, secret, &[]).unwrap();
        assert_eq!(diagnosis.verdict(), Verdict::Misconfigured);
        assert_eq!(last(&diagnosis).code, code);
    }
    let diagnosis = over(r#"{"clients_allowed":["bob"]}"#, |_| {
        panic!("nobody is asked")
    });
    assert_eq!(last(&diagnosis).code, "client_not_allowed");
    let diagnosis = over("{}", |_| reply(200, r#"{"issuer":"https://a.example"}"#));
    assert_eq!(last(&diagnosis).code, "provider_response_invalid");
    assert!(last(&diagnosis).message.contains("set token_endpoint"));
}

#[test]
fn provider_texts_are_shown_unless_they_contain_a_part_of_the_secret() {
    let says = |description: &str| {
        let body =
            serde_json::json!({"error": "invalid_request", "error_description": description})
                .to_string();
        let diagnosis = check(r#"{"scopes":[]}"#, move || reply(400, &body));
        last(&diagnosis).facts["provider_says"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(says("audience is missing"), "audience is missing");
    assert_eq!(says("a\u{1b}[2Jb\u{e9}\n"), "a?[2Jb??");
    assert_eq!(says(&"x".repeat(1000)).len(), 303);
    for told in [
        SECRET,
        "it was kanarie7 something",
        "Kanarie7Qz%2B%2F%25%26%3D",
        "YWxpY2U6S2FuYXJpZTdReisvJSY9",
    ] {
        assert!(says(told).starts_with("(withheld"), "{told}");
    }
}

#[test]
fn responses_that_repeat_the_secret_or_the_token_are_not_shown() {
    let claims = serde_json::json!({
        "iss": SECRET, "aud": [SECRET, "0paqueToken"], "sub": format!("alice {SECRET}"), "scope": SECRET, SECRET: 1,
    });
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let token = format!(
        "{}.{payload}.c2ln",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)
    );
    let body = serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 60, "scope": format!("{token} {SECRET}"),
    })
    .to_string();
    for config in [
        r#"{"verify_signature":false,"audience":"x"}"#,
        r#"{"verify_signature":false,"verify_claims":false,"audience_required":"x"}"#,
        r#"{"scopes":["x"]}"#,
    ] {
        let body = body.clone();
        let json = check(config, move || reply(200, &body)).to_json();
        assert!(json.contains("withheld"), "{json}");
        assert!(
            !json.contains("Kanarie7") && !json.contains(&payload),
            "{json}"
        );
    }
}

/// The words for what was found: warnings and errors.
fn words(diagnosis: &Diagnosis) -> Vec<&'static str> {
    let findings = diagnosis.findings().iter();
    findings
        .filter(|finding| finding.level != crate::Level::Notice)
        .map(|finding| finding.code)
        .collect()
}

#[test]
fn invalid_metadata_is_explained() {
    let document =
        |name: &str, value: &str| DOCUMENT.replacen('{', &format!(r#"{{"{name}":{value},"#), 1);
    for (status, answer, code) in [
        (200, "<html>".to_owned(), "html_page"),
        (200, "[]".to_owned(), "no_metadata"),
        (
            200,
            DOCUMENT.replace("https://a.example/\"", "https://b.example\""),
            "other_issuer",
        ),
        (
            200,
            DOCUMENT.replace("https://a.example/token", "http://a.example/token"),
            "insecure_endpoint",
        ),
        (
            200,
            document("jwks_uri", r#""http://a.example/keys""#),
            "insecure_endpoint",
        ),
        (404, String::new(), "no_document"),
        (301, String::new(), "redirect"),
        (429, String::new(), "busy"),
        (500, String::new(), "provider_failed"),
    ] {
        let diagnosis = over("{}", move |_| reply(status, &answer));
        assert_eq!(words(&diagnosis), [code]);
        assert_ne!(diagnosis.verdict(), Verdict::Ok);
        assert!(last(&diagnosis).remedy.is_some(), "{code}");
    }
    let diagnosis = over("{}", |_| {
        Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned()))
    });
    assert_eq!(words(&diagnosis), ["connection_refused"]);
    let answer = document("grant_types_supported", r#"["authorization_code"]"#)
        .replace(r#"["client_secret_post"]"#, r#"["private_key_jwt"]"#);
    let diagnosis = over(r#"{"audience":"x"}"#, move |sent| match sent.form {
        None => reply(200, &answer),
        Some(_) => reply(200, r#"{"access_token":"t","token_type":"Bearer"}"#),
    });
    let expected = [
        "grant_not_listed",
        "auth_method_not_listed",
        "lifetime_unknown",
    ];
    assert_eq!(words(&diagnosis), expected);
}

#[test]
fn missing_host_arguments_are_explained() {
    const GATE: &str =
        r#"{"token_post_args_host":["audience"],"token_post_args_client":["resource","scope"]}"#;
    let asked = |args: &[(&str, &str)]| {
        let forms = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = forms.clone();
        let diagnosis = over_with(GATE, args, move |sent| match &sent.form {
            None => reply(200, DOCUMENT),
            Some(form) => {
                seen.lock().unwrap().push(form.clone());
                reply(400, r#"{"error":"invalid_target"}"#)
            }
        });
        let forms = forms.lock().unwrap().clone();
        (diagnosis, forms)
    };
    let (diagnosis, forms) = asked(&[]);
    assert_eq!(words(&diagnosis), ["argument_missing", "audience_refused"]);
    assert!(!forms[0].contains("audience="), "{forms:?}");

    let given = [
        ("audience", "https://a b.example/"),
        ("resource", "x&y"),
        ("scope", "read"),
    ];
    let (diagnosis, forms) = asked(&given);
    assert_eq!(words(&diagnosis), ["audience_refused"]);
    for part in [
        "audience=https%3A%2F%2Fa+b.example%2F",
        "resource=x%26y",
        "scope=read",
    ] {
        assert!(forms[0].contains(part), "{forms:?}");
    }
    let told = &last(&diagnosis).message;
    assert!(
        told.contains("the audience https://a b.example/ and the resource x&y and the scope read"),
        "{told}"
    );

    // Left out on purpose.
    let (diagnosis, _) = asked(&[("audience", "")]);
    assert_eq!(words(&diagnosis), ["audience_refused"]);
    for (given, code) in [
        ([("audiense", "x"); 2], "argument_unknown"),
        ([("scope", "x"); 2], "repeated_parameter"),
    ] {
        let (diagnosis, forms) = asked(&given);
        assert_eq!(words(&diagnosis), [code]);
        assert_eq!(diagnosis.verdict(), Verdict::Misconfigured);
        assert!(forms.is_empty());
    }
}

/// The findings for a token with `claims`, of a provider that publishes `keys` for its signing key.
fn signed(
    config: &str,
    claims: &Value,
    keys: impl Fn(Value) -> (u16, String) + Send + Sync + 'static,
) -> Diagnosis {
    let signer = es256();
    let (status, keys) = keys(signer.jwk("k1"));
    let token = signer.token(&json!({"alg": "ES256", "kid": "k1"}), claims);
    let document = DOCUMENT.replacen('{', r#"{"jwks_uri":"https://a.example/keys","#, 1);
    over(config, move |sent| match &sent.form {
        None if sent.url.ends_with("/keys") => reply(status, &keys),
        None => reply(200, &document),
        Some(_) => {
            let answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "read"});
            reply(200, &answer.to_string())
        }
    })
}

fn published(key: Value) -> (u16, String) {
    (200, json!({"keys": [key]}).to_string())
}

#[test]
fn signatures_and_keys_are_explained() {
    let good = json!({"iss": "https://a.example/"});
    let with = |keys: fn(Value) -> (u16, String)| words(&signed("{}", &good, keys));
    assert!(with(published).is_empty());
    assert_eq!(
        with(|_| (200, r#"{"keys":[]}"#.to_owned())),
        ["key_unknown"]
    );
    assert_eq!(with(|_| published(es256().jwk("k1"))), ["signature_wrong"]);
    let with_member = |name: &str, value: Value| {
        let name = name.to_owned();
        let diagnosis = signed("{}", &good, move |mut key| {
            key[&name] = value.clone();
            published(key)
        });
        assert_eq!(words(&diagnosis), ["key_unusable"]);
        last(&diagnosis).message.clone()
    };
    for (name, value, why) in [
        ("use", json!("SIG"), "it is not for signatures."),
        ("crv", json!("Ed448"), "its curve is not supported"),
        ("kty", json!("oct"), "its kind (kty) is not supported"),
        ("key_ops", json!("verify"), "it is malformed."),
    ] {
        assert!(with_member(name, value).contains(why), "{name}");
    }
    assert_eq!(with(|_| (200, "hello".to_owned())), ["no_key_set"]);
    assert_eq!(with(|_| (404, String::new())), ["no_document"]);
    let unsigned = |header: Value| {
        let token = es256().token(&header, &json!({}));
        let body = json!({"access_token": token, "token_type": "Bearer"}).to_string();
        words(&check_over_keys(&body))
    };
    assert_eq!(unsigned(json!({"alg": "HS256"})), ["algorithm_refused"]);
    assert_eq!(
        unsigned(json!({"alg": "ES256", "crit": ["x"]})),
        ["extension_unknown"]
    );
    assert_eq!(
        unsigned(json!({"alg": "ES256", "enc": "A128GCM"})),
        ["token_malformed"]
    );
    let body = json!({"access_token": es256().token(&json!({"alg": "ES256"}), &good), "token_type": "Bearer"});
    let diagnosis = check("{}", move || reply(200, &body.to_string()));
    assert_eq!(words(&diagnosis), ["no_keys"]);
}

fn check_over_keys(answer: &str) -> Diagnosis {
    let answer = answer.to_owned();
    let document = DOCUMENT.replacen('{', r#"{"jwks_uri":"https://a.example/keys","#, 1);
    over("{}", move |sent| match &sent.form {
        None if sent.url.ends_with("/keys") => reply(200, r#"{"keys":[]}"#),
        None => reply(200, &document),
        Some(_) => reply(200, &answer),
    })
}

#[test]
fn missing_claims_are_explained() {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let iss = "https://a.example/";
    for (config, claims, expected) in [
        ("{}", json!({"iss": iss, "exp": now - 9}), &["expired"][..]),
        ("{}", json!({"iss": iss, "nbf": now + 999}), &["time_wrong"]),
        ("{}", json!({"iss": "https://b.example"}), &["other_issuer"]),
        (
            r#"{"audience_required":"x"}"#,
            json!({"iss": iss, "aud": ["y", "z"]}),
            &["requirement_unmet"],
        ),
        (
            r#"{"claims_forbidden":"email"}"#,
            json!({"iss": iss, "email": "e"}),
            &["claim_forbidden"],
        ),
        (
            r#"{"audience":"x"}"#,
            json!({"iss": iss, "aud": "y"}),
            &["other_audience"],
        ),
        (
            r#"{"scopes":["read","write"]}"#,
            json!({"iss": iss}),
            &["scope_reduced"],
        ),
        (
            "{}",
            json!({"iss": iss, "exp": now + 30}),
            &["token_short_lived"],
        ),
        (
            "{}",
            json!({"iss": iss, "x": "x".repeat(8000)}),
            &["token_large"],
        ),
    ] {
        let diagnosis = signed(config, &claims, published);
        assert_eq!(words(&diagnosis), expected, "{config} {claims}");
    }
    let opaque = check(r#"{"audience":"x","scopes_required":"y"}"#, || {
        reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":99}"#,
        )
    });
    assert_eq!(words(&opaque), ["requirement_unmet"]);
    assert_eq!(last(&opaque).facts["held"], "openid");
    let opaque = check(r#"{"audience":"x","audience_required":"x"}"#, || {
        reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":99}"#,
        )
    });
    assert_eq!(words(&opaque), ["opaque_token"]);
    let unkept = check(r#"{"audience":"x"}"#, || {
        reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":0}"#,
        )
    });
    assert_eq!(words(&unkept), ["token_not_kept"]);
}

#[test]
fn metadata_of_a_provider_behind_a_tls_proxy_is_explained() {
    let explained = |document: String| {
        let diagnosis = over("{}", move |_| reply(200, &document));
        assert_eq!(diagnosis.verdict(), Verdict::Misconfigured);
        last(&diagnosis).clone()
    };
    let issuer = explained(DOCUMENT.replace("https://a.example/\"", "http://a.example:8080/\""));
    let remedy = issuer.remedy.unwrap();
    assert_eq!(issuer.code, "insecure_issuer");
    assert!(issuer.message.contains("http://a.example:8080/"));
    assert!(!remedy.contains("set issuer to"), "{remedy}");
    for part in [
        "KC_HOSTNAME",
        "using_pseudo_issuer",
        "issuers_allowed to http://a.example:8080/",
    ] {
        assert!(remedy.contains(part), "{part}: {remedy}");
    }

    let keys = r#"{"jwks_uri":"http://a.example/keys","#;
    let document = DOCUMENT.replacen('{', keys, 1);
    let endpoint = explained(document.replace("https://a.example/t", "http://a.example/t"));
    assert_eq!(endpoint.code, "insecure_endpoint");
    // Both at once, not one after the other.
    for part in ["http://a.example/token", "http://a.example/keys"] {
        assert!(
            endpoint.message.contains(part),
            "{part}: {}",
            endpoint.message
        );
    }
    let remedy = endpoint.remedy.unwrap();
    for part in ["KC_HOSTNAME", "token_endpoint and jwks_endpoint"] {
        assert!(remedy.contains(part), "{part}: {remedy}");
    }
}

#[test]
fn the_settings_advised_for_an_http_issuer_are_valid() {
    let claims = json!({"iss": "http://a.example:8080"});
    let config = r#"{"using_pseudo_issuer":true,"token_endpoint":"https://a.example/token",
        "jwks_endpoint":"https://a.example/keys","issuers_allowed":["http://a.example:8080"]}"#;
    assert_eq!(signed(config, &claims, published).verdict(), Verdict::Ok);
}

#[test]
fn the_other_basic_encoding_is_advised() {
    for (configured, advised) in [
        ("", "raw"),
        (r#","token_endpoint_basic_encoding":"form""#, "raw"),
        (r#","token_endpoint_basic_encoding":"raw""#, "form"),
    ] {
        let config =
            format!(r#"{{"token_endpoint_auth_method":"client_secret_basic"{configured}}}"#);
        let diagnosis = check(&config, || reply(401, r#"{"error":"invalid_client"}"#));
        let remedy = last(&diagnosis).remedy.as_deref().unwrap_or_default();
        let advice = format!("set token_endpoint_basic_encoding to {advised}");
        assert!(remedy.contains(&advice), "{configured}: {remedy}");
    }
}

#[test]
fn a_client_without_a_service_account_is_told_apart_from_a_wrong_secret() {
    for (description, code) in [
        (
            "Client not enabled to retrieve service account",
            "no_service_account",
        ),
        (
            "Public client not allowed to retrieve service account",
            "no_service_account",
        ),
        (
            "Bearer-only client not allowed to retrieve service account",
            "no_service_account",
        ),
        (
            "Invalid client or Invalid client credentials",
            "credentials_refused",
        ),
    ] {
        let body = json!({"error": "unauthorized_client", "error_description": description});
        let diagnosis = check("{}", move || reply(401, &body.to_string()));
        let finding = last(&diagnosis);
        assert_eq!(
            (diagnosis.verdict(), finding.code),
            (Verdict::Refused, code)
        );
        assert!(!finding.message.contains("service account") || code == "no_service_account");
    }
}

/// The findings if a provider that lists both methods responds with `first` to client_secret_post, and with `second` to
/// client_secret_basic.
fn both_methods(first: (u16, &'static str), second: (u16, &'static str)) -> Diagnosis {
    let document = DOCUMENT.replace(
        r#"["client_secret_post"]"#,
        r#"["client_secret_post","client_secret_basic"]"#,
    );
    over(r#"{"audience":"x"}"#, move |sent| match sent.form {
        None => reply(200, &document),
        Some(_) if sent.authorization.is_some() => reply(second.0, second.1),
        Some(_) => reply(first.0, first.1),
    })
}

#[test]
fn both_authentication_methods_are_explained() {
    const REFUSED: (u16, &str) = (401, r#"{"error":"invalid_client"}"#);
    let granted = both_methods(
        REFUSED,
        (
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":99}"#,
        ),
    );
    assert_eq!(granted.verdict(), Verdict::Ok);
    assert_eq!(words(&granted), ["other_auth_method"]);

    let refused = both_methods(REFUSED, REFUSED);
    assert_eq!(words(&refused), ["credentials_refused"]);
    let finding = last(&refused);
    let named = "client authentication: client_secret_post, then client_secret_basic.";
    assert!(finding.message.contains(named), "{}", finding.message);
    // A success is a notice; neither method is one.
    let codes: Vec<_> = refused.findings().iter().map(|one| one.code).collect();
    assert_eq!(codes, ["well_formed", "found", "credentials_refused"]);

    // The second response is no refusal of the credentials.
    for (second, code) in [
        (
            (400, r#"{"error":"unauthorized_client"}"#),
            "grant_not_allowed",
        ),
        ((503, ""), "provider_failed"),
    ] {
        let diagnosis = both_methods(REFUSED, second);
        assert_eq!(words(&diagnosis), [code]);
        let told = diagnosis.to_json();
        assert!(!told.contains("does not accept this client"), "{told}");
    }
}

#[test]
fn a_check_never_passes_a_token_that_the_gate_denies() {
    let claims = json!({"iss": "https://a.example/", "aud": "y", "scope": "read", "email": "e"});
    for requirement in [
        r#""audience_required":"x""#,
        r#""scopes_required":"write""#,
        r#""roles_required":"admin""#,
        r#""groups_required":"ops""#,
        r#""claims_forbidden":"email""#,
        r#""issuers_allowed":["https://b.example"]"#,
    ] {
        let diagnosis = signed(&format!("{{{requirement}}}"), &claims, published);
        assert_eq!(diagnosis.verdict(), Verdict::Misconfigured, "{requirement}");
    }

    // A gate that only verifies tokens denies what it cannot verify.
    const BEARER: &str = r#"{"auth_methods":["bearer"],"audience_required":"y"}"#;
    let opaque = check(r#"{"auth_methods":["bearer"]}"#, || {
        reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":99}"#,
        )
    });
    assert_eq!(opaque.verdict(), Verdict::Misconfigured);
    assert_eq!(last(&opaque).code, "bearer_refused");
    let endless = signed(BEARER, &claims, published);
    assert_eq!(last(&endless).code, "bearer_refused");
    assert!(last(&endless).message.contains("It has no exp"));
    let claims =
        json!({"iss": "https://a.example/", "aud": "y", "sub": "alice", "exp": 4_102_444_800u64});
    assert_eq!(signed(BEARER, &claims, published).verdict(), Verdict::Ok);
}

#[test]
fn unavailable_metadata_is_a_warning_if_the_settings_name_both_endpoints() {
    let endpoints =
        r#"{"token_endpoint":"https://b.example/t","jwks_endpoint":"https://b.example/k",}"#;
    let unreachable = || Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned()));
    for (config, verdict, code) in [
        (endpoints, Verdict::Ok, "unavailable"),
        ("{}", Verdict::Unreachable, "connection_refused"),
    ] {
        let diagnosis = over(config, move |sent| match sent.form {
            None => unreachable(),
            Some(_) => reply(200, r#"{"access_token":"0paque","token_type":"Bearer"}"#),
        });
        let codes: Vec<_> = diagnosis.findings().iter().map(|one| one.code).collect();
        assert!(codes.contains(&code), "{codes:?}");
        assert_eq!(diagnosis.verdict(), verdict, "{codes:?}");
    }
}
