//! The credentials of a client, owned.

use crate::sys::secret::Secret;

/// A client's id and secret, as a flight carries them to the provider.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    /// Empty: the gateway's own client, whose secret the exchange reads.
    pub(crate) client_secret: Secret,
    /// The arguments of the request: numbers of the gate's names, and values.
    pub(crate) args: Vec<(u8, String)>,
}

impl Credentials {
    /// Whether they are those of the gateway's own client. No request presents an empty secret.
    pub(crate) fn are_own(&self) -> bool {
        self.client_secret.expose().is_empty()
    }

    pub(crate) fn with_secret(&self, client_secret: Secret) -> Credentials {
        Credentials {
            client_secret,
            ..self.clone()
        }
    }
}

/// The maximum length of id, secret and the request's arguments together, decoded, in bytes. A hit decodes into a
/// buffer of this size.
pub(crate) const MAX_LEN: usize = 2048;
