//! The verdict on a token's signature ([RFC 7515], [RFC 7518]) under a provider's keys ([RFC 7517]).
//!
//! The TLS library provides the cryptography, with all of RFC 7518's asymmetric algorithms. The parsing of tokens is
//! ours, and strict: an algorithm is allowed or refused, and nothing in a token's header locates its key.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
//! [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518

/// The reason why a token does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwsError {
    /// It is not a compact JWS of JSON objects.
    Malformed,
    /// Its algorithm is not allowed, or is not its key's.
    Algorithm,
    /// It requires an unknown extension (`crit`).
    Critical,
    /// The provider has no such key.
    UnknownKey,
    /// The signature does not match the key and the signed bytes.
    Signature,
}

impl JwsError {
    /// Whether newer keys of the provider may verify the token. For a token from the token endpoint they may in any case:
    /// the provider may have replaced a key under the same id.
    pub(crate) fn suggests_newer_keys(self, is_client_supplied: bool) -> bool {
        match self {
            JwsError::UnknownKey => true,
            JwsError::Signature | JwsError::Algorithm => !is_client_supplied,
            JwsError::Malformed | JwsError::Critical => false,
        }
    }

    /// One log-safe phrase.
    pub(crate) fn why(self) -> &'static str {
        match self {
            JwsError::Malformed => "it is malformed",
            JwsError::Algorithm => "its algorithm is not allowed",
            JwsError::Critical => "it requires an unknown extension (crit)",
            JwsError::UnknownKey => "its key is not among the provider's keys",
            JwsError::Signature => "its signature is invalid",
        }
    }
}
