//! The fields of a configuration as data, for hosts that have a schema or a form of their own.

/// Returns the fields of a configuration, and those of Kong that Credgate does not have, as a JSON array of objects:
///
/// * `name`;
/// * `type`, in the words of Kong's schemas: `string`, `boolean`, `number`, `integer`, `array` or `set` (with `elements`),
///   `map` (with `keys` and `values`), `record` (with `fields`, by name);
/// * `one_of`: the values of a choice;
/// * `default`, unless that is null;
/// * `secret`: true if the value may be a secret of the operator;
/// * `kong`: whether Kong has the field;
/// * `description`;
/// * `remedy`: only Kong has the field, and a configuration that sets it is invalid; the remedy is a part of the error.
pub fn config_fields() -> &'static str {
    include_str!("../../config.fields.json")
}

#[cfg(test)]
pub(super) mod generated {
    use serde_json::{Map, Value, json};

    /// Fields that Kong writes as lists, with an element for each of its own clients. A list of one is accepted.
    const LISTS: [&str; 3] = ["client_alg", "client_id", "client_secret"];

    /// The file of [`config_fields`](super::config_fields): one field a line.
    pub(in crate::config) fn file(schema: &Value, secret: &[&str], kong: &str) -> String {
        let mut fields: Vec<_> = members(&schema["properties"])
            .map(|(name, field)| own(name, field, &schema["$defs"], secret))
            .collect();
        let alias = fields
            .iter()
            .find(|field| field["name"] == "token_endpoint_auth_method");
        let mut alias = alias.unwrap().clone();
        alias["description"] =
            "Another name of token_endpoint_auth_method, as a list of one.".into();
        alias["name"] = "client_auth".into();
        fields.push(as_list(alias));
        let kong: Value = serde_json::from_str(kong).unwrap();
        fields.extend(
            members(&kong["fields"]).map(|(name, field)| foreign(name, field, &kong["remedies"])),
        );
        let lines: Vec<_> = fields.iter().map(Value::to_string).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
        object.as_object().into_iter().flatten()
    }

    fn own(name: &str, field: &Value, defs: &Value, secret: &[&str]) -> Value {
        let description = field["description"]
            .as_str()
            .expect(name)
            .replace('\n', " ");
        let mut shown = shape(field, defs);
        shown["name"] = name.into();
        shown["kong"] = (!description.contains("Not in Kong")).into();
        if !field["default"].is_null() {
            shown["default"] = field["default"].clone();
        }
        if secret.contains(&name) {
            shown["secret"] = true.into();
        }
        shown["description"] = description.into();
        if LISTS.contains(&name) {
            shown = as_list(shown);
        }
        shown
    }

    fn as_list(mut field: Value) -> Value {
        let object = field.as_object_mut().unwrap();
        let mut element = Map::new();
        for name in ["type", "one_of"] {
            if let Some(value) = object.remove(name) {
                element.insert(name.to_owned(), value);
            }
        }
        field["type"] = "array".into();
        field["elements"] = Value::Object(element);
        field
    }

    /// The type of a JSON schema in Kong's words.
    fn shape(schema: &Value, defs: &Value) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return shape(&defs[reference.rsplit('/').next().unwrap()], defs);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            return shape(&any[0], defs);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let values: Vec<_> = choices.iter().map(|choice| &choice["const"]).collect();
            return json!({"type": "string", "one_of": values});
        }
        let kind = schema["type"]
            .as_str()
            .or_else(|| schema["type"][0].as_str());
        match kind.unwrap() {
            "array" => json!({"type": "array", "elements": shape(&schema["items"], defs)}),
            "object" if schema["properties"].is_object() => {
                let fields = members(&schema["properties"]);
                let fields: Map<_, _> = fields
                    .map(|(name, field)| (name.clone(), shape(field, defs)))
                    .collect();
                json!({"type": "record", "fields": fields})
            }
            "object" => {
                json!({"type": "map", "keys": {"type": "string"}, "values": {"type": "string"}})
            }
            kind => json!({ "type": kind }),
        }
    }

    fn foreign(name: &str, field: &Value, remedies: &Value) -> Value {
        let mut shown = without_defaults(field);
        shown["name"] = name.into();
        shown["kong"] = true.into();
        shown["remedy"] = remedies[field["remedy"].as_str().unwrap()].clone();
        shown
    }

    fn without_defaults(field: &Value) -> Value {
        match field {
            Value::Object(object) => {
                let kept = object
                    .iter()
                    .filter(|(name, value)| *name != "defaults" || !value.is_array());
                kept.map(|(name, value)| (name.clone(), without_defaults(value)))
                    .collect()
            }
            value => value.clone(),
        }
    }
}
