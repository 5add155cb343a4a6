//! Id and secret in two headers that the gate names (`client_id_header`, `client_secret_header`).

use super::CredentialHeaders;
use super::basic::trim;
use super::pair::Pair;
use super::scratch::Scratch;
use crate::cause::Cause;

/// The names for id and secret, in lower case.
pub(crate) type HeaderNames = [String; 2];

/// Finds the pair in the values that the host presents. A value is taken as it is, without white space around it.
pub(super) fn find(
    headers: &CredentialHeaders<'_>,
    scratch: &mut Scratch<'_>,
) -> Result<Option<Pair>, Cause> {
    if headers.repeated {
        return Err(Cause::RepeatedParameter);
    }
    let mut push = |value| scratch.push(trim(value).iter().copied().map(Ok));
    match (headers.client_id, headers.client_secret) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => Ok(Some(Pair {
            id: push(id)?,
            secret: push(secret)?,
        })),
        _ => Err(Cause::IncompletePair),
    }
}

/// Selects the values from all headers of a request. A name counts in any case. One that differs in `_` and `-`, which
/// another server may treat as the same, makes it repeated; alone, it is another header.
pub(crate) fn select<'h>(
    names: &HeaderNames,
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
) -> CredentialHeaders<'h> {
    let mut values = [None; 2];
    let mut counts = [0; 2];
    for (name, value) in headers {
        for (at, wanted) in names.iter().enumerate() {
            if is_same(name, wanted.as_bytes()) {
                counts[at] += 1;
                if name.eq_ignore_ascii_case(wanted.as_bytes()) {
                    values[at] = Some(value);
                }
            }
        }
    }
    let [client_id, client_secret] = values;
    CredentialHeaders {
        client_id,
        client_secret,
        repeated: (0..2).any(|at| values[at].is_some() && counts[at] > 1),
    }
}

/// Whether two names are the same for an upstream that does not distinguish `_` and `-`, as many do.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let fold = |byte: &u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    one.len() == other.len() && one.iter().map(fold).eq(other.iter().map(fold))
}
