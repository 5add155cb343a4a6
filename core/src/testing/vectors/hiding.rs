use super::{config, expect_eq, optional_bytes, pairs, run_file};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::request::extract::extract;
use crate::request::named::is_same;
use crate::request::scratch::{Scratch, ScratchBuffer};
use crate::{Gate, redact_query};
use serde_json::{Map, Value};

#[test]
fn hiding() {
    run_file("hiding.json", 100, run);
}

fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let expect = expect.as_object().unwrap();
    if let Some(mut query) = optional_bytes(input, "redact") {
        redact_query(&mut query);
        return expect_eq(&query, &optional_bytes(expect, "redacted").unwrap());
    }
    if input.contains_key("headers") {
        return hide_headers(&gate, input, expect);
    }
    let hide = |bytes: &[u8], is_query: bool| {
        let content_type = optional_bytes(input, "content_type");
        let mut out = vec![0; bytes.len()];
        let len = if is_query {
            gate.hide_query(bytes, &mut out)
        } else {
            gate.hide_body(content_type.as_deref(), bytes, &mut out)
        };
        out.truncate(len);
        out
    };
    let (given, is_query) = match (
        optional_bytes(input, "query"),
        optional_bytes(input, "body"),
    ) {
        (Some(query), None) => (query, true),
        (None, Some(body)) => (body, false),
        _ => panic!("a query or a body"),
    };
    let hidden = hide(&given, is_query);
    let name = if is_query { "query" } else { "body" };
    expect_eq(
        &String::from_utf8_lossy(&hidden),
        &String::from_utf8_lossy(&optional_bytes(expect, name).unwrap()),
    )?;
    if hide(&hidden, is_query) != hidden {
        return Err("hiding once more changes it again".to_owned());
    }
    // The hidden text holds no pair any more.
    let content_type = optional_bytes(input, "content_type");
    let request = Request {
        method: b"POST",
        query: is_query.then_some(&hidden),
        body: (!is_query).then_some(&hidden),
        content_type: content_type.as_deref(),
        ..Request::default()
    };
    if extract(
        &gate.rules.places,
        &request,
        &mut Scratch::new(&mut ScratchBuffer::new()),
    )
    .is_ok()
    {
        return Err("credentials are still found".to_owned());
    }
    Ok(())
}

/// The headers of a request that stay when those of the outcome are removed, as a host does it.
fn hide_headers(
    gate: &Gate,
    input: &Map<String, Value>,
    expect: &Map<String, Value>,
) -> Result<(), String> {
    let Outcome::Allow(allow) = Outcome::bypass(gate) else {
        return Err("a bypass is no denial".to_owned());
    };
    let mut headers = pairs(input, "headers");
    headers.retain(|(name, _)| {
        !allow
            .headers()
            .any(|(own, _)| is_same(own.as_bytes(), name))
    });
    expect_eq(&headers, &pairs(expect, "headers"))
}
