//! The provider's keys ([RFC 7517]).
//!
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517

use super::discovery::{MAX_DOCUMENT, refused, unavailable};
use super::document::Fetched;
use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::gate::issuer::Issuer;
use crate::http::Call;
use crate::token::KeySet;
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
    };
    for url in addresses {
        let Fetched { value, max_age } = fetch_one(issuer, url, env).await?;
        all.value.extend(value);
        all.max_age = match (all.max_age, max_age) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(all)
}

async fn fetch_one(issuer: &Issuer, url: &Url, env: &Env) -> Result<Fetched<KeySet>, Denial> {
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
        200 => {
            let value = KeySet::parse(&reply.body).ok_or_else(|| {
                let detail = format!("{what}: not a JSON object with a list of keys");
                Denial::new(Cause::ProviderResponseInvalid, detail)
            })?;
            Ok(Fetched {
                value,
                max_age: reply.max_age,
            })
        }
        _ => Err(refused(&what, &reply, env.clock.wall())),
    }
}
