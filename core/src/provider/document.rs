//! A document of the provider: fetched on first use, one fetch at a time, kept if a later fetch fails.

use crate::cause::{Cause, Denial};
use crate::env::Env;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The time for which a document is fresh.
pub(super) const FRESH: Duration = Duration::from_secs(3600);
/// The backoff after a failure.
const BACK_OFF: Duration = Duration::from_secs(5);

/// The last good document, and the time of the next fetch.
pub(super) struct Kept<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    good: Option<Arc<T>>,
    fresh_until: Option<Instant>,
    /// Set before a fetch, so that failed and hanging fetches count too.
    tried: Option<Instant>,
    failure: Option<Denial>,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Arc::new(Mutex::new(State {
            good: None,
            fresh_until: None,
            tried: None,
            failure: None,
        })))
    }
}

impl<T: Send + Sync + 'static> Kept<T> {
    /// Returns the document, at once if it is fresh and differs from `unlike`. Concurrent callers wait for one fetch,
    /// which continues if its first caller is dropped. `within`: the minimum interval between two fetches.
    pub(super) async fn get<F>(
        &self,
        env: &Arc<Env>,
        timeout: Duration,
        within: Duration,
        unlike: Option<&Arc<T>>,
        fetch: impl FnOnce(Arc<Env>) -> F,
    ) -> Result<Arc<T>, Denial>
    where
        F: Future<Output = Result<T, Denial>> + Send + 'static,
    {
        let mut state = Arc::clone(&self.0).lock_owned().await;
        let now = env.clock.now();
        if let Some(good) = &state.good {
            let is_fresh = state.fresh_until.is_some_and(|until| now < until);
            let is_other = unlike.is_none_or(|unlike| !Arc::ptr_eq(unlike, good));
            if is_fresh && is_other {
                return Ok(Arc::clone(good));
            }
        }
        let pause = if state.failure.is_some() {
            BACK_OFF
        } else {
            within
        };
        if let Some(next) = state.tried.and_then(|tried| tried.checked_add(pause))
            && now < next
        {
            return state.last_good(next - now);
        }
        state.tried = Some(now);
        let fetch = fetch(Arc::clone(env));
        let env = Arc::clone(env);
        let task = tokio::spawn(async move {
            let fetched = tokio::time::timeout(timeout, fetch).await;
            match fetched.unwrap_or_else(|_| Err(late())) {
                Ok(document) => {
                    let document = Arc::new(document);
                    state.good = Some(Arc::clone(&document));
                    state.fresh_until = env.clock.now().checked_add(FRESH);
                    state.failure = None;
                    Ok(document)
                }
                Err(denial) => {
                    state.failure = Some(denial.clone());
                    // The backoff starts when the failure is known.
                    state.tried = Some(env.clock.now());
                    state.good.clone().ok_or(denial)
                }
            }
        });
        task.await.unwrap_or_else(|_| {
            Err(Denial::new(
                Cause::Internal,
                "a fetch ended unexpectedly; this is a defect of credgate",
            ))
        })
    }

    pub(super) async fn doubt(&self) {
        self.0.lock().await.fresh_until = None;
    }
}

impl<T> State<T> {
    fn last_good(&self, wait: Duration) -> Result<Arc<T>, Denial> {
        self.good.clone().ok_or_else(|| {
            let denial = self.failure.clone().unwrap_or_else(late);
            denial.retry_in(wait)
        })
    }
}

fn late() -> Denial {
    Denial::new(
        Cause::ProviderTimeout,
        "the provider's metadata or keys did not come in time",
    )
}
