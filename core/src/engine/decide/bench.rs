//! The steps of a hit as `core/benches/hit.rs` measures them. Not part of the public API.

use super::{Inner, SCRATCH};
use crate::cache_status::CacheStatus;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::key::Key;
use crate::outcome::Outcome;
use crate::request::extract::{basic_alone, extract};
use crate::request::scratch::Scratch;
use crate::request::{Request, Source};
use crate::sys::clock::Moment;
use crate::token::Grant;
use std::hint::black_box;
use std::sync::Arc;

/// A request whose token is cached, and the result of each step.
pub struct BenchHit<'r> {
    inner: Arc<Inner>,
    gate: Gate,
    request: Request<'r>,
    text: &'r [u8],
    key: Key,
    grant: Arc<Grant>,
    moment: Moment,
}

impl<'r> BenchHit<'r> {
    /// Takes the steps of a request with Basic credentials.
    ///
    /// # Panics
    ///
    /// If the token is not cached, or the credentials are not Basic alone.
    #[expect(clippy::unwrap_used, reason = "a benchmark may panic")]
    pub fn new(engine: &Engine, gate: &Gate, request: Request<'r>) -> BenchHit<'r> {
        let (inner, gate) = (Arc::clone(&engine.inner), gate.clone());
        let text = SCRATCH.with_borrow_mut(|buffer| {
            basic_alone(&gate.rules.places, &request, &mut Scratch::new(buffer)).unwrap()
        });
        let key = inner.process_key.basic(&gate.rules.fingerprint, text);
        let grant = inner.shared.token(&key).unwrap();
        let moment = inner.shared.env.clock.coarse();
        BenchHit {
            inner,
            gate,
            request,
            text,
            key,
            grant,
            moment,
        }
    }

    /// The length of the message of the MAC behind the key, without its header.
    pub fn key_len(&self) -> usize {
        self.text.len()
    }

    /// Reads both clocks.
    pub fn clock(&self) {
        black_box(self.inner.shared.env.clock.coarse());
    }

    /// Finds the text of Basic.
    pub fn extract(&self) {
        SCRATCH.with_borrow_mut(|buffer| {
            let scratch = &mut Scratch::new(buffer);
            black_box(basic_alone(&self.gate.rules.places, &self.request, scratch));
        });
    }

    /// Finds and decodes the pair, and wipes it: for hits with credentials in two places, or with a miss.
    pub fn decode(&self) {
        SCRATCH.with_borrow_mut(|buffer| {
            let scratch = &mut Scratch::new(buffer);
            black_box(extract(&self.gate.rules.places, &self.request, scratch).is_ok());
        });
    }

    /// Computes the cache key.
    pub fn key(&self) {
        let fingerprint = &self.gate.rules.fingerprint;
        black_box(self.inner.process_key.basic(fingerprint, self.text));
    }

    /// Finds the token.
    pub fn look(&self) {
        black_box(self.inner.shared.token(&self.key));
    }

    /// Checks the token against its lifetime and the requirements.
    pub fn judge(&self) {
        let Moment { now, wall } = self.moment;
        let rules = &self.gate.rules;
        black_box(rules.retention.age(&self.grant, now, wall));
        let _ = black_box(rules.policy.check(&self.grant, wall));
    }

    /// Makes the outcome, counts it, and drops it.
    pub fn outcome(&self) {
        let rules = &self.gate.rules;
        black_box(Outcome::of_verdict(
            rules,
            Arc::clone(&self.grant),
            Ok(()),
            CacheStatus::Hit,
            Source::Header,
            &self.inner.shared.env.metrics,
        ));
    }
}
