//! The MAC of everything that leaves the process: indexes of tokens, and ids of purges.
//!
//! `BLAKE3-MAC(key, version ‖ kind ‖ parts)`, where a length precedes every variable part and a count every list. 256 bits,
//! because a reader of the store may compare them for as long as it likes, and BLAKE3 is collision-resistant under a
//! known key, too: a stolen pepper does not let clients share an index.

use crate::key::Fingerprint;
use crate::request::credentials::MAX_LEN;
use crate::sys::secret::bleach;
use zeroize::Zeroizing;

/// A key of the MAC, derived from a pepper.
pub(super) struct MacKey(Zeroizing<[u8; 32]>);

/// Changed whenever the encoding changes.
const VERSION: u8 = 3;
/// The kind of the input: a tag that separates the encodings of different kinds.
const PAIR: u8 = 1;
const PURGE: u8 = 4;

impl MacKey {
    pub(super) fn new(bytes: Zeroizing<[u8; 32]>) -> MacKey {
        MacKey(bytes)
    }

    /// Of the token that a pair is exchanged for. `args` are the request's arguments: the number of the gate's name, and
    /// the value.
    pub(super) fn pair<'a>(
        &self,
        gate: &Fingerprint,
        client_id: &[u8],
        client_secret: &[u8],
        args: impl ExactSizeIterator<Item = (u8, &'a [u8])>,
    ) -> [u8; 32] {
        // Enough for every request: a longer vector would leave a copy behind.
        let mut message = Zeroizing::new(Vec::with_capacity(MAX_LEN + 128));
        message.extend_from_slice(&[VERSION, PAIR]);
        message.extend_from_slice(&gate.to_bytes());
        let part = |message: &mut Vec<u8>, part: &[u8]| {
            message.extend_from_slice(&(part.len() as u16).to_le_bytes());
            message.extend_from_slice(part);
        };
        part(&mut message, client_id);
        part(&mut message, client_secret);
        message.extend_from_slice(&(args.len() as u16).to_le_bytes());
        for (name, value) in args {
            message.push(name);
            part(&mut message, value);
        }
        let mac = self.hash(&message);
        bleach();
        mac
    }

    /// Of a purge's target: the tokens of one gate or all, of one client or all.
    pub(super) fn purge(&self, gate: Option<&Fingerprint>, client_id: Option<&[u8]>) -> [u8; 32] {
        let gate = gate.map(|gate| gate.to_bytes());
        let mut message = vec![VERSION, PURGE];
        for part in [gate.as_ref().map(<[u8; 16]>::as_slice), client_id] {
            message.push(u8::from(part.is_some()));
            let part = part.unwrap_or_default();
            message.extend_from_slice(&(part.len() as u64).to_le_bytes());
            message.extend_from_slice(part);
        }
        self.hash(&message)
    }

    /// Separate, so that its remains on the stack are where [`bleach`] overwrites them.
    #[inline(never)]
    fn hash(&self, message: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, message).as_bytes()
    }
}
