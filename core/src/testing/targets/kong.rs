//! An export of Kong.

use super::configuration::names_files;
use crate::Gate;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Fields of Kong that Credgate does not have, at their defaults, as an export writes them.
static DEFAULTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let table: Value = serde_json::from_str(include_str!("../../config/kong.json")).expect("JSON");
    let fields = table["fields"].as_object().expect("an object").iter();
    fields
        .map(|(name, field)| {
            (
                name.clone(),
                field["defaults"].get(0).cloned().unwrap_or_default(),
            )
        })
        .collect()
});

/// The `config` of a plugin object.
pub fn kong(data: &[u8]) {
    let Ok(Value::Object(config)) = serde_json::from_slice(data) else {
        return;
    };
    let given = Value::Object(config.clone());
    if names_files(&given) || config.contains_key("config") {
        return;
    }
    let compiled = |json: &Value| Gate::from_json(&json.to_string());
    let plain = compiled(&given);
    let wrapped = |config: &Value| compiled(&json!({"name": "openid-connect", "config": config}));
    let inside = wrapped(&given);
    let own_client = ["client_id", "client_secret"]
        .iter()
        .any(|name| config.contains_key(*name));
    match (&plain, &inside) {
        (Ok(one), Ok(other)) => assert_same(one, other),
        (Err(one), Err(other)) => {
            assert!(
                own_client || one.to_string() == other.to_string(),
                "{one}\n{other}"
            );
        }
        (one, _) => assert!(own_client, "{:?}", one.is_ok()),
    }
    // Kong's own fields count as unset at their defaults.
    let Ok(inside) = inside else {
        return;
    };
    let mut exported = DEFAULTS.clone();
    exported.extend(config);
    let exported = wrapped(&Value::Object(exported)).expect("defaults change nothing");
    assert_same(&inside, &exported);
}

fn assert_same(one: &Gate, other: &Gate) {
    assert_eq!(one.rules.fingerprint, other.rules.fingerprint);
    assert_eq!(one.effective_config(), other.effective_config());
    assert_eq!(one.warnings(), other.warnings());
}
