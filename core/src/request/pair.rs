//! The two halves of a pair of credentials in one place of a request.

use super::names::Name;
use super::span::Span;
use crate::cause::Cause;

/// The spans of the two halves in the scratch.
pub(super) struct Pair {
    pub(super) id: Span,
    pub(super) secret: Span,
}

/// Counts the parameters of a place, refuses ambiguous ones, and returns the pair if there is one.
#[derive(Default)]
pub(super) struct Halves {
    pub(super) id: Option<Span>,
    pub(super) secret: Option<Span>,
    ids: u32,
    secrets: u32,
}

impl Halves {
    /// Records a parameter. Calls `value` only for the first `client_id` or `client_secret`.
    pub(super) fn note(
        &mut self,
        name: Name,
        value: impl FnOnce() -> Result<Span, Cause>,
    ) -> Result<(), Cause> {
        match name {
            Name::Other => return Ok(()),
            Name::Id | Name::LikeId => self.ids += 1,
            Name::Secret | Name::LikeSecret => self.secrets += 1,
        }
        match name {
            Name::Id if self.id.is_none() => self.id = Some(value()?),
            Name::Secret if self.secret.is_none() => self.secret = Some(value()?),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn pair(self) -> Result<Option<Pair>, Cause> {
        match (self.id, self.secret) {
            // A look-alike alone is the application's own parameter.
            (None, None) => Ok(None),
            _ if self.ids > 1 || self.secrets > 1 => Err(Cause::RepeatedParameter),
            (Some(id), Some(secret)) => Ok(Some(Pair { id, secret })),
            _ => Err(Cause::IncompletePair),
        }
    }
}
