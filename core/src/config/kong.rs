//! Configurations written for Kong: the plugin object, and fields that Credgate does not have.

use super::value_error;
use crate::error::{Error, ErrorKind, Problems};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::cell::LazyCell;
use std::collections::HashMap;

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

/// Returns the configuration inside a plugin object (`{"name": "openid-connect", "config": {…}}`, or named `credgate`), or
/// the object itself if it is not one. `None` for a plugin object without a configuration, which is a problem.
pub(super) fn unwrap_plugin(
    mut object: Map<String, Value>,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    if !object.contains_key("config") {
        return Some(object);
    }
    super::drop_unknown(&mut object, PLUGIN_FIELDS, problems);
    let name = object.get("name").and_then(Value::as_str);
    let is_kongs = name == Some("openid-connect");
    if !is_kongs && name != Some("credgate") {
        problems.add(value_error(
            "name: a plugin object must be named \"openid-connect\" or \"credgate\"",
        ));
    }
    match object.remove("config") {
        Some(Value::Object(mut config)) => {
            if is_kongs {
                refuse_own_client(&mut config, problems);
            }
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
            .is_some_and(|value| !is_unset(None, &value))
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

/// Kong's fields that Credgate does not have: the union over the published schemas of Kong 2.8 to 3.15.
const TABLE: &str = include_str!("kong.json");

#[derive(Deserialize)]
struct Table {
    remedies: HashMap<String, String>,
    fields: HashMap<String, Field>,
}

/// A field, or a member of a record. The types in the table are for readers of [`config_fields`](super::config_fields).
#[derive(Deserialize)]
struct Field {
    /// Values that an export writes although nobody set the field, besides null, false and empty ones.
    #[serde(default)]
    defaults: Vec<Value>,
    /// The members of a record.
    #[serde(default)]
    fields: HashMap<String, Field>,
    /// A key of `remedies`.
    #[serde(default)]
    remedy: String,
}

impl Table {
    fn read() -> Option<Table> {
        serde_json::from_str(TABLE).ok()
    }
}

/// Removes Kong's fields that Credgate does not have. One that is set is a problem with a remedy: ignoring it could open
/// what it was meant to close.
pub(super) fn drop_unset(config: &mut Map<String, Value>, known: &[&str], problems: &mut Problems) {
    let table = LazyCell::new(Table::read);
    config.retain(|name, value| {
        if known.contains(&name.as_str()) {
            return true;
        }
        let Some((table, field)) = table
            .as_ref()
            .and_then(|table| Some((table, table.fields.get(name)?)))
        else {
            return true;
        };
        if !is_unset(Some(field), value) {
            let remedy = &table.remedies[&field.remedy];
            problems.add(Error::new(
                ErrorKind::ConfigUnknownField,
                format!("{name}: a field of Kong that Credgate does not have; {remedy}"),
            ));
        }
        false
    });
    drop_methods(config, problems);
}

/// Kong's methods that Credgate does not have.
const METHODS: &[&str] = &[
    "authorization_code",
    "kong_oauth2",
    "password",
    "refresh_token",
    "session",
    "userinfo",
];
/// The number of methods in Kong, which are all enabled by default.
const ALL_METHODS: usize = METHODS.len() + 3;

/// Removes Kong's default of `auth_methods`, which nobody set. Another list with a method that Credgate does not have is
/// a problem.
fn drop_methods(config: &mut Map<String, Value>, problems: &mut Problems) {
    let Some(Value::Array(methods)) = config.get("auth_methods") else {
        return;
    };
    let foreign: Vec<_> = METHODS
        .iter()
        .filter(|name| methods.iter().any(|method| method == **name))
        .collect();
    if foreign.is_empty() {
        return;
    }
    let is_default = foreign.len() == METHODS.len() && methods.len() == ALL_METHODS;
    for name in foreign.iter().filter(|_| !is_default) {
        problems.add(value_error(format!(
            "auth_methods: {name} is a method of Kong that Credgate does not have; it serves machine clients with \
             client_credentials, bearer and introspection"
        )));
    }
    config.remove("auth_methods");
}

fn is_unset(field: Option<&Field>, value: &Value) -> bool {
    let is_default = || field.is_some_and(|field| field.defaults.iter().any(|it| same(it, value)));
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) if list.is_empty() => true,
        Value::Object(members) => members.iter().all(|(name, value)| {
            let member = field.and_then(|field| field.fields.get(name));
            is_unset(member, value)
        }),
        _ => is_default(),
    }
}

/// Whether two values mean the same to Kong, where the elements of a list have no order.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().all(|element| other.contains(element))
        }
        _ => one == other,
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
    fn every_field_of_the_table_has_a_remedy_and_no_other_field_has_its_name() {
        let table: Table = serde_json::from_str(TABLE).unwrap();
        let own = crate::config::fields();
        let mut used: Vec<_> = table.fields.values().map(|field| &field.remedy).collect();
        used.sort();
        used.dedup();
        let mut remedies: Vec<_> = table.remedies.keys().collect();
        remedies.sort();
        assert_eq!(used, remedies);
        for name in table.fields.keys() {
            assert!(!own.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn every_field_that_is_set_is_refused_with_its_remedy() {
        let table: Table = serde_json::from_str(TABLE).unwrap();
        for (name, field) in &table.fields {
            for value in [
                json!("planted"),
                json!(["planted"]),
                json!({"a": "planted"}),
                json!(77),
            ] {
                let error = drop(json!({ name: value })).unwrap_err();
                let remedy = &table.remedies[&field.remedy];
                let text = format!("{name}: a field of Kong that Credgate does not have; {remedy}");
                assert_eq!(error, text);
            }
        }
    }

    #[test]
    fn unset_fields_of_kong_are_ignored() {
        let config = drop(json!({
            "issuer": "https://a", "session_secret": null, "disable_session": [], "verify_nonce": true,
            "client_arg": "client_id", "display_errors": false, "token_cache_key_include_scope": true,
            "http_version": 1.1, "logout_methods": ["DELETE", "POST"], "session_bind": {},
            "redis": {"host": "127.0.0.1", "port": 6379.0, "password": null, "cluster_nodes": {},
                "cloud_authentication": {"aws_is_serverless": true, "auth_provider": null}},
        }));
        assert_eq!(config.unwrap().len(), 1);
    }

    #[test]
    fn a_set_member_of_a_record_sets_the_record() {
        for redis in [
            json!({"host": "10.0.0.1"}),
            json!({"host": "127.0.0.1", "password": "x"}),
            json!({"cloud_authentication": {"auth_provider": "aws"}}),
            json!({"unknown": 1}),
        ] {
            let error = drop(json!({ "redis": redis })).unwrap_err();
            assert!(error.starts_with("redis: a field of Kong"), "{error}");
        }
    }

    #[test]
    fn a_list_is_unset_only_if_it_equals_the_default() {
        for methods in [
            json!(["POST"]),
            json!(["POST", "POST"]),
            json!(["POST", "GET"]),
        ] {
            assert!(drop(json!({ "logout_methods": methods })).is_err());
        }
    }

    #[test]
    fn all_methods_of_kong_together_are_unset() {
        let all = [METHODS, &["introspection", "client_credentials", "bearer"]].concat();
        assert!(drop(json!({ "auth_methods": all })).unwrap().is_empty());
        let error = drop(json!({ "auth_methods": &all[1..] })).unwrap_err();
        assert_eq!(error.lines().count(), 5, "{error}");
        let error = drop(json!({"auth_methods": ["client_credentials", "session"]})).unwrap_err();
        assert!(
            error.starts_with("auth_methods: session is a method of Kong"),
            "{error}"
        );
    }
}
