//! The options of an engine: its limits, and its shared store.

use super::typed;
use super::unique::Unique;
use crate::error::{ENGINE_OPTIONS, Error, ErrorKind, Problems};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// The options of an engine. The default suits a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Maximum size of the token cache, in bytes. Default: 67,108,864 (64 MiB, about 50,000 JWTs).
    pub cache_max_bytes: u64,
    /// Maximum number of tokens in the token cache. Default: 100,000.
    pub cache_max_entries: u64,
    /// Maximum number of requests that wait for exchanges; further ones are denied with 503. Default: 10,000.
    pub max_waiting: usize,
    /// Maximum number of concurrent exchanges at one provider; further ones wait. Default: 64.
    pub max_exchanges: usize,
    /// Maximum time for which an open circuit breaker keeps exchanges from a provider, in seconds. Cached tokens are
    /// served meanwhile. Default: 5.
    pub provider_pause_max: u32,
    /// URL of the store that shares tokens with other processes. `sqlite:/run/credgate/tokens.db` shares with processes
    /// of this host. `redis://host:6379/0`, `rediss://…` (TLS), `redis+unix:///path/of/a/socket` and
    /// `redis+sentinel://host:26379/name/0` share with a fleet. Default: none.
    ///
    /// The clocks of sharing hosts must agree within 5 seconds. The SQLite file belongs to the library: nothing else in
    /// the same process may open it, not even to read, because closing it would drop the library's locks.
    pub store: Option<StoreUrl>,
    /// File with the password of Redis, read at each connect: a rotated password needs no restart. A user stands in the
    /// URL, without a password (`redis://user@host:6379/0`). Default: the password in the URL.
    pub store_password_file: Option<String>,
    /// File with the pepper: 32 or more random bytes, the same for all processes that share tokens. Stored tokens are
    /// sealed with the pepper and the client's secret. Default: the path of the SQLite file plus `.pepper`, created on
    /// first use. Required with Redis.
    pub store_pepper_file: Option<String>,
    /// Previous pepper files; tokens sealed with them can still be read. Default: none.
    #[serde(deserialize_with = "super::shapes::list")]
    pub store_previous_pepper_files: Vec<String>,
    /// Deadline of a store operation, in milliseconds. Default: 20 for Redis, 1,000 for SQLite.
    pub store_timeout: Option<u32>,
    /// Prefix of all keys in Redis, written `{prefix}` so that all keys share one Cluster slot. Default: `credgate:`.
    pub store_prefix: String,
    /// Maximum size of the SQLite file, in bytes. Default: 134,217,728 (128 MiB).
    pub store_max_bytes: u64,
    /// File of PEM certificates to trust with `rediss:`. Default: the system's.
    pub store_ca_file: Option<String>,
    /// File with the PEM certificate to present with `rediss:`, if the server requests one. Default: none.
    pub store_client_cert_file: Option<String>,
    /// File with the PEM key of `store_client_cert_file`.
    pub store_client_key_file: Option<String>,
    /// Share metrics through the store: each process reports the sum over all processes of this host, except the counters
    /// of each client. Default: false.
    pub store_metrics: bool,
    /// Maximum number of clients that have counters of their own in the metrics, at most 10,000. The first ones to get a
    /// token have them until the engine ends; all other requests count as `other`. Default: 0, no such counters.
    pub metrics_clients: usize,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            cache_max_bytes: 64 * 1024 * 1024,
            cache_max_entries: 100_000,
            max_waiting: 10_000,
            max_exchanges: 64,
            provider_pause_max: 5,
            store: None,
            store_password_file: None,
            store_pepper_file: None,
            store_previous_pepper_files: Vec::new(),
            store_timeout: None,
            store_prefix: "credgate:".to_owned(),
            store_max_bytes: 128 * 1024 * 1024,
            store_ca_file: None,
            store_client_cert_file: None,
            store_client_key_file: None,
            store_metrics: false,
            metrics_clients: 0,
        }
    }
}

impl EngineOptions {
    /// Reads a JSON object. Missing members have their defaults.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`], with a line for each wrong member, naming it.
    pub fn from_json(json: &str) -> Result<EngineOptions, Error> {
        let wrong =
            |why: &str| Error::new(ErrorKind::ConfigValue, format!("{ENGINE_OPTIONS}{why}"));
        let Unique(value) = serde_json::from_str(json)
            .map_err(|error| wrong(&format!("must be a JSON object: {error}")))?;
        let Value::Object(object) = value else {
            return Err(wrong("must be a JSON object"));
        };
        let mut problems = Problems::default();
        let options: EngineOptions = typed::read(object, ENGINE_OPTIONS, &mut problems);
        for (name, is_zero) in [
            ("cache_max_bytes", options.cache_max_bytes == 0),
            ("cache_max_entries", options.cache_max_entries == 0),
            ("max_waiting", options.max_waiting == 0),
            ("max_exchanges", options.max_exchanges == 0),
            ("provider_pause_max", options.provider_pause_max == 0),
        ] {
            if is_zero {
                problems.add(wrong(&format!("{name}: must be at least 1")));
            }
        }
        if options.metrics_clients > MAX_CLIENTS {
            problems.add(wrong(&format!(
                "metrics_clients: must be at most {MAX_CLIENTS}"
            )));
        }
        problems.finish().map(|()| options)
    }
}

/// The maximum of `metrics_clients`: each client is two lines in the metrics.
const MAX_CLIENTS: usize = 10_000;

/// The URL of a store. `Debug` does not show its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// The URL, including its password.
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
