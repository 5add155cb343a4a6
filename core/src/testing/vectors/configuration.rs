use super::{expect_eq, run_file};
use crate::Gate;
use serde_json::{Map, Value};

#[test]
fn configuration() {
    run_file("configuration.json", 40, run);
}

/// `config` is the whole configuration; `text` is one that JSON cannot say. Expected is `ok` with what is in effect of
/// it, or the code, the fields of the problems, and parts of the error.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let json = match input.get("text") {
        Some(text) => text.as_str().unwrap().to_owned(),
        None => input["config"].to_string(),
    };
    match (Gate::from_json(&json), expect.get("ok")) {
        (Ok(gate), Some(effective)) => {
            let shown: Value = serde_json::from_str(gate.effective_config()).unwrap();
            for (name, value) in effective.as_object().unwrap() {
                expect_eq(&shown[name], value).map_err(|why| format!("{name}: {why}"))?;
            }
            Ok(())
        }
        (Ok(_), None) => Err(format!("expected {expect}, and it compiles")),
        (Err(error), Some(_)) => Err(format!("does not compile: {error}")),
        (Err(error), None) => {
            expect_eq(&Value::from(error.kind().code()), &expect["code"])?;
            let fields: Vec<_> = error.problems().map(|problem| problem.field()).collect();
            expect_eq(&Value::from(fields), &expect["fields"])?;
            let message = error.to_string();
            for part in expect["says"].as_array().unwrap() {
                if !message.contains(part.as_str().unwrap()) {
                    return Err(format!("expected {part} in: {message}"));
                }
            }
            Ok(())
        }
    }
}

/// The settings of Kong's guide for Auth0.
const GUIDE: &str = r#"{"auth_methods":["client_credentials"],"token_post_args_names":["audience"],
    "issuer":"https://example.auth0.com/.well-known/openid-configuration",
    "token_post_args_values":["https://example.com/"]}"#;

/// The fields in which an export differs from a configuration without them. Each Kong makes its own salt. Unset, `scopes`
/// and `scopes_claim` follow the provider.
const DIFFERENT: [&str; 3] = ["cache_tokens_salt", "scopes", "scopes_claim"];
/// The versions, and their own differences. Before 3.14, Kong verified no certificate and hid no credentials by default.
const VERSIONS: [(&str, &[&str]); 4] = [
    ("2.8", &["hide_credentials", "ssl_verify"]),
    ("3.4", &["hide_credentials", "ssl_verify"]),
    ("3.9", &["hide_credentials", "ssl_verify"]),
    ("3.15", &["client_credentials_param_type"]),
];

#[test]
fn an_export_of_kong_means_what_its_operator_set() {
    let effective = |json: &str| -> Value {
        let gate = Gate::from_json(json).unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(gate.effective_config()).unwrap()
    };
    let guide = effective(GUIDE);
    for (version, different) in VERSIONS {
        let path = super::vectors().join(format!("kong/{version}.json"));
        let export = effective(&std::fs::read_to_string(path).unwrap());
        let fields = guide.as_object().unwrap().keys();
        let found: Vec<_> = fields
            .filter(|field| guide[*field] != export[*field])
            .filter(|field| !DIFFERENT.contains(&field.as_str()))
            .collect();
        assert_eq!(found, different, "{version}");
    }
}
