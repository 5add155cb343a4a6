//! The provider's keys ([RFC 7517]).
//!
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517

use super::Metadata;
use super::discovery::{MAX_DOCUMENT, unavailable};
use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::gate::issuer::Issuer;
use crate::http::Call;
use crate::token::KeySet;
use url::Url;

/// Fetches the keys of all addresses. One failure fails all: missing keys would deny clients with valid tokens.
pub(super) async fn fetch(
    issuer: &Issuer,
    metadata: &Metadata,
    env: &Env,
) -> Result<KeySet, Denial> {
    let mut all = KeySet::default();
    for url in &metadata.jwks {
        all.extend(fetch_one(issuer, url, env).await?);
    }
    Ok(all)
}

async fn fetch_one(issuer: &Issuer, url: &Url, env: &Env) -> Result<KeySet, Denial> {
    let what = format!("keys at {url}");
    let call = Call {
        url: url.clone(),
        form: None,
        headers: issuer.headers.clone(),
        max_answer: MAX_DOCUMENT,
    };
    let sent = env.transport.send(&issuer.connection, call).await;
    let reply = sent.map_err(|fault| unavailable(&what, &fault))?;
    match reply.status {
        200 => KeySet::parse(&reply.body).ok_or_else(|| {
            let detail = format!("{what}: not a JSON object with a list of keys");
            Denial::new(Cause::ProviderResponseInvalid, detail)
        }),
        status => Err(super::discovery::refused(&what, status)),
    }
}
