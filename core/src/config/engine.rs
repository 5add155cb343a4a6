//! How an engine is made: its bounds, and the store that it shares tokens through.

use crate::error::{Error, ErrorKind};
use serde::Deserialize;
use std::fmt;

/// How an engine is made. The default suits a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The bound of the token cache, in bytes. 67,108,864 (64 MiB: some 15,000 JWTs) by default.
    pub cache_max_bytes: u64,
    /// The bound of the token cache, in tokens. 100,000 by default.
    pub cache_max_entries: u64,
    /// How many requests may wait for exchanges; more are answered 503. 10,000 by default.
    pub max_waiting: usize,
    /// How many exchanges may be under way at one provider; more wait. 64 by default.
    pub max_exchanges: usize,
    /// Where tokens are shared with other processes: `sqlite:/run/credgate/tokens.db` with those of this host,
    /// `redis://host:6379/0`, `rediss://…` (TLS), `redis+unix:///path/of/a/socket` or `redis+sentinel://host:26379/name/0`
    /// with a fleet. Nowhere by default.
    ///
    /// Clocks of hosts that share must agree within five seconds. The SQLite file is the library's own: nothing else in
    /// the same process may open it, not even to read, as that ends its locks.
    pub store: Option<StoreUrl>,
    /// The file with what tokens are sealed under besides their clients' secrets: 32 random bytes or more, the same for
    /// everybody who shares. By default the store's own path with `.pepper` behind it, made when first needed; with
    /// Redis it must be given.
    pub store_pepper_file: Option<String>,
    /// The pepper files of before: what is sealed under them is still found. Empty by default.
    pub store_previous_pepper_files: Vec<String>,
    /// After how many milliseconds the store is not waited for any longer. 20 by default for Redis, 250 for SQLite.
    pub store_timeout: Option<u32>,
    /// What stands, in braces, before every key in Redis: all keys are on one node of a Cluster. `credgate:` by default.
    pub store_prefix: String,
    /// The bound of the SQLite file, in bytes. 134,217,728 (128 MiB) by default.
    pub store_max_bytes: u64,
    /// The certificates that are trusted with `rediss:`, a PEM file. The system's by default.
    pub store_ca_file: Option<String>,
    /// The certificate that is shown with `rediss:` to a server that asks for one, a PEM file. None by default.
    pub store_client_cert_file: Option<String>,
    /// Its key, a PEM file.
    pub store_client_key_file: Option<String>,
    /// Whether processes tell each other their numbers through the store, so that the metrics of one are those of all on
    /// this host. Off by default.
    pub store_metrics: bool,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            cache_max_bytes: 64 * 1024 * 1024,
            cache_max_entries: 100_000,
            max_waiting: 10_000,
            max_exchanges: 64,
            store: None,
            store_pepper_file: None,
            store_previous_pepper_files: Vec::new(),
            store_timeout: None,
            store_prefix: "credgate:".to_owned(),
            store_max_bytes: 128 * 1024 * 1024,
            store_ca_file: None,
            store_client_cert_file: None,
            store_client_key_file: None,
            store_metrics: false,
        }
    }
}

impl EngineOptions {
    /// From a JSON object; members that are left out have their defaults.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`], naming the member.
    pub fn from_json(json: &str) -> Result<EngineOptions, Error> {
        if !json.trim_start().starts_with('{') {
            return Err(Error::new(
                ErrorKind::ConfigValue,
                "engine options: must be a JSON object",
            ));
        }
        let options: EngineOptions = serde_json::from_str(json).map_err(|error| {
            Error::with_source(
                ErrorKind::ConfigValue,
                format!("engine options: {error}"),
                error,
            )
        })?;
        for (name, is_zero) in [
            ("cache_max_bytes", options.cache_max_bytes == 0),
            ("cache_max_entries", options.cache_max_entries == 0),
            ("max_waiting", options.max_waiting == 0),
            ("max_exchanges", options.max_exchanges == 0),
        ] {
            if is_zero {
                return Err(Error::new(
                    ErrorKind::ConfigValue,
                    format!("engine options: {name} must be at least 1"),
                ));
            }
        }
        Ok(options)
    }
}

/// A store's URL; `Debug` does not show the password in it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// The URL as it was given, password and all.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for StoreUrl {
    fn from(url: &str) -> StoreUrl {
        StoreUrl(url.to_owned())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split_once(':').map_or("", |(scheme, _)| scheme);
        write!(f, "StoreUrl({scheme}:…)")
    }
}
