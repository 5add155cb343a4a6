//! What an exchange needs of the world outside.

use crate::clock::Clock;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::transport::Transport;
use std::sync::Arc;

/// The seams of an engine, and where it tells what it does.
pub(crate) struct World {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) journal: Journal,
}

impl World {
    pub(crate) fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> World {
        World {
            transport,
            clock,
            metrics: Metrics::default(),
            journal: Journal::default(),
        }
    }
}
