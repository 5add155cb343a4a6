//! Signatures of tokens ([RFC 7515], [RFC 7518]), the keys they are verified with ([RFC 7517]), and the assertion that
//! a client signs itself ([RFC 7523]).
//!
//! The cryptography is that of the TLS library, which has all of RFC 7518's asymmetric algorithms. What is ours is the
//! reading of the token, which is strict: an algorithm is allowed or it is refused, and nothing in a token's header
//! says where its key is to be had.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
//! [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518
//! [RFC 7523]: https://www.rfc-editor.org/rfc/rfc7523

/// Why a token does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwsError {
    /// It is no compact JWS of JSON objects.
    Malformed,
    /// Its algorithm is not allowed, or is not its key's.
    Algorithm,
    /// It demands an extension that is not understood.
    Critical,
    /// The provider has no such key.
    UnknownKey,
    /// The signature is not of this key and these bytes.
    Signature,
}

impl JwsError {
    /// One log-safe phrase.
    pub(crate) fn why(self) -> &'static str {
        match self {
            JwsError::Malformed => "it is malformed",
            JwsError::Algorithm => "its algorithm is not allowed",
            JwsError::Critical => "it demands an extension that is not understood (crit)",
            JwsError::UnknownKey => "its key is not among the provider's",
            JwsError::Signature => "its signature is wrong",
        }
    }
}
