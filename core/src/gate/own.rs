//! The gateway's own client at the provider, whose credentials a gate exchanges for every request.

use crate::config::{Config, value_error};
use crate::error::{Error, Problems};
use crate::key::FingerprintBuilder;
use crate::request::credentials::MAX_LEN;
use crate::sys::secret::Secret;
use crate::sys::secret_file::SecretFile;
use std::path::Path;

/// A client id of the operator's, and the proof that the gateway is this client.
#[derive(Debug, Clone)]
pub(crate) struct OwnClient {
    pub(crate) id: String,
    pub(crate) proof: Proof,
}

/// The way in which the gateway proves to be its own client.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// A secret in the configuration.
    Secret(Secret),
    /// A file with the secret, which each exchange reads.
    SecretFile(SecretFile),
}

/// A field of the configuration: its name and its value.
pub(crate) type Field<'c, T> = (&'static str, Option<&'c T>);

impl OwnClient {
    /// The client of a gate; `None` if its requests bring their own credentials.
    pub(crate) fn of_gate(config: &Config) -> Result<Option<OwnClient>, Error> {
        OwnClient::compile(
            ("client_id", config.client_id.as_deref()),
            ("client_secret", config.client_secret.as_deref()),
            ("client_secret_file", config.client_secret_file.as_deref()),
        )
    }

    /// The client that these fields state; `None` if none of them is set.
    ///
    /// # Errors
    ///
    /// An error names the field, and no value.
    pub(crate) fn compile(
        (id_field, id): Field<'_, str>,
        (secret_field, secret): Field<'_, str>,
        (file_field, file): Field<'_, Path>,
    ) -> Result<Option<OwnClient>, Error> {
        let mut problems = Problems::default();
        let proof = match (secret, file) {
            (None, None) => None,
            (Some(secret), None) => Some(Proof::Secret(Secret::new(secret))),
            (None, Some(path)) => {
                let file = problems.check(SecretFile::open(file_field, path));
                file.map(Proof::SecretFile)
            }
            (Some(_), Some(_)) => {
                problems.add(value_error(format!(
                    "{secret_field}: cannot be combined with {file_field}; use one of them"
                )));
                None
            }
        };
        let named = if secret.is_some() {
            secret_field
        } else {
            file_field
        };
        let is_proven = secret.is_some() || file.is_some();
        let id = match id {
            Some(id) if !is_printable(id) => {
                problems.add(value_error(format!(
                    "{id_field}: must be printable ASCII, and not empty"
                )));
                None
            }
            Some(_) if !is_proven => {
                problems.add(value_error(format!(
                    "{id_field}: requires {secret_field} or {file_field}"
                )));
                None
            }
            None if is_proven => {
                problems.add(value_error(format!("{named}: requires {id_field}")));
                None
            }
            id => id,
        };
        let client = id.zip(proof).map(|(id, proof)| OwnClient {
            id: id.to_owned(),
            proof,
        });
        if let Some(client) = &client
            && let Err(why) = client.read()
        {
            problems.add(match &client.proof {
                Proof::Secret(_) => value_error(format!("{named}: {why}")),
                Proof::SecretFile(_) => why,
            });
        }
        problems.finish().map(|()| client)
    }

    /// The secret as it is now. A short blocking read for a file.
    ///
    /// # Errors
    ///
    /// An error is about the file, and names its field and path.
    pub(crate) fn read(&self) -> Result<Secret, Error> {
        let (secret, file) = match &self.proof {
            Proof::Secret(secret) => (secret.clone(), None),
            Proof::SecretFile(file) => (file.read()?, Some(file)),
        };
        let why = if !is_printable(secret.expose()) {
            "must be printable ASCII, and not empty"
        } else if self.id.len() + secret.expose().len() > MAX_LEN {
            "must not exceed 2,048 bytes together with the client id"
        } else {
            return Ok(secret);
        };
        Err(match file {
            Some(file) => file.wrong(why),
            None => value_error(why),
        })
    }

    /// The secret, if its file has another one than `used`.
    pub(crate) fn read_changed(&self, used: &Secret) -> Option<Secret> {
        let Proof::SecretFile(_) = &self.proof else {
            return None;
        };
        self.read()
            .ok()
            .filter(|secret| secret.expose() != used.expose())
    }

    /// Includes the path of a file instead of its content: a rotated secret is the same client's.
    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        fingerprint.part(self.id.as_bytes());
        match &self.proof {
            Proof::Secret(secret) => fingerprint.part(b"secret").part(secret.expose().as_bytes()),
            Proof::SecretFile(file) => fingerprint
                .part(b"secret file")
                .part(file.path().as_os_str().as_encoded_bytes()),
        };
    }
}

/// `VSCHAR` only (RFC 6749 appendix A), at least one, as of a request.
fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}
