//! The OpenID provider: its metadata and keys, the token request, its responses and its health.

pub(crate) mod context;
mod discovery;
mod document;
pub(crate) mod exchange;
pub(crate) mod health;
mod introspection;
mod jwks_fetch;
pub(crate) mod patience;
mod quote;
mod refusal;
mod token_request;
mod verify;

pub(crate) use discovery::{Flaw, Metadata, read as read_metadata};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use introspection::{are_of_access_token, read as read_introspection};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use quote::url as quoted_url;
pub(crate) use refusal::{is_markup, lacks_service_account, oauth_error};

use crate::cause::{Cause, Denial};
use crate::config::TokenAuth;
use crate::env::Env;
use crate::gate::issuer::Issuer;
use crate::journal::Level;
use crate::key::{Key, KeyCache, key_cache};
use crate::token::KeySet;
use document::{Document, Fetched, Need};
use health::Health;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// One provider of an engine.
pub(crate) struct Provider {
    pub(crate) issuer: Issuer,
    pub(crate) health: Health,
    metadata: Document<Metadata>,
    keys: Document<KeySet>,
    /// The keys of other issuers, by `iss`.
    foreign_keys: HashMap<String, ForeignKeys>,
    /// By client id and gate.
    habits: KeyCache<Habits>,
    has_noted_default_scope: AtomicBool,
}

struct ForeignKeys {
    addresses: Vec<Url>,
    keys: Document<KeySet>,
}

/// The way in which the provider accepts one client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    /// The method that has worked.
    pub(crate) auth: Option<TokenAuth>,
    /// The provider refused the default scope.
    pub(crate) omits_default_scope: bool,
}

/// The maximum number of clients whose habits are remembered.
const MAX_HABITS: usize = 10_000;
/// The minimum interval between two fetches of keys for tokens that come from the token endpoint.
const AFTER_EXCHANGE: Duration = Duration::from_secs(1);

impl Provider {
    pub(crate) fn new(issuer: Issuer, max_exchanges: usize, longest_pause: Duration) -> Provider {
        let id = issuer.id.clone();
        let mut foreign_keys = HashMap::<String, ForeignKeys>::new();
        for (foreign, address) in &issuer.foreign_jwks {
            let keys = foreign_keys
                .entry(foreign.clone())
                .or_insert_with(|| ForeignKeys {
                    addresses: Vec::new(),
                    keys: Document::new(format!("{id}: keys of {foreign}")),
                });
            keys.addresses.push(address.clone());
        }
        Provider {
            foreign_keys,
            health: Health::new(&id, max_exchanges, longest_pause),
            metadata: Document::new(format!("{id}: metadata")),
            keys: Document::new(format!("{id}: keys")),
            issuer,
            habits: key_cache(MAX_HABITS),
            has_noted_default_scope: AtomicBool::new(false),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(issuer: Issuer) -> Provider {
        Provider::new(issuer, 10, Duration::from_secs(10))
    }

    pub(crate) fn habits(&self, client: &Key) -> Habits {
        self.habits.get(client).unwrap_or_default()
    }

    pub(crate) fn note_habits(&self, client: Key, habits: Habits) {
        self.habits.insert(client, habits);
    }

    /// Logs once that the provider refused the default scope to a client.
    pub(crate) fn note_default_scope(&self, env: &Env) {
        if !self.has_noted_default_scope.swap(true, Ordering::Relaxed) {
            let message = format!(
                "{} refused the scope \"openid\", the default, to a client: its token requests omit it from now on. If no \
                 client of the gate may have it, set scopes to []",
                self.issuer.id
            );
            env.journal.note(Level::Warning, message);
        }
    }

    /// Returns the metadata, without waiting unless there is none yet.
    pub(crate) async fn metadata(&self, env: &Arc<Env>) -> Result<Arc<Metadata>, Denial> {
        self.metadata_for(env, Need::Any).await
    }

    /// Returns newer metadata than those that did not suffice, if there are any.
    pub(crate) async fn newer_metadata(
        &self,
        env: &Arc<Env>,
        than: &Arc<Metadata>,
    ) -> Result<Arc<Metadata>, Denial> {
        let need = Need::Newer {
            than,
            interval: self.issuer.rediscovery,
            waits: false,
        };
        self.metadata_for(env, need).await
    }

    async fn metadata_for(
        &self,
        env: &Arc<Env>,
        need: Need<'_, Metadata>,
    ) -> Result<Arc<Metadata>, Denial> {
        if self.issuer.is_pseudo {
            return Ok(Arc::new(Metadata::of_pseudo_issuer(&self.issuer)));
        }
        self.metadata
            .get(env, need, |env| self.fetch_metadata(env))
            .await
    }

    /// Fetches the metadata again in the background, at most once per `rediscovery_lifetime`: an endpoint is missing or
    /// does not respond, and the provider may have moved.
    pub(crate) fn suspect_metadata(&self, env: &Arc<Env>) {
        if !self.issuer.is_pseudo {
            self.metadata
                .suspect(env, self.issuer.rediscovery, |env| self.fetch_metadata(env));
        }
    }

    fn fetch_metadata(
        &self,
        env: Arc<Env>,
    ) -> impl Future<Output = Result<Fetched<Metadata>, Denial>> + Send + use<> {
        let issuer = self.issuer.clone();
        let is_needed = self.metadata.is_held() || !issuer.has_endpoints();
        async move {
            let fetched = if is_needed {
                discovery::fetch(&issuer, &env).await
            } else {
                discovery::fetch_unless_unavailable(&issuer, &env).await
            };
            if fetched.is_err() {
                health::count_failure(&issuer.id, &env);
            }
            fetched
        }
    }

    /// Returns the keys of a token's issuer (`iss`), without waiting unless there are none yet: the provider's own, unless
    /// the configuration has others.
    pub(crate) async fn keys(
        &self,
        env: &Arc<Env>,
        metadata: &Metadata,
        issuer: Option<&str>,
    ) -> Result<Arc<KeySet>, Denial> {
        self.keys_for(env, metadata, issuer, Need::Any).await
    }

    /// Returns newer keys than those that did not suffice for a token, if there are any. A client's own token, which
    /// costs nothing to make up, causes a fetch once per `rediscovery_lifetime`.
    pub(crate) async fn newer_keys(
        &self,
        env: &Arc<Env>,
        metadata: &Metadata,
        issuer: Option<&str>,
        than: &Arc<KeySet>,
        is_client_supplied: bool,
    ) -> Result<Arc<KeySet>, Denial> {
        let need = Need::Newer {
            than,
            interval: if is_client_supplied {
                self.issuer.rediscovery
            } else {
                AFTER_EXCHANGE
            },
            waits: !is_client_supplied,
        };
        self.keys_for(env, metadata, issuer, need).await
    }

    async fn keys_for(
        &self,
        env: &Arc<Env>,
        metadata: &Metadata,
        issuer: Option<&str>,
        need: Need<'_, KeySet>,
    ) -> Result<Arc<KeySet>, Denial> {
        let foreign = issuer.and_then(|issuer| self.foreign_keys.get(issuer));
        let (keys, addresses) = match foreign {
            Some(foreign) => (&foreign.keys, &foreign.addresses),
            None => (&self.keys, &metadata.jwks),
        };
        if addresses.is_empty() {
            self.suspect_metadata(env);
            return Err(Denial::new(
                Cause::TokenUnverifiable,
                format!(
                    "{} publishes no keys (jwks_uri): set jwks_endpoint, or verify_signature to false",
                    self.issuer.id
                ),
            ));
        }
        let fetch = |env: Arc<Env>| {
            let (issuer, addresses) = (self.issuer.clone(), addresses.clone());
            async move { jwks_fetch::fetch(&issuer, &addresses, &env).await }
        };
        let fetched = keys.get(env, need, fetch).await;
        if fetched.is_err() {
            self.suspect_metadata(env);
        }
        fetched
    }
}

#[cfg(test)]
mod tests;
