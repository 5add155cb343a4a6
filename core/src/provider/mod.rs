//! The OpenID provider: who it is, what it says of itself, and its keys.

mod document;
mod issuer;
mod keys;
mod metadata;

pub(crate) use issuer::{Issuer, endpoint};
pub(crate) use metadata::{Flaw, Metadata, read as read_metadata};

use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::journal::Level;
use crate::key::Fingerprint;
use crate::limits::Breaker;
use crate::verify::KeySet;
use crate::world::World;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// One provider of an engine.
pub(crate) struct Provider {
    pub(crate) issuer: Issuer,
    pub(crate) breaker: Breaker,
    /// How many exchanges may be under way at a time.
    pub(crate) exchanges: Semaphore,
    metadata: document::Kept<Metadata>,
    keys: document::Kept<KeySet>,
    /// The gates for which the scope that is asked for where none is configured has been refused.
    without_default_scope: Mutex<HashSet<Fingerprint>>,
}

impl Provider {
    pub(crate) fn new(issuer: Issuer, max_exchanges: usize) -> Provider {
        Provider {
            issuer,
            breaker: Breaker::default(),
            exchanges: Semaphore::new(max_exchanges),
            metadata: document::Kept::default(),
            keys: document::Kept::default(),
            without_default_scope: Mutex::default(),
        }
    }

    /// Whether the default scope is to be left out for this gate.
    pub(crate) fn leaves_out_default_scope(&self, gate: &Fingerprint) -> bool {
        let gates = self.without_default_scope.lock();
        gates.unwrap_or_else(PoisonError::into_inner).contains(gate)
    }

    /// Remembers that the provider has refused the default scope to this gate, and tells the operator once.
    pub(crate) fn leave_out_default_scope(&self, gate: Fingerprint, world: &World) {
        let gates = self.without_default_scope.lock();
        if gates.unwrap_or_else(PoisonError::into_inner).insert(gate) {
            let message = format!(
                "{} refuses the scope \"openid\", which is asked for where no scopes are configured: it is left out \
                 from now on. Set scopes to [] to say so yourself",
                self.issuer.id
            );
            world.journal.note(Level::Warning, message);
        }
    }

    /// The metadata, at once where it is fresh.
    pub(crate) async fn metadata(
        &self,
        world: &Arc<World>,
        rules: &Rules,
    ) -> Result<Arc<Metadata>, Denial> {
        if self.issuer.is_pseudo {
            return Ok(Arc::new(Metadata::of_pseudo_issuer(&self.issuer)));
        }
        let (issuer, within) = (self.issuer.clone(), self.issuer.rediscovery);
        let fetch = |world: Arc<World>| async move { metadata::fetch(&issuer, &world).await };
        self.metadata
            .get(world, rules.timeout, within, None, fetch)
            .await
    }

    /// The metadata has turned out to be wrong: it is fetched anew when next needed, unless that has just been done.
    pub(crate) async fn doubt_metadata(&self) {
        self.metadata.doubt().await;
    }

    /// The provider's keys, at once where they are fresh. `unlike`: keys that have turned out not to suffice.
    pub(crate) async fn keys(
        &self,
        world: &Arc<World>,
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
            |world: Arc<World>| async move { keys::fetch(&issuer, &metadata, &world).await };
        self.keys
            .get(world, rules.timeout, within, unlike, fetch)
            .await
    }
}
