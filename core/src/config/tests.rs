use super::*;

fn error(json: &str) -> String {
    Config::from_json(json).unwrap_err().to_string()
}

#[test]
fn a_typo_names_the_nearest_field_or_value() {
    assert_eq!(
        error(r#"{"isuer":"https://a"}"#),
        r#"isuer: unknown field; did you mean "issuer"?"#
    );
    assert_eq!(
        error(r#"{"name":"openid-connect","config":{"token_post_arg_names":"a"}}"#),
        r#"token_post_arg_names: unknown field; did you mean "token_post_args_names"?"#
    );
    assert!(
        error(r#"{"issuer":"https://a","auth_methods":"client_credential"}"#)
            .ends_with("\"introspection\", did you mean \"client_credentials\"?")
    );
    assert!(error(r#"{"zzz":1}"#).contains("the fields are auth_methods, "));
}

#[test]
fn an_unknown_name_within_a_value_is_quoted_and_escaped() {
    let within = |name: &str| {
        error(&format!(
            r#"{{"issuer":"https://a","upstream_headers":[{{"header":"x",{name}:["a"]}}]}}"#
        ))
    };
    for (name, place, quoted) in [
        (r#""paths""#, "[0].paths", r#""paths""#),
        ("\"path\u{7f}\"", "[0]", r#""path\u{7f}""#),
        (r#""path\nissuer: no""#, "[0]", r#""path\nissuer: no""#),
    ] {
        let expected =
            format!("upstream_headers{place}: unknown field {quoted}; did you mean \"path\"?");
        assert_eq!(within(name), expected);
    }
    let other = within(r#""z""#);
    assert!(
        other.ends_with(r#"unknown field "z"; the fields are header, path"#),
        "{other}"
    );
}

#[test]
fn an_error_names_the_field() {
    for (json, starts) in [
        (
            r#"{"issuer":"https://a","timeout":"1s"}"#,
            "timeout: invalid type: string, expected a whole number",
        ),
        (
            r#"{"name":"openid-connect","config":{"issuer":5}}"#,
            "issuer: invalid type",
        ),
        (
            r#"{"upstream_headers":[{"header":"x","path":["a"]},{"header":1}]}"#,
            "upstream_headers[1].header: invalid type",
        ),
        ("[]", "the configuration must be a JSON object"),
        ("{", "the configuration is not JSON"),
    ] {
        let error = error(json);
        assert!(error.starts_with(starts), "{error}");
    }
    assert!(error(r#"{"name":"jwt","config":{}}"#).contains("openid-connect"));
}

#[test]
fn a_repeated_field_is_an_error() {
    for json in [
        r#"{"issuer":"https://a","issuer":"https://b"}"#,
        r#"{"name":"openid-connect","config":{"issuer":"https://a","issuer":"https://b"}}"#,
        r#"{"issuer":"https://a","token_post_args":{"a":"1","a":"2"}}"#,
        r#"{"a\nb":1,"a\nb":2}"#,
    ] {
        let error = error(json);
        assert!(error.contains("appears twice"), "{json}");
        assert!(!error.contains(char::is_control), "{error}");
    }
}

#[test]
fn a_list_may_be_written_as_one_string_or_null() {
    let config = Config::from_json(
        r#"{"issuer":"https://a","scopes":null,"token_post_args_names":"audience","client_auth":["client_secret_post"],
            "auth_methods":"bearer","timeout":null}"#,
    )
    .unwrap();
    assert_eq!(config.scopes, Some(Vec::new()));
    assert_eq!(config.token_post_args_names, ["audience"]);
    assert_eq!(config.auth_methods, [AuthMethods::Bearer]);
    assert_eq!(config.timeout, 10_000);
    assert_eq!(
        config.token_endpoint_auth_method,
        Some(TokenAuth::ClientSecretPost)
    );
}

#[test]
fn an_empty_object_is_an_empty_list_in_every_list() {
    let fields: Vec<Value> = serde_json::from_str(config_fields()).unwrap();
    let lists = fields
        .iter()
        .filter(|field| field["type"] == "array" && field["remedy"].is_null());
    let mut count = 0;
    for field in lists {
        let name = field["name"].as_str().unwrap();
        let [object, list] = ["{}", "[]"].map(|empty| {
            Config::from_json(&format!(r#"{{"issuer":"https://a","{name}":{empty}}}"#))
                .map(|config| config.effective())
                .map_err(|error| error.to_string())
        });
        assert_eq!(object, list, "{name}");
        count += 1;
    }
    assert!(count > 30, "{count}");
    engine::EngineOptions::from_json(r#"{"store_previous_pepper_files":{}}"#).unwrap();
}

#[test]
fn the_committed_schema_and_reference_match_the_configuration() {
    let schema = schemars::schema_for!(Config);
    let json = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let kong = include_str!("kong.json");
    let fields = fields::generated::file(schema.as_value(), masked::SECRET, kong);
    for (name, generated) in [
        ("config.schema.json", json),
        ("config.fields.json", fields),
        ("CONFIGURATION.md", reference(schema.as_value())),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("CREDGATE_UPDATE").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "core/{name} is out of date: tests/run.sh header --update"
        );
    }
}

const KONG: &str = "
## Exports of Kong

A configuration may be the plugin object that Kong's admin API writes, with all fields at their defaults (Kong 2.8 to 3.15).
Of the object, only `name` and `config` have an effect. Its name is `openid-connect` or `credgate`. In the former, `client_id`
and `client_secret` must be unset, because Kong's clients send their own; in the latter, they are the gateway's own client.

A field of Kong that Credgate does not have must be unset; otherwise it is an error that says what to do instead. Unset values
are null, `false`, an empty list or object, a record of unset members, and the defaults of Kong, with lists in any order.
`auth_methods` with all methods of Kong, its default, is unset too, and a warning says so; another list with a method that
Credgate does not have is an error.

Fields that Credgate has mean what the export says. These defaults of Kong differ from Credgate's:

| field | export |
|---|---|
| `ssl_verify`, `hide_credentials` | `false` before Kong 3.14 |
| `scopes` | `[\"openid\"]`, which is then sent even if the provider refuses it |
| `scopes_claim` | `[\"scope\"]` |
| `cache_tokens_salt` | a random string: gates share no tokens |
";

/// The reference of all fields, ordered by name.
fn reference(schema: &Value) -> String {
    let mut reference = String::from(
        "# Configuration\n\n\
         All fields of a gate's configuration: a JSON object for `credgate_config`, `credgate.Gate` and \
         `credgate_gate_new`, or the\n`config` of Kong's plugin object. Generated from `core/src/config/mod.rs`, as are \
         [config.schema.json](config.schema.json) and\n[config.fields.json](config.fields.json), which lists the fields of \
         Kong that Credgate does not have, too.\n\n\
         | field | default | meaning |\n|---|---|---|\n",
    );
    for (name, field) in schema["properties"].as_object().unwrap() {
        let default = match &field["default"] {
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let meaning = field["description"]
            .as_str()
            .expect(name)
            .replace('\n', " ");
        reference += &format!("| `{name}` | {default} | {meaning} |\n");
    }
    reference + KONG
}

#[test]
fn an_error_repeats_no_value() {
    for json in [
        r#"{"token_headers":"X-Api-Key: s3cret"}"#,
        r#"{"token_headers":{"X-Api-Key":["s3cret"]}}"#,
        r#"{"token_headers":{"X-Api-Key: s3cret":"x"}}"#,
        r#"{"token_headers":{"X-Api-Key: s3cret":5}}"#,
        r#"{"token_headers_names":["X-Api-Key: s3cret"],"token_headers_values":["x"]}"#,
        r#"{"token_post_args":"api_key=s3cret"}"#,
        r#"{"discovery_headers":["s3cret"]}"#,
        r#"{"timeout":"s3cret"}"#,
        r#"{"auth_methods":["s3cret"]}"#,
        r#"{"token_endpoint_auth_method":"s3cret"}"#,
        r#"{"upstream_headers":[{"header":"s3cret","path":5}]}"#,
        r#"{"upstream_headers":[{"header":"x s3cret","path":["a"]}]}"#,
        r#"{"upstream_access_token_header":"authorization:Bearer s3cret"}"#,
        r#"{"upstream_access_token_header":"authorization s3cret"}"#,
        r#"{"token_endpoint":"http://idp.example/token?code=s3cret"}"#,
        r#"{"jwks_endpoint":"s3cret"}"#,
        r#"{"extra_jwks_uris":["https://idp.example/#s3cret"]}"#,
        r#"{"https_proxy":"socks://user:s3cret@proxy"}"#,
        r#"{"https_proxy":"http://proxy","https_proxy_authorization":"s3cret\n"}"#,
        r#"{"tls_client_auth_cert":"/dev/null","tls_client_auth_key":"-----BEGIN PRIVATE KEY-----\ns3cret"}"#,
        r#"{"tls_client_auth_cert":"s3cret","tls_client_auth_key":"/dev/null"}"#,
        r#"{"ssl_trusted_certificate":"-----BEGIN CERTIFICATE-----\ns3cret"}"#,
        r#"{"clients_allowed":["s3cret\n"]}"#,
        r#"{"scopes":["\"s3cret"]}"#,
        r#"{"token_post_args_client":["s3cret","s3cret"]}"#,
        r#"{"allow_addresses":["s3cret"]}"#,
        r#"{"cache_tokens_salt":{"s3cret":1}}"#,
    ] {
        let mut config: Value = serde_json::from_str(json).unwrap();
        config["issuer"] = "https://a.example".into();
        let error = crate::Gate::from_json(&config.to_string()).unwrap_err();
        let named = |field: &str| json.contains(&format!("\"{field}\":"));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{json}: {shown}");
        let field = error.to_string();
        let field = field.split([':', '[']).next().unwrap();
        assert!(
            named(field) || named(&format!("{field}_names")),
            "{json}: {shown}"
        );
    }
    let options = r#"{"store_previous_pepper_files":{"redis://user:s3cret@host":1}}"#;
    let error = engine::EngineOptions::from_json(options).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(
        shown.contains("store_previous_pepper_files: invalid type: object"),
        "{shown}"
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let gate = crate::Gate::from_json(
        r#"{"issuer":"http://a.example","isuers_allowed":"x","session_secret":"x","timeout":"1s","leeway":-1,"cache_ttl":0,
            "scopes_required":" ","token_headers":{"a b":"x"},"refresh_ahead":7,"https_proxy":"proxy",
            "ssl_trusted_certificate":"/nonexistent.pem","upstream_headers":[{"header":"host","path":"a"}]}"#,
    );
    let error = gate.unwrap_err();
    let text = error.to_string();
    let fields: Vec<_> = error
        .problems()
        .filter_map(|problem| problem.field())
        .collect();
    assert_eq!(
        fields,
        [
            "session_secret",
            "isuers_allowed",
            "leeway",
            "timeout",
            "ssl_trusted_certificate",
            "https_proxy",
            "issuer",
            "token_headers",
            "upstream_headers",
            "scopes_required",
            "refresh_ahead",
            "cache_ttl",
        ],
        "{text}"
    );
    assert_eq!(error.kind(), ErrorKind::ConfigUnknownField);
}

#[test]
fn a_wrong_field_causes_no_further_problems() {
    let error = |json| crate::Gate::from_json(json).unwrap_err().to_string();
    for json in [
        r#"{"isuer":"https://a"}"#,
        r#"{"issuer":5}"#,
        r#"{"issuer":"https://a","token_headers_names":5,"token_headers_values":"x"}"#,
    ] {
        assert_eq!(error(json).lines().count(), 1, "{}", error(json));
    }
}

#[test]
fn all_problems_of_the_engine_options_are_reported_at_once() {
    let error = engine::EngineOptions::from_json(
        r#"{"max_waiting":0,"stroe":"x","store_timeout":"1s","cache_max_bytes":0}"#,
    );
    let text = error.unwrap_err().to_string();
    assert_eq!(text.lines().count(), 4, "{text}");
    for line in text.lines() {
        assert!(line.starts_with("engine options: "), "{line}");
    }
}

#[test]
fn a_problem_has_its_field_and_the_place_in_it() {
    let error = Config::from_json(
        r#"{"Scopes":[],"oauth2":1,"x: y":1,"upstream_headers":[{"header":1}],"timeout":"1s"}"#,
    )
    .unwrap_err();
    let found: Vec<_> = error
        .problems()
        .map(|problem| (problem.field(), problem.message().split([',', ';']).next()))
        .collect();
    assert_eq!(
        found,
        [
            (Some("Scopes"), Some("unknown field")),
            (Some("oauth2"), Some("unknown field")),
            (None, Some("\"x: y\": unknown field")),
            (Some("timeout"), Some("invalid type: string")),
            (
                Some("upstream_headers"),
                Some("[0].header: invalid type: integer")
            ),
        ]
    );
    assert_eq!(Error::wrong_process().problems().count(), 0);
}
