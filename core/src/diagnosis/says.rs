//! Untrusted texts, made safe to show.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Longer texts are cut off.
const MOST: usize = 300;
/// The minimum length of a part of a secret.
const PART: usize = 8;

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

/// The provider's own text about a failure.
pub(super) fn reason(body: &[u8]) -> Option<String> {
    // The standard's member; Okta's; Hydra's; others'.
    first(
        body,
        &["error_description", "errorSummary", "error_hint", "message"],
    )
}

/// The error's code: the standard's `error`, or the provider's equivalent.
pub(super) fn error(body: &[u8]) -> Option<String> {
    first(body, &["error", "errorCode"])
}

fn first(body: &[u8], members: &[&str]) -> Option<String> {
    let answer: Map<String, Value> = crate::token::json_object(body)?;
    let said = members
        .iter()
        .find_map(|name| answer.get(*name)?.as_str())?;
    Some(shown(said))
}

/// Texts that must not be shown, in every encoding.
pub(super) struct Hidden(Vec<Zeroizing<String>>);

impl Hidden {
    pub(super) fn new(client_id: &str, secret: &str, token: Option<&str>) -> Hidden {
        let form =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair =
            |id: &str, secret: &str| STANDARD.encode(Zeroizing::new(format!("{id}:{secret}")));
        let encoded = Zeroizing::new(form(secret));
        let spellings = [
            secret.to_owned(),
            pair(client_id, secret),
            pair(&form(client_id), &encoded),
            encoded.to_string(),
        ];
        let token = token.map(str::to_owned);
        let all = spellings.into_iter().chain(token).map(Zeroizing::new);
        Hidden(
            all.map(|text| Zeroizing::new(text.to_ascii_lowercase()))
                .collect(),
        )
    }

    /// The text, unless it contains a part of a hidden one.
    pub(super) fn but(&self, text: String) -> String {
        let plain = text.to_ascii_lowercase();
        let holds = |hidden: &Zeroizing<String>| {
            let size = PART.min(hidden.len()).max(1);
            let mut parts = hidden.as_bytes().windows(size);
            parts.any(|part| plain.as_bytes().windows(size).any(|at| at == part))
        };
        if self.0.iter().any(holds) {
            "(withheld: it contains a part of the secret)".to_owned()
        } else {
            text
        }
    }
}
