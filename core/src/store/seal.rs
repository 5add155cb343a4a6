//! Sealing: values are encrypted and authenticated before they leave the process.
//!
//! # The scheme
//!
//! A pepper is a file of at least 32 random bytes, the same for all processes that share. All keys are derived from it
//! with HKDF-SHA-256 (RFC 5869); `‖` joins parts of fixed length, so that no two inputs are encoded alike:
//!
//! ```text
//! root        = HKDF-Extract(salt "credgate store v1", pepper)
//! index key   = HKDF-Expand(root, "index")        target key = HKDF-Expand(root, "scope")
//! client salt = HKDF-Expand(root, "client")
//!
//! index       = BLAKE3-MAC(index key, gate's fingerprint, client_id, client_secret, arguments)    as in store::mac
//! target      = BLAKE3-MAC(target key, gate's fingerprint or none, client_id or none)
//!
//! client      = HKDF-Extract(client salt, client_secret)
//! key         = HKDF-Expand(client, version ‖ "key" ‖ index)
//! commitment  = HKDF-Expand(client, version ‖ "commitment" ‖ index)
//!
//! value       = version ‖ commitment ‖ nonce ‖ AES-256-GCM(key, nonce, text, AAD = version ‖ index)
//! ```
//!
//! # Security properties
//!
//! * Without the pepper, index, target, commitment and ciphertext are outputs of MACs and ciphers under unknown keys:
//!   they reveal nothing about tokens, secrets, client ids and gates, and guesses cannot be tested.
//! * With the pepper but without a client's secret, that client's token does not decrypt: the key is derived from both.
//! * The gateway's own client (`client_id`) has an empty secret here, as in its cache key: a process must find its token
//!   without the secret, which may be rotated meanwhile. The pepper alone protects these tokens, together with the
//!   gate's fingerprint in the index, which includes the id, and the secret or the path of its file. All processes with
//!   the pepper already may request such tokens, or are configured to serve them.
//! * The key belongs to one index, and the index is authenticated with the text, so a value moved to another index does
//!   not decrypt there. Neither does a value with a changed byte.
//! * AES-GCM alone does not commit to its key: a ciphertext can be made to decrypt under many keys, which turns the
//!   reader into an oracle for guessing several secrets at once. The commitment, compared first and in constant time,
//!   prevents that: it is collision-resistant in the key's inputs.
//! * Nonces are random, 96 bits, under a key that seals the values of one index only: a repetition is to be expected
//!   after some 2^32 renewals of one token.
//! * A replayed old value decrypts, as it was sealed here. But its expiry and the number of the last purge before it
//!   (`purges`) are part of the text and are checked on every read.
//!
//! # Limits
//!
//! * An attacker with the pepper and a dump can try secrets offline, at the speed of a hash: generated secrets
//!   withstand that, words do not. Protect the pepper file like a private key, and keep it apart from the store.
//! * An attacker with the pepper and a client's secret has the token: they could request one from the provider.
//! * A reader of the store sees the number of entries, their lengths, their times, and which of them belong to the same
//!   client at the same gate over time.
//! * A writer can force new exchanges by deleting entries, and undo purges by deleting them and restoring old entries.
//!   It cannot make a token serve another client or outlive its expiry.

use super::Index;
use crate::sys::secret::{Secret, bleach};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

/// The version of the scheme.
const VERSION: u8 = 1;
const COMMITMENT_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// The length of a value beyond its text.
pub(super) const OVERHEAD: usize = 1 + COMMITMENT_LEN + NONCE_LEN + TAG_LEN;

/// Seals and opens the values of clients under one pepper.
pub(super) struct Sealer {
    client_salt: Zeroizing<[u8; 32]>,
}

impl Sealer {
    pub(super) fn new(client_salt: Zeroizing<[u8; 32]>) -> Sealer {
        Sealer { client_salt }
    }

    /// `None` if the system has no randomness.
    pub(super) fn seal(&self, index: &Index, secret: &Secret, text: &[u8]) -> Option<Vec<u8>> {
        let Keys { key, commitment } = self.keys(index, secret)?;
        let mut sealed = Vec::with_capacity(text.len() + TAG_LEN);
        sealed.extend_from_slice(text);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(additional(index)), &mut sealed)
            .ok()?;
        let mut value = Vec::with_capacity(text.len() + OVERHEAD);
        value.push(VERSION);
        value.extend_from_slice(&*commitment);
        value.extend_from_slice(nonce.as_ref());
        value.append(&mut sealed);
        Some(value)
    }

    /// The text, if the value was sealed for this index with this secret and pepper.
    pub(super) fn open(
        &self,
        index: &Index,
        secret: &Secret,
        value: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = value.split_first()?;
        let (committed, rest) = rest.split_first_chunk::<COMMITMENT_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        let Keys { key, commitment } = self.keys(index, secret)?;
        verify_slices_are_equal(committed, &*commitment).ok()?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::from(nonce);
        let len = key
            .open_in_place(nonce, Aad::from(additional(index)), &mut text)
            .ok()?
            .len();
        text.truncate(len);
        Some(text)
    }

    fn keys(&self, index: &Index, secret: &Secret) -> Option<Keys> {
        let keys = self.derive(index, secret);
        bleach();
        keys
    }

    #[inline(never)]
    fn derive(&self, index: &Index, secret: &Secret) -> Option<Keys> {
        let client = Salt::new(HKDF_SHA256, &*self.client_salt).extract(secret.expose().as_bytes());
        let key = expand(&client, &[&[VERSION], b"key", &index.0])?;
        let commitment = expand(&client, &[&[VERSION], b"commitment", &index.0])?;
        Some(Keys {
            key: RandomizedNonceKey::new(&AES_256_GCM, &*key).ok()?,
            commitment,
        })
    }
}

struct Keys {
    key: RandomizedNonceKey,
    commitment: Zeroizing<[u8; COMMITMENT_LEN]>,
}

/// The data authenticated with the text.
fn additional(index: &Index) -> [u8; 33] {
    let mut additional = [VERSION; 33];
    additional[1..].copy_from_slice(&index.0);
    additional
}

/// The first 32 bytes of HKDF-Expand.
pub(super) fn expand(from: &Prk, info: &[&[u8]]) -> Option<Zeroizing<[u8; 32]>> {
    struct Bytes32;

    impl KeyType for Bytes32 {
        fn len(&self) -> usize {
            32
        }
    }

    let mut bytes = Zeroizing::new([0; 32]);
    from.expand(info, Bytes32).ok()?.fill(&mut *bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: Index = Index([1; 32]);

    fn sealer(pepper: u8) -> Sealer {
        Sealer::new(Zeroizing::new([pepper; 32]))
    }

    #[test]
    fn a_value_opens_only_with_its_pepper_secret_and_index() {
        let secret = Secret::new("s3cret");
        let value = sealer(1).seal(&INDEX, &secret, b"text").unwrap();
        assert_eq!(value.len(), OVERHEAD + 4);
        assert_eq!(
            sealer(1).open(&INDEX, &secret, &value).unwrap().as_slice(),
            b"text"
        );
        assert!(
            sealer(1)
                .open(&INDEX, &Secret::new("s3creT"), &value)
                .is_none(),
            "with the pepper and without the secret"
        );
        assert!(sealer(2).open(&INDEX, &secret, &value).is_none());
        let elsewhere = Index([2; 32]);
        assert!(sealer(1).open(&elsewhere, &secret, &value).is_none());
    }

    #[test]
    fn a_changed_or_truncated_value_does_not_open() {
        let (sealer, secret) = (sealer(1), Secret::new("s3cret"));
        let value = sealer.seal(&INDEX, &secret, b"text").unwrap();
        for position in 0..value.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = value.clone();
                changed[position] ^= flip;
                assert!(sealer.open(&INDEX, &secret, &changed).is_none());
            }
            assert!(sealer.open(&INDEX, &secret, &value[..position]).is_none());
        }
        let longer = [value.as_slice(), &[0]].concat();
        assert!(sealer.open(&INDEX, &secret, &longer).is_none());
    }

    #[test]
    fn sealing_twice_gives_different_values() {
        let secret = Secret::new("s3cret");
        let seal = || sealer(1).seal(&INDEX, &secret, b"text").unwrap();
        let (one, two) = (seal(), seal());
        assert_eq!(one[..33], two[..33], "the same commitment");
        assert_ne!(one[33..], two[33..]);
    }

    /// The commitment protects against a ciphertext that decrypts under two keys: with another secret's commitment, the
    /// value fails before AES-GCM runs.
    #[test]
    fn a_value_is_committed_to_one_secret() {
        let (one, other) = (Secret::new("one"), Secret::new("other"));
        let mut value = sealer(1).seal(&INDEX, &one, b"text").unwrap();
        let others = sealer(1).seal(&INDEX, &other, b"text").unwrap();
        value[1..33].copy_from_slice(&others[1..33]);
        assert!(sealer(1).open(&INDEX, &one, &value).is_none());
        assert!(sealer(1).open(&INDEX, &other, &value).is_none());
    }
}
