//! How values are sealed before they leave the process.
//!
//! # The scheme
//!
//! A pepper is a file of at least 32 random bytes that everybody has who shares. All else is derived with HKDF-SHA-256
//! (RFC 5869); `‖` joins parts of fixed length, so that no two inputs are encoded alike:
//!
//! ```text
//! root        = HKDF-Extract(salt "credgate store v1", pepper)
//! index key   = HKDF-Expand(root, "index")        scope key = HKDF-Expand(root, "scope")
//! client salt = HKDF-Expand(root, "client")
//!
//! index       = BLAKE3-MAC(index key, gate's fingerprint, client_id, client_secret, arguments)    as in crate::key
//! scope       = BLAKE3-MAC(scope key, gate's fingerprint or none, client_id or none)
//!
//! client      = HKDF-Extract(client salt, client_secret)
//! key         = HKDF-Expand(client, version ‖ "key" ‖ index)
//! commitment  = HKDF-Expand(client, version ‖ "commitment" ‖ index)
//!
//! value       = version ‖ commitment ‖ nonce ‖ AES-256-GCM(key, nonce, text, AAD = version ‖ index)
//! ```
//!
//! # Why it holds
//!
//! * Without the pepper, index, scope, commitment and ciphertext are outputs of MACs and ciphers under keys that are not
//!   known: they tell nothing of tokens, secrets, client ids and gates, and guesses cannot be tested.
//! * With the pepper and without a client's secret, that client's token does not open: the key is derived from both.
//! * The key is one index's alone and the index is authenticated beside the text, so that a value moved to another index
//!   does not open there, whoever moved it. A changed byte does not open.
//! * AES-GCM alone does not commit to its key: one ciphertext can be made that opens under many, which turns whoever
//!   opens into an oracle for guessing several secrets at once. The commitment, compared first and in constant time,
//!   takes that away: it is collision-resistant in the key's inputs.
//! * Nonces are random, 96 bits, under a key that seals one index's values only: they would repeat after some 2^32
//!   renewals of one token.
//! * An old value put back opens, as it was sealed here. What it holds ends when it ends: the end is inside the text, and
//!   is looked at whenever one is opened, as is the number of the last purge before it (`purges`).
//!
//! # What it does not do
//!
//! * Who has the pepper and a dump can try secrets offline, at the speed of a hash: generated secrets withstand that,
//!   words do not. The pepper's file is to be kept as a private key is, away from the store.
//! * Who has pepper and secret has the token: they could ask the provider for one.
//! * Whoever reads the store sees how many entries there are, how long they are, when they come and go, and which
//!   entries are the same client's at the same gate over time.
//! * Whoever writes to the store can make exchanges necessary again by taking entries away, and undo purges by taking
//!   those away and putting old entries back. They cannot make a token be served to another client, nor past its end.

use super::Index;
use crate::key::bleach;
use crate::sys::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

/// Of the scheme.
const VERSION: u8 = 1;
const COMMITMENT_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// What a value is longer than its text.
pub(super) const OVERHEAD: usize = 1 + COMMITMENT_LEN + NONCE_LEN + TAG_LEN;

/// Seals and opens values of clients' under one pepper.
pub(super) struct Sealer {
    client_salt: Zeroizing<[u8; 32]>,
}

impl Sealer {
    pub(super) fn new(client_salt: Zeroizing<[u8; 32]>) -> Sealer {
        Sealer { client_salt }
    }

    /// `None` where the system has no randomness.
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

    /// The text, where the value was sealed for this index, with this secret and under this pepper.
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

/// What is authenticated beside the text.
fn additional(index: &Index) -> [u8; 33] {
    let mut additional = [VERSION; 33];
    additional[1..].copy_from_slice(&index.0);
    additional
}

/// 32 bytes of HKDF-Expand.
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
    fn a28_what_is_sealed_opens_with_pepper_secret_and_index_and_with_nothing_else() {
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
    fn a28_no_changed_byte_and_no_cut_value_opens() {
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
    fn the_same_text_is_sealed_differently_each_time() {
        let secret = Secret::new("s3cret");
        let seal = || sealer(1).seal(&INDEX, &secret, b"text").unwrap();
        let (one, two) = (seal(), seal());
        assert_eq!(one[..33], two[..33], "the same commitment");
        assert_ne!(one[33..], two[33..]);
    }

    /// A ciphertext that opens under two keys is what the commitment is for: with the other secret's commitment before
    /// it, AES-GCM is not even asked.
    #[test]
    fn a28_a_value_is_committed_to_one_secret() {
        let (one, other) = (Secret::new("one"), Secret::new("other"));
        let mut value = sealer(1).seal(&INDEX, &one, b"text").unwrap();
        let others = sealer(1).seal(&INDEX, &other, b"text").unwrap();
        value[1..33].copy_from_slice(&others[1..33]);
        assert!(sealer(1).open(&INDEX, &one, &value).is_none());
        assert!(sealer(1).open(&INDEX, &other, &value).is_none());
    }
}
