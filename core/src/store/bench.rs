//! The stores as `core/benches/stores.rs` measures them. Not part of the public API.

use super::config::StoreConfig;
use super::{Index, Store};
use crate::config::engine::EngineOptions;
use crate::error::Error;
use crate::sys::clock::SystemClock;
use std::sync::Arc;
use std::time::Duration;

/// A store without an engine.
#[derive(Clone)]
pub struct BenchStore(Arc<dyn Store>);

const HOUR: Duration = Duration::from_secs(3600);

impl BenchStore {
    /// The store that engine options name, which must name one.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::new`].
    ///
    /// # Panics
    ///
    /// If the options name no store.
    #[expect(clippy::unwrap_used, reason = "a benchmark may panic")]
    pub fn open(options: &EngineOptions) -> Result<BenchStore, Error> {
        let config = StoreConfig::compile(options)?.unwrap();
        super::open(&config, Arc::new(SystemClock)).map(BenchStore)
    }

    /// Puts a value at a numbered index.
    ///
    /// # Panics
    ///
    /// If the store fails.
    #[expect(clippy::unwrap_used, reason = "a benchmark may panic")]
    pub async fn put(&self, number: usize, value: Vec<u8>) {
        self.0.put(index(number), value, HOUR).await.unwrap();
    }

    /// Returns the value at a numbered index.
    ///
    /// # Panics
    ///
    /// If the store fails, or has no value there.
    #[expect(clippy::unwrap_used, reason = "a benchmark may panic")]
    pub async fn look(&self, number: usize) -> Vec<u8> {
        self.0.look(index(number)).await.unwrap().value.unwrap()
    }
}

/// The 32 bytes under which the store keeps a numbered value: SQLite's `entry.id`, the end of Redis's key.
pub fn id(number: usize) -> [u8; 32] {
    index(number).0
}

fn index(number: usize) -> Index {
    Index(*blake3::hash(&number.to_le_bytes()).as_bytes())
}
