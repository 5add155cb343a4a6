//! The cache key of a token: a MAC over everything that can change the token.
//!
//! `key = BLAKE3-MAC(process key, version ‖ kind ‖ gate's fingerprint ‖ len ‖ client_id ‖ len ‖ client_secret ‖ count ‖
//! (number of name ‖ len ‖ value)…)`. A length precedes every variable part and a count every list, so the encoding is
//! injective. The process key is random: keys mean nothing outside the process, and clients cannot construct collisions
//! in the maps that use them.
//!
//! Lengths and counts are short, and a fingerprint has 128 bits, because every hit computes the key: an id of 32 bytes
//! and a secret of 64 fit two blocks. Fingerprints are of configurations, which no attacker chooses.

use crate::request::credentials::MAX_LEN;
use crate::sys::secret::wipe;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Identifies a token in this process: a 256-bit MAC. Flight table and token cache use the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl Key {
    /// A number between 0 and 1, uniform over all keys.
    pub(crate) fn fraction(&self) -> f64 {
        let [.., a, b] = self.0;
        f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX)
    }

    #[cfg(test)]
    pub(crate) fn for_test(number: u8) -> Key {
        Key([number; 32])
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// The MAC key: random and private to this process, or derived from a pepper for the shared store.
pub(crate) struct MacKey(Zeroizing<[u8; 32]>);

/// Identifies the token request of a gate: gates that would get the same token have the same fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 16]);

#[cfg(test)]
impl Fingerprint {
    pub(crate) fn for_test(number: u8) -> Fingerprint {
        Fingerprint([number; 16])
    }
}

/// Changed whenever the encoding changes.
const VERSION: u8 = 3;
/// The kind of a key: a tag that separates the encodings of different kinds.
const PAIR: u8 = 1;
const TOKEN: u8 = 2;
const CLIENT: u8 = 3;
const PURGE: u8 = 4;
const SOURCE: u8 = 5;

impl MacKey {
    #[cfg(test)]
    pub(crate) fn for_test() -> MacKey {
        MacKey::new(Zeroizing::new([7; 32]))
    }

    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> MacKey {
        MacKey(bytes)
    }

    pub(crate) fn random() -> Result<MacKey, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(MacKey(bytes))
    }

    /// The key of the token that a pair is exchanged for. `args` are the request's arguments: the number of the gate's
    /// name, and the value. `message` is the buffer of the encoding. No allocation, no system call: every hit computes
    /// this.
    ///
    /// # Panics
    ///
    /// If the parts exceed the limits of a request.
    pub(crate) fn pair<'a>(
        &self,
        gate: &Fingerprint,
        client_id: &[u8],
        client_secret: &[u8],
        args: impl ExactSizeIterator<Item = (u8, &'a [u8])>,
        message: &mut Message,
    ) -> Key {
        let mut message = Writer { message, len: 0 };
        message.put(&[VERSION, PAIR]);
        message.put(&gate.0);
        message.part(client_id);
        message.part(client_secret);
        message.put(&(args.len() as u16).to_le_bytes());
        for (name, value) in args {
            message.put(&[name]);
            message.part(value);
        }
        let key = self.hash(&message.message.0[..message.len]);
        bleach();
        key
    }

    /// The key of a client's own token.
    pub(crate) fn token(&self, gate: &Fingerprint, token: &[u8]) -> Key {
        let key = self.hash_one(TOKEN, gate, token);
        bleach();
        key
    }

    /// The key of a client at a gate, for any secret.
    pub(crate) fn client(&self, gate: &Fingerprint, client_id: &[u8]) -> Key {
        self.hash_one(CLIENT, gate, client_id)
    }

    /// The key of a source of requests at a gate: an IPv4 address, or the /64 prefix of an IPv6 address, which one site
    /// has at least.
    pub(crate) fn source(&self, gate: &Fingerprint, address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => self.hash_one(SOURCE, gate, &address.octets()),
            IpAddr::V6(address) => self.hash_one(SOURCE, gate, &address.octets()[..8]),
        }
    }

    /// The key of a purge target: the tokens of one gate or all, of one client or all.
    pub(crate) fn purge(&self, gate: Option<&Fingerprint>, client_id: Option<&[u8]>) -> Key {
        let mut mac = blake3::Hasher::new_keyed(&self.0);
        mac.update(&[VERSION, PURGE]);
        for part in [gate.map(|gate| gate.0.as_slice()), client_id] {
            mac.update(&[u8::from(part.is_some())]);
            update_with_length(&mut mac, part.unwrap_or_default());
        }
        Key(*mac.finalize().as_bytes())
    }

    #[inline(never)]
    fn hash(&self, message: &[u8]) -> Key {
        Key(*blake3::keyed_hash(&self.0, message).as_bytes())
    }

    #[inline(never)]
    fn hash_one(&self, kind: u8, gate: &Fingerprint, part: &[u8]) -> Key {
        let mut mac = blake3::Hasher::new_keyed(&self.0);
        mac.update(&[VERSION, kind]);
        mac.update(&gate.0);
        update_with_length(&mut mac, part);
        Key(*mac.finalize().as_bytes())
    }
}

/// Overwrites the remains of a hash on the stack: blocks of the message, with the secret in them. Later heap writes
/// could copy these bytes into padding that nothing fills. Also overwrites the registers through which glibc copies:
/// the dynamic linker spills them to the stack at the first call of a function.
#[inline(never)]
pub(crate) fn bleach() {
    // In parts: glibc fills larger ranges with an instruction that is slow to start.
    let mut stack = [MaybeUninit::<u8>::uninit(); 2560];
    for part in stack.chunks_exact_mut(1280) {
        part.fill(MaybeUninit::zeroed());
        black_box(part);
    }
    // The length makes glibc use each register; a constant length would be copied through others.
    let len = black_box(512);
    let (from, to) = stack.split_at_mut(1280);
    to[..len].copy_from_slice(&from[..len]);
    black_box(to);
}

/// The buffer of a pair's encoding: hashing one piece costs half as much as hashing many.
pub(crate) struct Message([u8; MAX_MESSAGE]);

/// The pair and its arguments, with their lengths and counts.
const MAX_MESSAGE: usize = MAX_LEN + 128;

impl Message {
    pub(crate) const fn new() -> Message {
        Message([0; MAX_MESSAGE])
    }
}

/// Wipes the bytes that were written.
struct Writer<'m> {
    message: &'m mut Message,
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.message.0[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    fn part(&mut self, part: &[u8]) {
        const { assert!(MAX_MESSAGE <= u16::MAX as usize) };
        self.put(&(part.len() as u16).to_le_bytes());
        self.put(part);
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        wipe(&mut self.message.0[..self.len]);
    }
}

/// Collects the settings that a gate's token depends on.
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

    /// Adds a list: its length first, so that consecutive lists stay apart.
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
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Fingerprint(half)
    }
}

fn update_with_length(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// A bounded map by [`Key`], from which the entries in little use are evicted.
pub(crate) type KeyCache<T> = Cache<Key, T, UnitWeighter, KeyHash>;

/// An empty map of at most `max` entries.
pub(crate) fn key_cache<T: Clone>(max: usize) -> KeyCache<T> {
    Cache::with(
        max,
        max as u64,
        UnitWeighter,
        KeyHash::default(),
        DefaultLifecycle::default(),
    )
}

/// The hasher of maps keyed by [`Key`]: a key is already uniform and secret, so eight of its bytes are the hash.
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

    /// The key of a pair without arguments.
    fn pair(process: &MacKey, gate: &Fingerprint, id: &str, secret: &str) -> Key {
        let (id, secret) = (id.as_bytes(), secret.as_bytes());
        process.pair(gate, id, secret, [].into_iter(), &mut Message::new())
    }

    fn gate(parts: &[&[u8]]) -> Fingerprint {
        let mut builder = FingerprintBuilder::new();
        builder.list(parts.iter().copied());
        builder.finish()
    }

    #[test]
    fn shifting_bytes_between_parts_changes_the_key() {
        let process = MacKey::for_test();
        let gate = gate(&[b"issuer"]);
        let key = pair(&process, &gate, "client:a", "secret");
        for (id, secret) in [
            ("client", ":asecret"),
            ("client:asecret", ""),
            ("", "client:asecret"),
            ("client:a", "secre"),
        ] {
            assert_ne!(key, pair(&process, &gate, id, secret));
        }
        assert_eq!(key, pair(&process, &gate, "client:a", "secret"));
    }

    #[test]
    fn consecutive_lists_stay_apart() {
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
    fn the_message_buffer_is_wiped() {
        let (process, gate, mut message) = (MacKey::for_test(), gate(&[b""]), Message::new());
        let longest = [b'x'; MAX_LEN];
        process.pair(&gate, b"id", &longest, [].into_iter(), &mut message);
        assert_eq!(message.0, [0; MAX_MESSAGE]);
    }

    #[test]
    fn keys_of_two_processes_differ() {
        let gate = gate(&[b"issuer"]);
        let (one, two) = (MacKey::random().unwrap(), MacKey::random().unwrap());
        assert_ne!(
            pair(&one, &gate, "id", "secret"),
            pair(&two, &gate, "id", "secret")
        );
    }
}
