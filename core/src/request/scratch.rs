//! The buffer that credentials are decoded into: on the host's thread, without an allocation, wiped after each request.

use super::credentials::MAX_LEN;
use super::span::{ArgSpans, Span};
use crate::cause::Cause;
use crate::sys::secret::wipe;

/// The buffer of a thread: all zero outside of a request.
pub(crate) struct ScratchBuffer([u8; ROOM]);

/// The maximum length, plus Basic's colon.
const ROOM: usize = MAX_LEN + 1;

/// The decoded values of a request; wiped when dropped.
pub(crate) struct Scratch<'r> {
    bytes: &'r mut [u8; ROOM],
    used: usize,
    /// The end of the written bytes: wiping costs by the byte.
    written: usize,
    pub(super) args: Option<ArgSpans>,
}

impl ScratchBuffer {
    pub(crate) const fn new() -> ScratchBuffer {
        ScratchBuffer([0; ROOM])
    }
}

impl<'r> Scratch<'r> {
    pub(crate) fn new(room: &'r mut ScratchBuffer) -> Scratch<'r> {
        Scratch {
            bytes: &mut room.0,
            used: 0,
            written: 0,
            args: None,
        }
    }

    pub(super) fn of(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.end]
    }

    /// Lets `write` fill the unused part; it returns the written length. If it fails, all of that part counts as
    /// written.
    pub(super) fn fill<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<&[u8], E> {
        let before = self.written;
        self.written = self.bytes.len();
        let len = write(&mut self.bytes[self.used..])?;
        let end = self.used + len;
        self.written = before.max(end);
        Ok(&self.bytes[self.used..end])
    }

    /// Whether a value has been decoded, also in vain.
    pub(crate) fn is_written(&self) -> bool {
        self.written > 0
    }

    /// The end of the used part, for [`rewind`](Self::rewind).
    pub(super) fn mark(&self) -> usize {
        self.used
    }

    /// Makes the part behind a mark available again.
    pub(super) fn rewind(&mut self, mark: usize) {
        self.used = mark;
    }

    /// Marks the next `len` bytes as used.
    pub(super) fn keep(&mut self, len: usize) -> Span {
        let start = self.used;
        self.used += len;
        Span {
            start,
            end: self.used,
        }
    }

    /// Decodes a form-urlencoded span in place: decoding never lengthens it.
    pub(super) fn decode_in_place(&mut self, span: Span) -> Result<Span, Cause> {
        let mut end = span.start;
        let mut at = span.start;
        loop {
            let raw = &self.bytes[at..span.end];
            let (byte, len) = match raw {
                [b'%', high, low, ..] => {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    match (digit(*high), digit(*low)) {
                        (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
                        _ => return Err(Cause::MalformedBasic),
                    }
                }
                [b'%', ..] => return Err(Cause::MalformedBasic),
                [b'+', ..] => (b' ', 1),
                [byte, ..] => (*byte, 1),
                [] => break,
            };
            self.bytes[end] = byte;
            end += 1;
            at += len;
        }
        Ok(Span {
            start: span.start,
            end,
        })
    }

    pub(super) fn push(
        &mut self,
        bytes: impl Iterator<Item = Result<u8, Cause>>,
    ) -> Result<Span, Cause> {
        let mut len = 0;
        for byte in bytes {
            let byte = byte?;
            let at = self.used + len;
            *self.bytes.get_mut(at).ok_or(Cause::TooLong)? = byte;
            len += 1;
            self.written = self.written.max(at + 1);
        }
        Ok(self.keep(len))
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // Not `used`: an abandoned place has written bytes without keeping them.
        wipe(&mut self.bytes[..self.written]);
    }
}
