//! A configuration, as an operator writes it.

use super::is_log_safe;
use crate::Gate;
use crate::config::{SECRET_FIELDS, config_fields};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::LazyLock;

/// A value of the committed inputs that no message may repeat.
const CANARY: &str = "s3cr3t";

static FIELDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let fields: Vec<Value> = serde_json::from_str(config_fields()).expect("an array");
    let names = fields.iter().filter_map(|field| field["name"].as_str());
    names.map(str::to_owned).collect()
});

/// A text that should be a JSON object.
pub fn configuration(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(given) = serde_json::from_str::<Value>(text) else {
        assert!(Gate::from_json(text).is_err());
        return;
    };
    if names_files(&given) {
        return;
    }
    let gate = match Gate::from_json(text) {
        Ok(gate) => gate,
        Err(error) => return explains(&error.to_string(), &given),
    };
    let effective: Value = serde_json::from_str(gate.effective_config()).expect("JSON");
    for name in SECRET_FIELDS {
        assert!(is_masked(name, &effective[*name]), "{name}");
    }
    for warning in gate.warnings() {
        assert!(is_log_safe(warning));
    }
    // The same text is the same gate, and its derived gates share its tokens.
    let again = Gate::from_json(text).expect("the same gate");
    assert_eq!(again.rules.fingerprint, gate.rules.fingerprint);
    assert_eq!(again.effective_config(), gate.effective_config());
    assert_eq!(gate.optional().rules.fingerprint, gate.rules.fingerprint);
    for derived in [gate.token_endpoint(), gate.external()]
        .into_iter()
        .flatten()
    {
        assert_eq!(derived.rules.fingerprint, gate.rules.fingerprint);
    }
}

/// Files of the machine are no inputs.
pub(super) fn names_files(given: &Value) -> bool {
    let is_file = |name: &String| {
        ["file", "cert", "key"]
            .iter()
            .any(|part| name.contains(part))
    };
    given.as_object().is_some_and(|fields| {
        fields.keys().any(is_file) || fields.get("config").is_some_and(names_files)
    })
}

/// Whether no text of a secret field is shown. Arguments of the token request are secret by their names.
fn is_masked(field: &str, shown: &Value) -> bool {
    match shown {
        Value::String(text) => text == "***" || field.starts_with("token_post_args"),
        Value::Array(values) => values.iter().all(|value| is_masked(field, value)),
        Value::Object(members) => members.values().all(|value| is_masked(field, value)),
        _ => true,
    }
}

/// Checks the message of an error: each line begins with a name, and no line repeats a value.
fn explains(message: &str, given: &Value) {
    assert!(!message.is_empty());
    for line in message.lines() {
        assert!(is_log_safe(line), "{line:?}");
        let name = line.split([':', '[', '.', ' ']).next().unwrap_or_default();
        assert!(
            FIELDS.contains(name) || line.starts_with("the configuration") || line.contains(": "),
            "{line}"
        );
    }
    if !names_canary(given) {
        assert!(!message.contains(CANARY), "{message}");
    }
}

/// Whether the name of a member has the canary: messages repeat names.
fn names_canary(given: &Value) -> bool {
    match given {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains(CANARY) || names_canary(value)),
        Value::Array(values) => values.iter().any(names_canary),
        _ => false,
    }
}
