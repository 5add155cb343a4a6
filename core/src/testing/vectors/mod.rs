//! Runs the vectors of `tests/vectors`: the same bytes in, the same outcome out, here and in every host.

mod assertion;
mod bearer;
mod challenge;
mod configuration;
mod endpoints;
mod extraction;
mod hiding;
mod introspection;
mod policy;
mod token;
mod traceparent;

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A file of vectors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "description")]
    _description: String,
    /// The defaults of every vector's `input`.
    #[serde(default)]
    defaults: Map<String, Value>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    /// `area/condition`
    id: String,
    comment: String,
    source: String,
    input: Map<String, Value>,
    expect: Value,
}

/// Runs all vectors of a file, and tells of all that fail. `run` answers what came, to be compared with `expect`.
fn run_file(
    file: &str,
    least: usize,
    run: impl Fn(&Map<String, Value>, &Value) -> Result<(), String>,
) {
    let path = vectors().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let text = text.replace("$KEYS", &keys());
    let file_of: File =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(
        file_of.vectors.len() >= least,
        "{file}: {} vectors",
        file_of.vectors.len()
    );
    let mut ids = HashSet::new();
    let mut failures = Vec::new();
    for vector in &file_of.vectors {
        assert!(
            ids.insert(&vector.id),
            "{file}: {} appears twice",
            vector.id
        );
        assert!(
            vector.id.contains('/'),
            "{file}: {} is no area/condition",
            vector.id
        );
        assert!(
            !vector.comment.is_empty() && !vector.source.is_empty(),
            "{file}: {} has no comment or no source",
            vector.id
        );
        let mut input = file_of.defaults.clone();
        merge(&mut input, &vector.input);
        if let Err(why) = run(&input, &vector.expect) {
            failures.push(format!("{}: {why}\n    ({})", vector.id, vector.comment));
        }
    }
    assert!(failures.is_empty(), "{file}:\n{}", failures.join("\n"));
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// The directory of keys, which vectors name `$KEYS`.
fn keys() -> String {
    let keys = vectors().join("keys").canonicalize().unwrap();
    keys.into_os_string().into_string().unwrap()
}

/// Objects are merged, anything else is replaced.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The bytes of a string, of `{"hex": "…"}`, of `{"repeat": "…", "times": n}`, or of a list of these.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(pieces) => pieces.iter().flat_map(bytes).collect(),
        Value::Object(object) => match (object.get("hex"), object.get("repeat")) {
            (Some(Value::String(hex)), None) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            (None, Some(piece)) => bytes(piece).repeat(object["times"].as_u64().unwrap() as usize),
            _ => panic!("no bytes: {value}"),
        },
        _ => panic!("no bytes: {value}"),
    }
}

/// A list of two byte strings each, such as names and values of headers.
fn pairs(input: &Map<String, Value>, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let list = input.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|pair| (bytes(&pair[0]), bytes(&pair[1])))
        .collect()
}

fn optional_bytes(input: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    input.get(name).map(bytes)
}

/// The configuration of an input, as JSON.
fn config(input: &Map<String, Value>) -> String {
    let mut config = Map::new();
    config.insert("issuer".to_owned(), "https://idp.example".into());
    if let Some(Value::Object(own)) = input.get("config") {
        merge(&mut config, own);
    }
    Value::Object(config).to_string()
}

fn expect_eq<T: PartialEq + std::fmt::Debug>(came: &T, expected: &T) -> Result<(), String> {
    if came == expected {
        Ok(())
    } else {
        Err(format!("expected {expected:?}, came {came:?}"))
    }
}
