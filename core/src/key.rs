//! The key of a token: everything that can change it.
//!
//! `key = BLAKE3-MAC(process key, version ‖ kind ‖ gate's fingerprint ‖ len ‖ client_id ‖ len ‖ client_secret ‖ count ‖
//! (number of name ‖ len ‖ value)…)`. Every variable part is preceded by its length and every list by its count, so no
//! two different tuples encode to the same bytes. The process key is random, so that keys mean nothing outside of the
//! process and cannot be made to collide in the maps below.

use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Identifies a token in this process: a 256-bit MAC. Flight table and token cache use the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Between 0 and 1, evenly over all keys.
    pub(crate) fn fraction(&self) -> f64 {
        let [.., a, b] = self.0;
        f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX)
    }

    #[cfg(test)]
    pub(crate) fn for_test(number: u8) -> Key {
        Key([number; 32])
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// The random key under which this process's [`Key`]s are made.
pub(crate) struct ProcessKey([u8; 32]);

/// Identifies what a gate asks for: two gates that would get the same token have the same fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

#[cfg(test)]
impl Fingerprint {
    pub(crate) fn for_test(number: u8) -> Fingerprint {
        Fingerprint([number; 32])
    }
}

/// Changed whenever the encoding changes.
const VERSION: u8 = 2;
/// What a key is made of: a tag, so that the parts of one kind never read as those of another.
const PAIR: u8 = 1;
const TOKEN: u8 = 2;
const CLIENT: u8 = 3;

impl ProcessKey {
    #[cfg(test)]
    pub(crate) fn for_test() -> ProcessKey {
        ProcessKey([7; 32])
    }

    pub(crate) fn random() -> Result<ProcessKey, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(ProcessKey(bytes))
    }

    /// The key of the token that a pair is exchanged for. `args` are the caller's own arguments: the number of one of
    /// the gate's names, and a value. No allocation, no system call: a hit computes this.
    pub(crate) fn pair<'a>(
        &self,
        gate: &Fingerprint,
        client_id: &[u8],
        client_secret: &[u8],
        args: impl ExactSizeIterator<Item = (u8, &'a [u8])>,
    ) -> Key {
        let mut mac = self.mac(PAIR, gate);
        update_with_length(&mut mac, client_id);
        update_with_length(&mut mac, client_secret);
        mac.update(&(args.len() as u64).to_le_bytes());
        for (name, value) in args {
            mac.update(&[name]);
            update_with_length(&mut mac, value);
        }
        Key(*mac.finalize().as_bytes())
    }

    /// The key of a token that a client brings itself.
    pub(crate) fn token(&self, gate: &Fingerprint, token: &[u8]) -> Key {
        let mut mac = self.mac(TOKEN, gate);
        update_with_length(&mut mac, token);
        Key(*mac.finalize().as_bytes())
    }

    /// The key of a client at a gate, whatever its secret: for counting.
    pub(crate) fn client(&self, gate: &Fingerprint, client_id: &[u8]) -> Key {
        let mut mac = self.mac(CLIENT, gate);
        update_with_length(&mut mac, client_id);
        Key(*mac.finalize().as_bytes())
    }

    fn mac(&self, kind: u8, gate: &Fingerprint) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(&self.0);
        mac.update(&[VERSION, kind]);
        mac.update(&gate.0);
        mac
    }
}

/// Collects what a gate's token depends on.
pub(crate) struct FingerprintBuilder(blake3::Hasher);

impl FingerprintBuilder {
    pub(crate) fn new() -> FingerprintBuilder {
        FingerprintBuilder(blake3::Hasher::new_derive_key(
            "credgate 2026 gate fingerprint v1",
        ))
    }

    pub(crate) fn part(&mut self, part: &[u8]) -> &mut FingerprintBuilder {
        update_with_length(&mut self.0, part);
        self
    }

    /// A list: its length first, so that lists that follow each other cannot run into one another.
    pub(crate) fn list<'a>(
        &mut self,
        parts: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> &mut FingerprintBuilder {
        self.0.update(&(parts.len() as u64).to_le_bytes());
        for part in parts {
            self.part(part);
        }
        self
    }

    pub(crate) fn finish(&self) -> Fingerprint {
        Fingerprint(*self.0.finalize().as_bytes())
    }
}

fn update_with_length(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// For maps whose key is a [`Key`]: it is uniformly distributed and secret already, so eight bytes of it are the hash.
pub(crate) type KeyHash = BuildHasherDefault<KeyHasher>;

#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ARGS: [(u8, &[u8]); 0] = [];

    fn gate(parts: &[&[u8]]) -> Fingerprint {
        let mut builder = FingerprintBuilder::new();
        builder.list(parts.iter().copied());
        builder.finish()
    }

    #[test]
    fn a18_no_shift_of_bytes_between_parts_gives_the_same_key() {
        let process = ProcessKey([7; 32]);
        let gate = gate(&[b"issuer"]);
        let key = process.pair(&gate, b"client:a", b"secret", NO_ARGS.into_iter());
        for (id, secret) in [
            ("client", ":asecret"),
            ("client:asecret", ""),
            ("", "client:asecret"),
            ("client:a", "secre"),
        ] {
            assert_ne!(
                key,
                process.pair(&gate, id.as_bytes(), secret.as_bytes(), NO_ARGS.into_iter())
            );
        }
        assert_eq!(
            key,
            process.pair(&gate, b"client:a", b"secret", NO_ARGS.into_iter())
        );
    }

    #[test]
    fn a18_lists_that_follow_each_other_do_not_run_together() {
        let mut one = FingerprintBuilder::new();
        one.list([b"a".as_slice(), b"b"].into_iter())
            .list([b"c".as_slice()].into_iter());
        let mut two = FingerprintBuilder::new();
        two.list([b"a".as_slice()].into_iter())
            .list([b"b".as_slice(), b"c"].into_iter());
        assert_ne!(one.finish(), two.finish());
        assert_ne!(gate(&[b"ab"]), gate(&[b"a", b"b"]));
    }

    #[test]
    fn keys_of_two_processes_differ() {
        let gate = gate(&[b"issuer"]);
        let (one, two) = (ProcessKey::random().unwrap(), ProcessKey::random().unwrap());
        assert_ne!(
            one.pair(&gate, b"id", b"secret", NO_ARGS.into_iter()),
            two.pair(&gate, b"id", b"secret", NO_ARGS.into_iter())
        );
    }
}
