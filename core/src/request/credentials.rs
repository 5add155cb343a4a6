//! What a client presents.

use crate::sys::secret::Secret;

/// A client's id and secret, owned: what a flight carries to the provider.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    /// The arguments that came with the request: numbers of the gate's names, and values.
    pub(crate) args: Vec<(u8, String)>,
}

/// The longest pair that is accepted, in bytes of id, secret and the request's arguments together after decoding. A hit
/// decodes into a room of this size.
pub(crate) const MAX_LEN: usize = 2048;
