//! What others worded, made fit to be shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Longer things are cut off.
const MOST: usize = 300;
/// A part of a secret of this length is one.
const PART: usize = 6;

/// Printable ASCII, bounded: nothing that could move a terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    let printable = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let mut shown: String = text.chars().take(MOST).map(printable).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A claim or a member, on one line.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            let words: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            shown(&words.join(" "))
        }
        other => shown(&other.to_string()),
    }
}

/// What a provider says of a failure in its own words: not where they hold a part of the secret, however written.
pub(super) fn reason(body: &[u8], client_id: &str, secret: &str) -> Option<String> {
    // The standard's; Okta's; Hydra's; what others have.
    const MEMBERS: [&str; 4] = ["error_description", "errorSummary", "error_hint", "message"];

    let answer: Map<String, Value> = crate::token::json_object(body)?;
    let said = MEMBERS
        .into_iter()
        .find_map(|name| answer.get(name)?.as_str())?;
    Some(unless_secret(said, client_id, secret))
}

/// The error's code: the standard's `error`, or what the provider has in its place.
pub(super) fn error(body: &[u8], client_id: &str, secret: &str) -> Option<String> {
    let answer: Map<String, Value> = crate::token::json_object(body)?;
    let code = ["error", "errorCode"]
        .into_iter()
        .find_map(|name| answer.get(name)?.as_str())?;
    Some(unless_secret(code, client_id, secret))
}

fn unless_secret(said: &str, client_id: &str, secret: &str) -> String {
    if holds_part(said, client_id, secret) {
        "(withheld: it holds a part of the secret)".to_owned()
    } else {
        shown(said)
    }
}

fn holds_part(text: &str, client_id: &str, secret: &str) -> bool {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let form = Zeroizing::new(encoded(secret));
    let spellings = [
        Zeroizing::new(secret.to_owned()),
        Zeroizing::new(STANDARD.encode(format!("{client_id}:{secret}"))),
        Zeroizing::new(STANDARD.encode(format!("{}:{}", encoded(client_id), *form))),
        form,
    ];
    let text = text.to_ascii_lowercase();
    spellings.iter().any(|spelling| {
        let spelling = Zeroizing::new(spelling.to_ascii_lowercase());
        let part = PART.min(spelling.len());
        let mut parts = spelling.as_bytes().windows(part.max(1));
        parts.any(|part| text.as_bytes().windows(part.len()).any(|at| at == part))
    })
}
