use super::{expect_eq, run_file};
use crate::Gate;
use serde_json::{Map, Value};

#[test]
fn configuration() {
    run_file("configuration.json", 40, run);
}

/// `config` is the whole configuration; `text` is one that JSON cannot say. Expected is `ok` with what is in effect of
/// it, or the code and the start of the error.
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
