//! The provider's keys ([RFC 7517]).
//!
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517

use super::discovery::{FETCH_TIMEOUT, fetch_document};
use super::document::Fetched;
use crate::cause::Denial;
use crate::env::Env;
use crate::gate::issuer::Issuer;
use crate::token::KeySet;
use std::time::Instant;
use url::Url;

/// Fetches the keys of all addresses. One failure fails all: missing keys would deny clients with valid tokens.
pub(super) async fn fetch(
    issuer: &Issuer,
    addresses: &[Url],
    env: &Env,
) -> Result<Fetched<KeySet>, Denial> {
    let mut all = Fetched {
        value: KeySet::default(),
        max_age: None,
        is_substitute: false,
    };
    let deadline = env.clock.now() + FETCH_TIMEOUT;
    for url in addresses {
        let Fetched { value, max_age, .. } = fetch_one(issuer, url, env, deadline).await?;
        all.value.extend(value);
        all.max_age = match (all.max_age, max_age) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(all)
}

async fn fetch_one(
    issuer: &Issuer,
    url: &Url,
    env: &Env,
    deadline: Instant,
) -> Result<Fetched<KeySet>, Denial> {
    let read = |body: &[u8]| {
        KeySet::parse(body).ok_or_else(|| "not a JSON object with a list of keys".to_owned())
    };
    fetch_document(issuer, url, &format!("keys at {url}"), env, deadline, read).await
}
