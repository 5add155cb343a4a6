//! The current pepper and the previous ones.

use super::pepper::Pepper;
use super::{Location, StoreConfig, StoreFault, StoreFaultKind, StoreFuture, file};
use crate::error::Error;
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// See the module.
pub(super) struct Peppers {
    current: OnceCell<Pepper>,
    /// The file of the current pepper, created if missing.
    path: Option<PathBuf>,
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
        let previous = config.previous_pepper_files.iter();
        Ok(Peppers {
            current: OnceCell::new_with(current),
            path: match &config.location {
                Location::Sqlite(path) => Some(file::with_suffix(path, ".pepper")),
                Location::Redis(_) => None,
            },
            previous: previous
                .map(|path| Pepper::read("store_previous_pepper_files", path))
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
            let path = self.path.clone().unwrap_or_default();
            let read = tokio::task::spawn_blocking(move || {
                file::prepare_directory(&path)?;
                Pepper::read_or_make(&path).map_err(|error| file::fault(&path, &error))
            });
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
