use super::*;

fn error(json: &str) -> String {
    Config::from_json(json).unwrap_err().to_string()
}

#[test]
fn a_typo_names_the_nearest_field() {
    assert_eq!(
        error(r#"{"isuer":"https://a"}"#),
        r#"unknown field "isuer": did you mean "issuer"?"#
    );
    assert_eq!(
        error(r#"{"name":"openid-connect","config":{"token_post_arg_names":"a"}}"#),
        r#"unknown field "token_post_arg_names": did you mean "token_post_args_names"?"#
    );
    assert!(error(r#"{"zzz":1}"#).contains("the fields are auth_methods, "));
}

#[test]
fn an_error_names_the_field() {
    for (json, starts) in [
        (
            r#"{"issuer":"https://a","timeout":"1s"}"#,
            "timeout: invalid type: string",
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
    ] {
        assert!(error(json).contains("appears twice"), "{json}");
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
fn the_committed_schema_and_reference_match_the_configuration() {
    let schema = schemars::schema_for!(Config);
    let json = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    for (name, generated) in [
        ("config.schema.json", json),
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

/// The reference of all fields, ordered by name.
fn reference(schema: &Value) -> String {
    let mut reference = String::from(
        "# Configuration\n\n\
         All fields of a gate's configuration: a JSON object for `credgate_config`, `credgate.Gate` and \
         `credgate_gate_new`, or the\n`config` of Kong's plugin object. Generated from `core/src/config/mod.rs`, as is \
         [config.schema.json](config.schema.json).\n\n\
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
    reference
}
