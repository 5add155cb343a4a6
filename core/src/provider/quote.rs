//! Texts of the provider and of tokens that a log line may quote: bounded, of harmless characters, without credentials.

use crate::request::credentials::Credentials;
use crate::token::json_object;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

/// The maximum length of a quoted URL, in bytes.
const MAX_URL: usize = 200;
/// The maximum length of a quoted OAuth error, in bytes.
const MAX_WORD: usize = 40;
/// The maximum length of a quoted key id or algorithm, in bytes.
const MAX_ID: usize = 64;
/// A text that shares this many characters with a credential is not quoted.
const PART: usize = 8;

/// An http or https URL without user name, query and fragment.
pub(crate) fn url(text: &str) -> Option<&str> {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte);
    let url = Url::parse(text).ok()?;
    let is_quoted = text.len() <= MAX_URL
        && text.bytes().all(is_harmless)
        && matches!(url.scheme(), "http" | "https")
        && url.has_host();
    is_quoted.then_some(text)
}

/// An OAuth error of the provider's own: words of lower-case letters, joined by underscores.
pub(super) fn error_word<'t>(text: &'t str, credentials: &Credentials) -> Option<&'t str> {
    let is_word = text.len() <= MAX_WORD
        && text
            .split('_')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let is_credential =
        repeats(text, &credentials.client_id) || repeats(text, credentials.client_secret.expose());
    (is_word && !is_credential).then_some(text)
}

/// The key id and the algorithm that a token names, to follow a reason; empty if its header is not readable. `credentials`:
/// those for which the provider issued it.
pub(super) fn signer(token: &str, credentials: Option<&Credentials>) -> String {
    let header = || {
        let header = token.split('.').next()?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: Map<String, Value> = json_object(&header)?;
        let alg = header.get("alg")?.as_str()?.to_owned();
        Some((header.get("kid").cloned(), alg))
    };
    let quoted = |name: &str, text: Option<&str>| match text.filter(|text| is_id(text)) {
        Some(text) if !credentials.is_some_and(|one| repeats(text, one.client_secret.expose())) => {
            format!("{name} {text}")
        }
        _ => format!("{name} not shown"),
    };
    let Some((kid, alg)) = header() else {
        return String::new();
    };
    let kid = match kid {
        Some(kid) => quoted("kid", kid.as_str()),
        None => "no kid".to_owned(),
    };
    format!("; {kid}, {}", quoted("alg", Some(&alg)))
}

fn is_id(text: &str) -> bool {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/+=".contains(&byte);
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(is_harmless)
}

/// Whether one contains the other, or they share [`PART`] characters, in upper or lower case.
fn repeats(text: &str, credential: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let credential = Zeroizing::new(credential.to_ascii_lowercase());
    let size = PART.min(credential.len()).max(1);
    let mut parts = credential.as_bytes().windows(size);
    credential.contains(&text)
        || parts.any(|part| text.as_bytes().windows(size).any(|at| at == part))
}
