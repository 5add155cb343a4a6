//! The credentials of a client, owned.

use crate::sys::secret::Secret;

/// A client's id and secret, as a flight carries them to the provider.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    /// The arguments of the request: numbers of the gate's names, and values.
    pub(crate) args: Vec<(u8, String)>,
}

/// The maximum length of id, secret and the request's arguments together, decoded, in bytes. A hit decodes into a
/// buffer of this size.
pub(crate) const MAX_LEN: usize = 2048;
