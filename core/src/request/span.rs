//! Positions of decoded values in the scratch.

use crate::cause::Cause;

/// One value.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The maximum number of argument values in a request, all names together.
const MAX_ARGS: usize = 16;

/// Argument values: the number of each name, and the span of its value.
#[derive(Clone, Copy, Default)]
pub(super) struct ArgSpans {
    spans: [(u8, Span); MAX_ARGS],
    len: usize,
}

impl ArgSpans {
    pub(super) fn as_slice(&self) -> &[(u8, Span)] {
        &self.spans[..self.len]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Drops the values behind the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds a value. An empty one counts as absent (RFC 6749 section 3.2).
    pub(super) fn push(&mut self, number: u8, span: Span) -> Result<(), Cause> {
        if span.start < span.end {
            *self.spans.get_mut(self.len).ok_or(Cause::TooLong)? = (number, span);
            self.len += 1;
        }
        Ok(())
    }
}
