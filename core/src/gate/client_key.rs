//! The private key of the gateway's own client, which signs its assertions (`private_key_jwt`).

use crate::config::{Config, value_error};
use crate::error::Error;
use crate::key::FingerprintBuilder;
use crate::sys::secret::Secret;
use crate::sys::secret_file::SecretFile;
use crate::token::{AssertionSigner, Certificate, PrivateKey, SignerFlaw, SigningAlgorithm};
use aws_lc_rs::digest::{Context, Digest, SHA256};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A file with the key, and what the header of its assertions says. Clones share the key that was read last.
#[derive(Debug, Clone)]
pub(crate) struct ClientKey {
    key: SecretFile,
    certificate: Option<SecretFile>,
    algorithm: Option<SigningAlgorithm>,
    id: Option<String>,
    latest: Arc<Mutex<Latest>>,
}

/// The last usable key.
#[derive(Debug)]
struct Latest {
    /// Of the files that it comes from.
    digest: Digest,
    signer: Arc<AssertionSigner>,
}

const KEY: &str = "client_assertion_key_file";
const CERTIFICATE: &str = "client_assertion_cert_file";
const ID: &str = "client_assertion_kid";

impl ClientKey {
    /// Reads the files, which must fit each other and the settings.
    ///
    /// # Errors
    ///
    /// An error names the field, and no content of a file.
    pub(crate) fn compile(config: &Config, path: &Path) -> Result<ClientKey, Error> {
        let key = SecretFile::open(KEY, path)?;
        let certificate = config.client_assertion_cert_file.as_deref();
        let certificate = certificate
            .map(|path| SecretFile::open(CERTIFICATE, path))
            .transpose()?;
        let is_id = |id: &String| !id.is_empty() && !id.chars().any(char::is_control);
        let id = config.client_assertion_kid.clone();
        if !id.as_ref().is_none_or(is_id) {
            let message = format!("{ID}: must not be empty or contain control characters");
            return Err(value_error(message));
        }
        let files = Files::read(&key, certificate.as_ref())?;
        let signer = files.signer(config.client_alg, id.as_deref())?;
        let latest = Latest {
            digest: files.digest(),
            signer: Arc::new(signer),
        };
        Ok(ClientKey {
            latest: Arc::new(Mutex::new(latest)),
            algorithm: config.client_alg,
            key,
            certificate,
            id,
        })
    }

    /// The key as its file has it now, or the last usable one: key and certificate are not replaced at the same instant.
    /// `warn` gets the reason. A short blocking read; an unchanged file is not parsed again.
    pub(crate) fn signer(&self, warn: impl FnOnce(String)) -> Arc<AssertionSigner> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.refresh(&mut latest) {
            warn(format!("{error}; the last usable key stays in use"));
        }
        Arc::clone(&latest.signer)
    }

    pub(crate) fn path(&self) -> &Path {
        self.key.path()
    }

    fn refresh(&self, latest: &mut Latest) -> Result<(), Error> {
        let files = Files::read(&self.key, self.certificate.as_ref())?;
        let digest = files.digest();
        if digest.as_ref() != latest.digest.as_ref() {
            let signer = files.signer(self.algorithm, self.id.as_deref())?;
            *latest = Latest {
                digest,
                signer: Arc::new(signer),
            };
        }
        Ok(())
    }

    /// Includes the paths of the files instead of their content: a new key is the same client's.
    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        let files = [Some(&self.key), self.certificate.as_ref()];
        for file in files {
            fingerprint.list(
                file.iter()
                    .map(|file| file.path().as_os_str().as_encoded_bytes()),
            );
        }
        let algorithm = self.algorithm.map(SigningAlgorithm::name);
        for text in [algorithm, self.id.as_deref()] {
            fingerprint.list(text.iter().map(|text| text.as_bytes()));
        }
    }
}

/// The contents of the files, read together.
struct Files<'f> {
    key: (&'f SecretFile, Secret),
    certificate: Option<(&'f SecretFile, Secret)>,
}

impl<'f> Files<'f> {
    fn read(key: &'f SecretFile, certificate: Option<&'f SecretFile>) -> Result<Files<'f>, Error> {
        let read = |file: &'f SecretFile| file.read().map(|content| (file, content));
        Ok(Files {
            key: read(key)?,
            certificate: certificate.map(read).transpose()?,
        })
    }

    fn digest(&self) -> Digest {
        let mut digest = Context::new(&SHA256);
        for (_, content) in [Some(&self.key), self.certificate.as_ref()]
            .into_iter()
            .flatten()
        {
            let content = content.expose().as_bytes();
            digest.update(&(content.len() as u64).to_le_bytes());
            digest.update(content);
        }
        digest.finish()
    }

    fn signer(
        &self,
        algorithm: Option<SigningAlgorithm>,
        id: Option<&str>,
    ) -> Result<AssertionSigner, Error> {
        let (file, content) = &self.key;
        let key =
            PrivateKey::read(content.expose().as_bytes()).map_err(|flaw| file.wrong(flaw.why()))?;
        let own = key.algorithm();
        let certificate = match &self.certificate {
            None => None,
            Some((file, content)) => {
                let certificate = Certificate::from_pem(content.expose().as_bytes());
                Some(certificate.ok_or_else(|| file.wrong("contains no valid PEM certificate"))?)
            }
        };
        let signer = AssertionSigner::new(key, algorithm, id, certificate.as_ref());
        signer.map_err(|flaw| match (flaw, &self.certificate) {
            (SignerFlaw::Certificate, Some((file, _))) => {
                file.wrong(&format!("contains the certificate of another key than {KEY}"))
            }
            _ => value_error(format!(
                "client_alg: {} does not fit the key in {KEY}; {} does, which is used if client_alg is unset",
                algorithm.unwrap_or(own).name(),
                own.name()
            )),
        })
    }
}
