//! The current pepper and the previous ones.

use super::file::{self, Opening};
use super::pepper::Pepper;
use super::{Location, StoreConfig, StoreFault, StoreFaultKind, StoreFuture};
use crate::error::Error;
use std::path::{Path, PathBuf};
use tokio::sync::OnceCell;

/// See the module.
pub(super) struct Peppers {
    current: OnceCell<Pepper>,
    /// The SQLite file, beside which the current pepper is created if missing.
    store: Option<PathBuf>,
    previous: Vec<Pepper>,
}

impl Peppers {
    /// # Errors
    ///
    /// [`crate::ErrorKind::ConfigFile`] for a configured file without a pepper.
    pub(super) fn new(config: &StoreConfig) -> Result<Peppers, Error> {
        let current = match &config.pepper_file {
            Some(path) => Some(Pepper::read("store_pepper_file", path)?),
            None => None,
        };
        let previous = config.previous_pepper_files.iter().enumerate();
        Ok(Peppers {
            current: OnceCell::new_with(current),
            store: match &config.location {
                Location::Sqlite(path) => Some(path.clone()),
                Location::Redis(_) => None,
            },
            previous: previous
                .map(|(at, path)| Pepper::read(&format!("store_previous_pepper_files[{at}]"), path))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The current pepper, if it was read already.
    pub(super) fn known(&self) -> Option<&Pepper> {
        self.current.get()
    }

    /// The current pepper; the first call reads it on a thread that may block.
    pub(super) fn current<'s>(&'s self) -> StoreFuture<'s, &'s Pepper> {
        Box::pin(self.current.get_or_try_init(|| async {
            let store = self.store.clone().unwrap_or_default();
            let read = tokio::task::spawn_blocking(move || read_or_make(&store));
            read.await.unwrap_or_else(|error| {
                Err(StoreFault::new(
                    StoreFaultKind::Unreachable,
                    format!("its pepper cannot be read: {error}"),
                ))
            })
        }))
    }

    /// The current pepper if it was read, and the previous ones: another process may still use one of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Pepper> {
        self.known().into_iter().chain(&self.previous)
    }

    pub(super) fn previous(&self) -> &[Pepper] {
        &self.previous
    }
}

/// Reads the pepper beside a SQLite file. One process creates it: writing it through to the disk takes long if all do.
fn read_or_make(store: &Path) -> Result<Pepper, StoreFault> {
    file::prepare_directory(store)?;
    let path = file::with_suffix(store, ".pepper");
    let read = || Pepper::read_or_make(&path).map_err(|error| file::fault(&path, &error));
    file::patiently(store, || {
        if path.exists() {
            return read().map(Some);
        }
        match Opening::exclusive(store)? {
            Some(_opening) => read().map(Some),
            None => Ok(None),
        }
    })
}
