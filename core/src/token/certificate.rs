//! A client's certificate (X.509), by which a provider finds the key of an assertion.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;

/// The first certificate of a PEM file.
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    /// Its SubjectPublicKeyInfo, DER.
    public_key: Vec<u8>,
}

impl Certificate {
    /// `None` if the file has no valid certificate.
    pub(crate) fn from_pem(pem: &[u8]) -> Option<Certificate> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let parsed = ParsedCertificate::try_from(&der).ok()?;
        let public_key = parsed.subject_public_key_info().to_vec();
        Some(Certificate { der, public_key })
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The header parameter `x5t` (RFC 7515 section 4.1.7), which Entra ID reads.
    pub(crate) fn sha1(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }

    /// The header parameter `x5t#S256` (RFC 7515 section 4.1.8).
    pub(crate) fn sha256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }
}
