//! The environment of an exchange.

use crate::http::Transport;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::sys::clock::Clock;
use std::sync::Arc;

/// The seams of an engine (transport and clock), its metrics, and its log records.
pub(crate) struct Env {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) journal: Journal,
}

impl Env {
    pub(crate) fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Env {
        Env {
            transport,
            clock,
            metrics: Metrics::default(),
            journal: Journal::default(),
        }
    }
}
