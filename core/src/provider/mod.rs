//! The OpenID provider: its metadata and keys, the token request, its responses and its health.

mod discovery;
mod document;
pub(crate) mod exchange;
mod health;
mod jwks_fetch;
mod refusal;
mod token_request;

pub(crate) use discovery::{Flaw, Metadata, read as read_metadata};
pub(crate) use refusal::{is_markup, oauth_error};

use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::gate::Rules;
use crate::gate::issuer::Issuer;
use crate::journal::Level;
use crate::key::Fingerprint;
use crate::token::KeySet;
use health::Health;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// One provider of an engine.
pub(crate) struct Provider {
    pub(crate) issuer: Issuer,
    health: Health,
    metadata: document::Kept<Metadata>,
    keys: document::Kept<KeySet>,
    /// The gates for which the provider refused the default scope.
    without_default_scope: Mutex<HashSet<Fingerprint>>,
}

impl Provider {
    pub(crate) fn new(issuer: Issuer, max_exchanges: usize) -> Provider {
        Provider {
            health: Health::new(&issuer.id, max_exchanges),
            issuer,
            metadata: document::Kept::default(),
            keys: document::Kept::default(),
            without_default_scope: Mutex::default(),
        }
    }

    /// Whether to omit the default scope for this gate.
    pub(crate) fn leaves_out_default_scope(&self, gate: &Fingerprint) -> bool {
        let gates = self.without_default_scope.lock();
        gates.unwrap_or_else(PoisonError::into_inner).contains(gate)
    }

    /// Records that the provider refused the default scope to this gate, and logs it once.
    pub(crate) fn leave_out_default_scope(&self, gate: Fingerprint, env: &Env) {
        let gates = self.without_default_scope.lock();
        if gates.unwrap_or_else(PoisonError::into_inner).insert(gate) {
            let message = format!(
                "{} refuses the scope \"openid\", which is asked for where no scopes are configured: it is left out \
                 from now on. Set scopes to [] to say so yourself",
                self.issuer.id
            );
            env.journal.note(Level::Warning, message);
        }
    }

    /// Returns the metadata, at once if it is fresh.
    pub(crate) async fn metadata(
        &self,
        env: &Arc<Env>,
        rules: &Rules,
    ) -> Result<Arc<Metadata>, Denial> {
        if self.issuer.is_pseudo {
            return Ok(Arc::new(Metadata::of_pseudo_issuer(&self.issuer)));
        }
        let (issuer, within) = (self.issuer.clone(), self.issuer.rediscovery);
        let fetch = |env: Arc<Env>| async move { discovery::fetch(&issuer, &env).await };
        self.metadata
            .get(env, rules.timeout, within, None, fetch)
            .await
    }

    /// Marks the metadata as stale: the next use fetches it again, unless it was fetched recently.
    pub(crate) async fn doubt_metadata(&self) {
        self.metadata.doubt().await;
    }

    /// Returns the provider's keys, at once if they are fresh. `unlike`: a key set that did not suffice.
    pub(crate) async fn keys(
        &self,
        env: &Arc<Env>,
        rules: &Rules,
        metadata: &Arc<Metadata>,
        unlike: Option<&Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, Denial> {
        if metadata.jwks.is_empty() {
            return Err(Denial::new(
                Cause::TokenUnverifiable,
                format!(
                    "{} publishes no keys (jwks_uri): set jwks_endpoint, or verify_signature to false",
                    self.issuer.id
                ),
            ));
        }
        let (issuer, within) = (self.issuer.clone(), self.issuer.rediscovery);
        let metadata = Arc::clone(metadata);
        let fetch =
            |env: Arc<Env>| async move { jwks_fetch::fetch(&issuer, &metadata, &env).await };
        self.keys
            .get(env, rules.timeout, within, unlike, fetch)
            .await
    }
}

#[cfg(test)]
mod tests;
