//! The form of a request to a token endpoint ([RFC 6749 section 4.4.2]), beside its credentials.
//!
//! [RFC 6749 section 4.4.2]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4.2

use super::form::{decode, name_of, parts, split};
use crate::cause::Cause;

/// A form; its values are decoded on demand.
#[derive(Clone, Copy)]
pub(crate) struct TokenForm<'r>(pub(crate) &'r [u8]);

impl<'r> TokenForm<'r> {
    /// The decoded values of a name. A parameter without a value counts as omitted (section 3.2).
    pub(crate) fn values(
        self,
        name: &'static str,
    ) -> impl Iterator<Item = Result<Vec<u8>, Cause>> + use<'r> {
        parts(self.0)
            .map(split)
            .filter(move |(raw, value)| {
                !value.is_empty() && decode(raw).eq(name.bytes().map(Ok::<_, Cause>))
            })
            .map(|(_, value)| decode(value).collect())
    }

    /// The value of a name that must not be repeated.
    pub(crate) fn value(self, name: &'static str) -> Result<Option<Vec<u8>>, Cause> {
        let mut values = self.values(name);
        let first = values.next().transpose()?;
        match values.next() {
            Some(_) => Err(Cause::RepeatedParameter),
            None => Ok(first),
        }
    }
}

/// Whether a query has a parameter with the name of a credential.
pub(crate) fn has_credential(query: &[u8]) -> bool {
    parts(query).any(|part| name_of(split(part).0).is_credential())
}
