//! The assertion that proves a client's identity without sending a secret (RFC 7523 section 3, OpenID Connect Core 1.0
//! section 9): signed with the client's secret (`client_secret_jwt`) or with its key (`private_key_jwt`).

use super::algorithm::SigningAlgorithm;
use super::certificate::Certificate;
use super::private_key::PrivateKey;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::time::Duration;
use zeroize::Zeroizing;

/// The lifetime in seconds; the assertion is used at once.
const LIFETIME: u64 = 60;

/// The identity that an assertion states: the client, to this audience, for a minute from `wall` (the time since the
/// Unix epoch).
#[derive(Clone, Copy)]
pub(crate) struct Identity<'i> {
    pub(crate) client_id: &'i str,
    pub(crate) audience: &'i str,
    pub(crate) wall: Duration,
}

impl Identity<'_> {
    /// An assertion signed with the client's secret.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub(crate) fn signed_with_secret(self, secret: &str) -> Result<Zeroizing<String>, Unspecified> {
        self.signed(
            &json!({ "alg": "HS256", "typ": "JWT" }).to_string(),
            |message| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                Ok(hmac::sign(&key, message))
            },
        )
    }

    /// An assertion signed with the client's key.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub(crate) fn signed_with(
        self,
        signer: &AssertionSigner,
    ) -> Result<Zeroizing<String>, Unspecified> {
        self.signed(&signer.header, |message| {
            signer.key.sign(signer.algorithm, message)
        })
    }

    /// `jti` is unique, so that the provider can refuse a replay: each attempt needs an assertion of its own.
    fn signed<S: AsRef<[u8]>>(
        self,
        header: &str,
        sign: impl FnOnce(&[u8]) -> Result<S, Unspecified>,
    ) -> Result<Zeroizing<String>, Unspecified> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Unspecified)?;
        let now = self.wall.as_secs();
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        let mut assertion = Zeroizing::new(URL_SAFE_NO_PAD.encode(header));
        assertion.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut assertion);
        let signature = sign(assertion.as_bytes())?;
        assertion.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
        Ok(assertion)
    }
}

/// A key with the header of its assertions.
#[derive(Debug)]
pub(crate) struct AssertionSigner {
    key: PrivateKey,
    algorithm: SigningAlgorithm,
    header: String,
    /// The header names a certificate.
    pub(crate) has_certificate: bool,
}

/// The reason why a key cannot sign as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignerFlaw {
    /// The algorithm does not fit the key.
    Algorithm,
    /// The certificate is another key's.
    Certificate,
}

impl AssertionSigner {
    /// `algorithm` and `id` (`kid`) take the place of the key's own.
    pub(crate) fn new(
        key: PrivateKey,
        algorithm: Option<SigningAlgorithm>,
        id: Option<&str>,
        certificate: Option<&Certificate>,
    ) -> Result<AssertionSigner, SignerFlaw> {
        let algorithm = algorithm.unwrap_or(key.algorithm());
        if !key.fits(algorithm) {
            return Err(SignerFlaw::Algorithm);
        }
        let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
        if let Some(id) = id.or(key.id.as_deref()) {
            header["kid"] = id.into();
        }
        if let Some(certificate) = certificate {
            if !key.is_of(certificate) {
                return Err(SignerFlaw::Certificate);
            }
            header["x5t"] = certificate.sha1().into();
            header["x5t#S256"] = certificate.sha256().into();
        }
        Ok(AssertionSigner {
            key,
            algorithm,
            header: header.to_string(),
            has_certificate: certificate.is_some(),
        })
    }
}
