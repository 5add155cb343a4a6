use super::{bytes, config, expect_eq, optional_bytes, pairs, run_file};
use crate::Gate;
use crate::request::Request;
use crate::request::extract::{Presented, ascii, extract};
use crate::request::scratch::{Scratch, ScratchBuffer};
use crate::sys::secret::Secret;
use serde_json::{Map, Value, json};

#[test]
fn extraction() {
    run_file("extraction.json", 400, run);
}

fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let method = optional_bytes(input, "method").unwrap_or_else(|| b"GET".to_vec());
    let [authorization, query, content_type, body] =
        ["authorization", "query", "content_type", "body"].map(|name| optional_bytes(input, name));
    let args: Vec<Vec<u8>> = input
        .get("args")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |args| args.iter().map(bytes).collect());
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let credentials = input.get("credentials").map(|pair| {
        let [id, secret] = [0, 1].map(|half| bytes(&pair[half]));
        (id, secret)
    });
    let headers: Vec<(Vec<u8>, Vec<u8>)> = pairs(input, "headers");
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let request = Request {
        method: &method,
        authorization: authorization.as_deref(),
        query: query.as_deref(),
        content_type: content_type.as_deref(),
        body: body.as_deref(),
        credentials: credentials.as_ref().map(|(id, secret)| (&**id, &**secret)),
        args: &args,
        peer: None,
        traceparent: None,
        headers: gate.select_headers(headers),
    };
    let mut room = ScratchBuffer::new();
    let mut scratch = Scratch::new(&mut room);
    let came = match extract(&gate.rules.places, &request, &mut scratch) {
        Ok(Presented::Pair(pair)) => {
            // The exchange reads the secret of the gateway's own client.
            let own = gate.rules.own.as_ref();
            let own = own.filter(|_| pair.client_secret.is_empty());
            let own = own.map(|own| own.read().unwrap());
            let secret = own
                .as_ref()
                .map_or(ascii(pair.client_secret), Secret::expose);
            let mut found = json!({
                "client_id": ascii(pair.client_id), "client_secret": secret, "source": pair.source,
            });
            let args: Vec<_> = pair
                .args()
                .map(|(name, value)| {
                    json!([
                        gate.rules.places.args.get(name),
                        String::from_utf8_lossy(value)
                    ])
                })
                .collect();
            if !args.is_empty() {
                found["args"] = args.into();
            }
            found
        }
        Ok(Presented::Token(token)) => json!({ "token": token }),
        Err(cause) => json!({ "cause": cause.name(), "http_status": cause.response().0 }),
    };
    let mut expect = expect.clone();
    for name in ["client_id", "client_secret"] {
        if let Some(value) = expect.get_mut(name) {
            *value = String::from_utf8(bytes(value)).unwrap().into();
        }
    }
    expect_eq(&came, &expect)
}
