//! The environment of an exchange.

use crate::http::Transport;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::sys::clock::Clock;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

/// The seams of an engine (transport and clock), its metrics, and its log records.
pub(crate) struct Env {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) journal: Journal,
    /// Counts purges of everything, which also forget the documents of all providers.
    documents: AtomicU64,
}

impl Env {
    pub(crate) fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Env {
        Env {
            transport,
            clock,
            metrics: Metrics::default(),
            journal: Journal::default(),
            documents: AtomicU64::new(0),
        }
    }

    /// The generation of documents: those of an earlier one are not used.
    pub(crate) fn documents(&self) -> u64 {
        self.documents.load(Ordering::Acquire)
    }

    /// Forgets the documents of all providers.
    pub(crate) fn forget_documents(&self) {
        self.documents.fetch_add(1, Ordering::AcqRel);
    }

    /// The output of a future, or `None` if the deadline comes first.
    pub(crate) async fn within<F: Future>(
        &self,
        deadline: Instant,
        future: F,
    ) -> Option<F::Output> {
        let (mut future, mut sleep) = (pin!(future), self.clock.sleep_until(deadline));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
        })
        .await
    }
}
