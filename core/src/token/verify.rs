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
    /// The provider publishes the key, but it cannot be used.
    UnusableKey(Unusable),
    /// The signature does not match the key and the signed bytes.
    Signature,
}

impl JwsError {
    /// Whether newer keys of the provider may verify the token. For a token from the token endpoint they may in any case:
    /// the provider may have replaced a key under the same id.
    pub(crate) fn suggests_newer_keys(self, is_client_supplied: bool) -> bool {
        match self {
            JwsError::UnknownKey | JwsError::UnusableKey(_) => true,
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
            JwsError::UnusableKey(unusable) => unusable.why(),
            JwsError::Signature => "its signature is invalid",
        }
    }
}

/// The reason why a published key cannot verify signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Its curve is not supported.
    Curve,
    /// Its kind (`kty`) is not supported.
    Kind,
    /// An RSA key of more than 8192 bits.
    Long,
    /// A member is missing or invalid (RFC 7517 section 4, RFC 7518 section 6).
    Malformed,
    /// `use` or `key_ops` excludes the verification of signatures.
    Purpose,
    /// An RSA key of less than 2048 bits (RFC 7518 section 3.3).
    Short,
}

impl Unusable {
    /// One log-safe phrase, about the token.
    fn why(self) -> &'static str {
        match self {
            Unusable::Curve => {
                "the provider publishes its key, but the key is not usable: its curve is not supported"
            }
            Unusable::Kind => {
                "the provider publishes its key, but the key is not usable: its kind (kty) is not supported"
            }
            Unusable::Long => {
                "the provider publishes its key, but the key is not usable: it is an RSA key longer than 8192 bits"
            }
            Unusable::Malformed => {
                "the provider publishes its key, but the key is not usable: it is malformed"
            }
            Unusable::Purpose => {
                "the provider publishes its key, but the key is not usable: it is not for signatures (use, key_ops)"
            }
            Unusable::Short => {
                "the provider publishes its key, but the key is not usable: it is an RSA key shorter than 2048 bits"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const UNUSABLE: [Unusable; 6] = [
        Unusable::Curve,
        Unusable::Kind,
        Unusable::Long,
        Unusable::Malformed,
        Unusable::Purpose,
        Unusable::Short,
    ];

    #[test]
    fn newer_keys_are_fetched_only_if_they_may_help() {
        for (error, of_provider, of_client) in [
            (JwsError::Malformed, false, false),
            (JwsError::Critical, false, false),
            (JwsError::Algorithm, true, false),
            (JwsError::Signature, true, false),
            (JwsError::UnknownKey, true, true),
            (JwsError::UnusableKey(Unusable::Kind), true, true),
        ] {
            assert_eq!(error.suggests_newer_keys(false), of_provider, "{error:?}");
            assert_eq!(error.suggests_newer_keys(true), of_client, "{error:?}");
        }
    }

    #[test]
    fn every_reason_has_a_phrase_of_its_own() {
        let mut errors = vec![
            JwsError::Malformed,
            JwsError::Algorithm,
            JwsError::Critical,
            JwsError::UnknownKey,
            JwsError::Signature,
        ];
        errors.extend(UNUSABLE.map(JwsError::UnusableKey));
        let phrases: HashSet<_> = errors.iter().map(|error| error.why()).collect();
        assert_eq!(phrases.len(), errors.len());
        assert!(phrases.iter().all(|phrase| phrase.len() > 10));
    }
}
