//! The gateway's own client at the provider, whose credentials a gate exchanges for every request.

use super::client_key::ClientKey;
use crate::config::{Config, TokenAuth, value_error};
use crate::error::{Error, Problems};
use crate::journal::{Journal, Level};
use crate::key::FingerprintBuilder;
use crate::request::credentials::{Credentials, MAX_LEN};
use crate::request::extract::printable;
use crate::sys::secret::Secret;
use crate::sys::secret_file::SecretFile;
use crate::token::{is_jws, unverified_claims};
use std::path::Path;
use std::time::Duration;

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
    /// A private key, which signs an assertion for each token request.
    Key(ClientKey),
    /// A file with a finished assertion, which each exchange reads.
    AssertionFile(SecretFile),
    /// The certificate of the connection.
    Certificate,
}

/// A field of the configuration: its name and its value.
pub(crate) type Field<'c, T> = (&'static str, Option<&'c T>);

impl OwnClient {
    /// The client of a gate; `None` if its requests bring their own credentials.
    pub(crate) fn of_gate(config: &Config) -> Result<Option<OwnClient>, Error> {
        if let Some(method) = config.token_endpoint_auth_method
            && !method.has_secret()
        {
            return OwnClient::without_secret(config, method).map(Some);
        }
        let mut problems = Problems::default();
        for field in assertion_fields(config) {
            let message = format!("{field}: requires token_endpoint_auth_method private_key_jwt");
            problems.add(value_error(message));
        }
        let own = problems.check(OwnClient::compile(
            ("client_id", config.client_id.as_deref()),
            ("client_secret", config.client_secret.as_deref()),
            ("client_secret_file", config.client_secret_file.as_deref()),
        ));
        match own {
            Some(own) => problems.finish().map(|()| own),
            None => Err(problems.into_error()),
        }
    }

    /// The client that proves itself by a key, a finished assertion or a certificate.
    fn without_secret(config: &Config, method: TokenAuth) -> Result<OwnClient, Error> {
        let mut problems = Problems::default();
        let mut wrong = |message: String| problems.add(value_error(message));
        let name = method.name();
        if config.client_id.is_none() {
            wrong(format!(
                "token_endpoint_auth_method: {name} requires client_id, because only the gateway's own client can have a key \
                 or a certificate; clients that bring their own credentials have a secret"
            ));
        }
        for (field, is_set) in [
            ("client_secret", config.client_secret.is_some()),
            ("client_secret_file", config.client_secret_file.is_some()),
        ] {
            if is_set {
                wrong(format!(
                    "{field}: has no effect with token_endpoint_auth_method {name}; remove one of them"
                ));
            }
        }
        let id = config.client_id.clone().unwrap_or_default();
        if config.client_id.is_some() && (!is_printable(&id) || id.len() > MAX_LEN) {
            wrong(
                "client_id: must be printable ASCII, not empty, and at most 2,048 bytes".to_owned(),
            );
        }
        let proof = problems.check(match method {
            TokenAuth::PrivateKeyJwt => Proof::by_assertion(config),
            _ => Proof::by_certificate(config, name),
        });
        match proof {
            Some(proof) => problems.finish().map(|()| OwnClient { id, proof }),
            None => Err(problems.into_error()),
        }
    }

    /// The client's credentials with their proof as it is now. Short blocking reads of files. `wall`: the time since the
    /// Unix epoch.
    ///
    /// # Errors
    ///
    /// An error is about a file, and names its field and path.
    pub(crate) fn prove(
        &self,
        credentials: &Credentials,
        wall: Duration,
        journal: &Journal,
    ) -> Result<Credentials, Error> {
        match &self.proof {
            Proof::Secret(_) | Proof::SecretFile(_) => {
                self.read().map(|secret| credentials.with_secret(secret))
            }
            Proof::Key(key) => {
                let signer = key.signer(|why| journal.note(Level::Warning, why));
                Ok(credentials.with_signer(signer))
            }
            Proof::AssertionFile(file) => {
                assertion(file, Some(wall)).map(|assertion| credentials.with_secret(assertion))
            }
            Proof::Certificate => Ok(credentials.clone()),
        }
    }

    /// The same, if the proof has changed since `used`.
    pub(crate) fn prove_anew(
        &self,
        used: &Credentials,
        wall: Duration,
        journal: &Journal,
    ) -> Option<Credentials> {
        let proven = self.prove(used, wall, journal).ok();
        proven.filter(|proven| !proven.have_proof_of(used))
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
                _ => why,
            });
        }
        problems.finish().map(|()| client)
    }

    /// The secret as it is now. A short blocking read for a file.
    ///
    /// # Errors
    ///
    /// An error is about the file, and names its field and path; or the client has no secret.
    pub(crate) fn read(&self) -> Result<Secret, Error> {
        let (secret, file) = match &self.proof {
            Proof::Secret(secret) => (secret.clone(), None),
            Proof::SecretFile(file) => (file.read()?, Some(file)),
            _ => return Err(value_error("the client has no secret")),
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

    /// The text that no message may show: the secret, or the finished assertion.
    pub(crate) fn hidden(&self) -> Option<Secret> {
        match &self.proof {
            Proof::AssertionFile(file) => assertion(file, None).ok(),
            _ => self.read().ok(),
        }
    }

    /// Whether the client proves itself with a secret.
    pub(crate) fn has_secret(&self) -> bool {
        matches!(self.proof, Proof::Secret(_) | Proof::SecretFile(_))
    }

    /// Whether another program issues the client's assertions.
    pub(crate) fn has_finished_assertion(&self) -> bool {
        matches!(self.proof, Proof::AssertionFile(_))
    }

    /// Includes the path of a file instead of its content: a rotated secret is the same client's.
    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        fingerprint.part(self.id.as_bytes());
        match &self.proof {
            Proof::Secret(secret) => fingerprint.part(b"secret").part(secret.expose().as_bytes()),
            Proof::SecretFile(file) => fingerprint
                .part(b"secret file")
                .part(file.path().as_os_str().as_encoded_bytes()),
            Proof::Key(key) => {
                key.fingerprint(fingerprint.part(b"key"));
                fingerprint
            }
            Proof::AssertionFile(file) => fingerprint
                .part(b"assertion file")
                .part(file.path().as_os_str().as_encoded_bytes()),
            // The connection's fingerprint includes the certificate.
            Proof::Certificate => fingerprint.part(b"certificate"),
        };
    }
}

impl Proof {
    /// `private_key_jwt`.
    fn by_assertion(config: &Config) -> Result<Proof, Error> {
        let key = config.client_assertion_key_file.as_deref();
        match (key, config.client_assertion_file.as_deref()) {
            (Some(path), None) => ClientKey::compile(config, path).map(Proof::Key),
            (None, Some(path)) => {
                let mut problems = Problems::default();
                for field in assertion_fields(config).filter(|field| *field != ASSERTION_FILE) {
                    problems.add(value_error(format!(
                        "{field}: has no effect on the finished assertion in {ASSERTION_FILE}; remove one of them"
                    )));
                }
                let file = SecretFile::open(ASSERTION_FILE, path)
                    .and_then(|file| assertion(&file, None).map(|_| file));
                match problems.check(file) {
                    Some(file) => problems.finish().map(|()| Proof::AssertionFile(file)),
                    None => Err(problems.into_error()),
                }
            }
            (Some(_), Some(_)) => Err(value_error(format!(
                "{ASSERTION_FILE}: cannot be combined with client_assertion_key_file; use one of them"
            ))),
            (None, None) => Err(value_error(format!(
                "token_endpoint_auth_method: private_key_jwt requires client_assertion_key_file or {ASSERTION_FILE}"
            ))),
        }
    }

    /// `tls_client_auth`, `self_signed_tls_client_auth`.
    fn by_certificate(config: &Config, name: &str) -> Result<Proof, Error> {
        let mut problems = Problems::default();
        for field in assertion_fields(config) {
            problems.add(value_error(format!(
                "{field}: has no effect with token_endpoint_auth_method {name}; remove one of them"
            )));
        }
        if config.tls_client_auth_cert.is_none() {
            problems.add(value_error(format!(
                "token_endpoint_auth_method: {name} requires tls_client_auth_cert and tls_client_auth_key"
            )));
        }
        problems.finish().map(|()| Proof::Certificate)
    }
}

const ASSERTION_FILE: &str = "client_assertion_file";

/// The fields that are set of those about assertions without a secret.
fn assertion_fields(config: &Config) -> impl Iterator<Item = &'static str> {
    [
        (
            "client_assertion_key_file",
            config.client_assertion_key_file.is_some(),
        ),
        ("client_alg", config.client_alg.is_some()),
        (
            "client_assertion_kid",
            config.client_assertion_kid.is_some(),
        ),
        (
            "client_assertion_cert_file",
            config.client_assertion_cert_file.is_some(),
        ),
        (ASSERTION_FILE, config.client_assertion_file.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, is_set)| is_set.then_some(field))
}

/// A finished assertion, which must not have expired at `wall`.
fn assertion(file: &SecretFile, wall: Option<Duration>) -> Result<Secret, Error> {
    let assertion = file.read()?;
    let text = assertion.expose();
    let is_jwt = is_jws(text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let claims = unverified_claims(text).filter(|_| is_jwt);
    let claims = claims.ok_or_else(|| file.wrong("must contain one JWT"))?;
    let expires = claims.get("exp").and_then(serde_json::Value::as_f64);
    if let (Some(wall), Some(expires)) = (wall, expires)
        && expires <= wall.as_secs_f64()
    {
        return Err(file.wrong(&format!(
            "contains an assertion that expired {:.0} s ago; the program that writes the file must renew it",
            wall.as_secs_f64() - expires
        )));
    }
    Ok(assertion)
}

/// As of a request.
fn is_printable(text: &str) -> bool {
    printable(text.as_bytes()).is_ok()
}
