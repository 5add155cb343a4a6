//! The fuzz targets of what a store returns.

use super::entry::{Entry, TokenEntry};
use super::seal::Sealer;
use super::{Index, MAX_VALUE};
use crate::Gate;
use crate::gate::Rules;
use crate::key::{Fingerprint, Key};
use crate::sys::clock::{Clock, Sleep};
use crate::sys::secret::Secret;
use crate::token::{Grant, Lifetime, Origin, is_b64token, is_jws};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

#[cfg(feature = "redis")]
pub use super::redis::target::redis_reply;

/// A clock that stands still.
struct Still(Instant);

const WALL: Duration = Duration::from_secs(1_700_000_000);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }

    fn wall(&self) -> Duration {
        WALL
    }

    fn sleep_until(&self, _: Instant) -> Sleep<'_> {
        Box::pin(std::future::pending())
    }
}

/// Gates that verify, that trust the token endpoint, and that introspect.
static GATES: LazyLock<[Gate; 3]> = LazyLock::new(|| {
    [
        "",
        r#","verify_signature":false"#,
        r#","auth_methods":["client_credentials","introspection"],"introspection_client_id":"g","introspection_client_secret":"s""#,
    ]
    .map(|own| {
        let json = format!(r#"{{"issuer":"https://a.example"{own}}}"#);
        Gate::from_json(&json).expect("a valid configuration")
    })
});

/// The text of an entry. After a byte below 32: bytes to change in a sealed value.
pub fn store_entry(data: &[u8]) {
    match data {
        [0..32, changes @ ..] if !data.trim_ascii_start().starts_with(b"{") => sealed(changes),
        _ => entry(data),
    }
}

/// A value that differs from a sealed one in any bit does not open, and neither does any other one.
fn sealed(changes: &[u8]) {
    const INDEX: Index = Index([1; 32]);
    static SEALED: LazyLock<(Sealer, Secret, Vec<u8>)> = LazyLock::new(|| {
        let (sealer, secret) = (Sealer::new(Zeroizing::new([7; 32])), Secret::new("s3cret"));
        let value = sealer
            .seal(&INDEX, &secret, br#"{"purges":0}"#)
            .expect("randomness");
        (sealer, secret, value)
    });
    let (sealer, secret, value) = &*SEALED;
    let mut changed = value.clone();
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % changed.len();
        changed[at] ^= change[1];
    }
    let opened = sealer.open(&INDEX, secret, &changed);
    assert_eq!(opened.is_some(), changed == *value);
    assert!(sealer.open(&INDEX, secret, changes).is_none());
    assert!(sealer.open(&Index([2; 32]), secret, value).is_none());
}

fn entry(data: &[u8]) {
    let Some(entry) = Entry::read(data) else {
        return;
    };
    // A written entry reads as the same entry.
    let Some(text) = entry.write() else {
        assert!(data.len() > MAX_VALUE / 8);
        return;
    };
    let again = Entry::read(&text)
        .expect("an entry")
        .write()
        .expect("a text");
    assert_eq!(*again, *text);
    let clock = Still(Instant::now());
    let life = entry.life(WALL);
    assert!(life.is_none_or(|life| !life.is_zero() && life <= MONTH));
    for gate in &*GATES {
        if let Some(token) = &entry.token {
            judge(token, &gate.rules, &clock);
        }
    }
    if let Some((denial, left)) = entry
        .refusal
        .as_ref()
        .and_then(|refusal| refusal.denial(&clock))
    {
        assert!(!left.is_zero() && left <= MONTH);
        assert!(denial.is_refusal() || denial.retry_after.is_some());
    }
}

fn judge(token: &TokenEntry<'_>, rules: &Rules, clock: &Still) {
    let origin = Origin {
        key: Key::for_test(1),
        fingerprint: Fingerprint::for_test(1),
        received: clock.now(),
        received_wall: WALL,
        is_client_supplied: false,
    };
    let Some(grant) = token.grant("id", origin, rules, clock) else {
        return;
    };
    assert!(is_b64token(grant.token()));
    assert_eq!(grant.client_id(), "id");
    // Nothing that a gate would have verified is served unverified.
    let text = serde_json::to_value(token).expect("JSON");
    if rules.introspects(grant.token()).is_some() {
        assert!(text["introspected"].is_string() && grant.claims_set().is_some());
    } else if rules.verify_signature && is_jws(grant.token()) {
        assert_eq!(text["is_verified"], true);
    }
    again(&grant, rules, clock);
}

/// A token that was shared once is shared again with the same text, and never for longer.
fn again(grant: &Grant, rules: &Rules, clock: &Still) {
    let Some(entry) = TokenEntry::of(grant, rules, clock) else {
        return;
    };
    let entry = Entry {
        token: Some(entry),
        ..Entry::default()
    };
    if let (Lifetime::Stated(lifetime), Some(life)) = (grant.lifetime, entry.life(WALL)) {
        assert!(life <= lifetime);
    }
}
