//! The certificate that the gateway presents to a provider (mutual TLS), and its key.

use crate::config::{Config, value_error};
use crate::error::{Error, Problems};
use crate::sys::secret_file::SecretFile;
use crate::token::{Certificate, PrivateKey};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The files, and what they contained when they were read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    certificate: SecretFile,
    key: SecretFile,
    pem: Arc<Zeroizing<Vec<u8>>>,
}

const CERTIFICATE: &str = "tls_client_auth_cert";
const KEY: &str = "tls_client_auth_key";

impl ClientCertificate {
    /// The certificate of a configuration, if it has one.
    pub(super) fn compile(config: &Config) -> Result<Option<ClientCertificate>, Error> {
        let (certificate, key) = match (&config.tls_client_auth_cert, &config.tls_client_auth_key) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(value_error(format!("{CERTIFICATE}: requires {KEY}"))),
            (None, Some(_)) => return Err(value_error(format!("{KEY}: requires {CERTIFICATE}"))),
            (Some(certificate), Some(key)) => (certificate, key),
        };
        let mut problems = Problems::default();
        let certificate = problems.check(SecretFile::open(CERTIFICATE, certificate));
        let key = problems.check(SecretFile::open(KEY, key));
        let (Some(certificate), Some(key)) = (certificate, key) else {
            return Err(problems.into_error());
        };
        let pem = read(&certificate, &key)?;
        Ok(Some(ClientCertificate {
            certificate,
            key,
            pem: Arc::new(pem),
        }))
    }

    /// The certificate and its key, PEM.
    pub(crate) fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// The certificate and the key as their files have them now; `None` if they are unchanged, or do not fit each other,
    /// because they are not replaced at the same instant. Short blocking reads.
    pub(crate) fn renewed(&self) -> Option<ClientCertificate> {
        let pem = read(&self.certificate, &self.key).ok()?;
        (*pem != **self.pem).then(|| ClientCertificate {
            pem: Arc::new(pem),
            ..self.clone()
        })
    }
}

fn read(certificate: &SecretFile, key: &SecretFile) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (pem, key_pem) = (certificate.read()?, key.read()?);
    let (pem, key_pem) = (pem.expose().as_bytes(), key_pem.expose().as_bytes());
    let parsed = Certificate::from_pem(pem);
    let parsed = parsed.ok_or_else(|| certificate.wrong("contains no valid PEM certificate"))?;
    let private = PrivateKey::read(key_pem).map_err(|flaw| key.wrong(flaw.why()))?;
    if !private.is_of(&parsed) {
        return Err(key.wrong(&format!("is not the key of {CERTIFICATE}")));
    }
    let mut both = Zeroizing::new(Vec::with_capacity(pem.len() + 1 + key_pem.len()));
    both.extend_from_slice(pem);
    both.push(b'\n');
    both.extend_from_slice(key_pem);
    match reqwest::Identity::from_pem(&both) {
        Ok(_) => Ok(both),
        Err(_) => Err(key.wrong("and tls_client_auth_cert are not a PEM certificate and its key")),
    }
}
