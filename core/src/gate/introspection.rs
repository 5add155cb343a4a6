//! The gateway's own client at the introspection endpoint ([RFC 7662]).
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

use crate::cause::{Cause, Denial};
use crate::config::{AuthMethods, Config, TokenAuth, value_error};
use crate::error::{Error, Problems};
use crate::gate::issuer::Issuer;
use crate::key::FingerprintBuilder;
use crate::sys::secret::Secret;
use crate::sys::secret_file::SecretFile;

const SECRET: &str = "introspection_client_secret";
const SECRET_FILE: &str = "introspection_client_secret_file";

/// The introspection of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Introspection {
    pub(crate) client_id: String,
    pub(crate) secret: OwnSecret,
    pub(crate) auth: TokenAuth,
    /// JWTs are introspected too.
    pub(crate) jwts: bool,
    /// The signature of a client's own JWT is verified.
    pub(crate) verifies_jwts: bool,
}

/// A secret of the gateway.
#[derive(Debug, Clone)]
pub(crate) enum OwnSecret {
    Inline(Secret),
    File(SecretFile),
}

impl OwnSecret {
    pub(crate) fn read(&self) -> Result<Secret, Denial> {
        match self {
            OwnSecret::Inline(secret) => Ok(secret.clone()),
            OwnSecret::File(file) => file
                .read()
                .map_err(|error| Denial::new(Cause::EngineUnavailable, error.to_string())),
        }
    }

    /// Contains the path of a file, not its content, which may change.
    fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        match self {
            OwnSecret::Inline(secret) => {
                fingerprint.part(b"inline").part(secret.expose().as_bytes())
            }
            OwnSecret::File(file) => fingerprint
                .part(b"file")
                .part(file.path().as_os_str().as_encoded_bytes()),
        };
    }
}

impl Introspection {
    /// `None` if the gate introspects no tokens.
    pub(crate) fn compile(config: &Config) -> Result<Option<Introspection>, Error> {
        const HERE: &str = "has no effect without introspection in auth_methods; add it, or remove";

        let uses = |method| config.auth_methods.contains(&method);
        let mut problems = Problems::default();
        if !uses(AuthMethods::Introspection) {
            for (field, is_set) in [
                ("introspect_jwt_tokens", config.introspect_jwt_tokens),
                (
                    "introspection_endpoint",
                    config.introspection_endpoint.is_some(),
                ),
                (
                    "introspection_client_id",
                    config.introspection_client_id.is_some(),
                ),
                (SECRET, config.introspection_client_secret.is_some()),
                (
                    SECRET_FILE,
                    config.introspection_client_secret_file.is_some(),
                ),
            ] {
                if is_set {
                    problems.add(value_error(format!("{field}: {HERE} {field}")));
                }
            }
            return problems.finish().map(|()| None);
        }
        let client_id = config
            .introspection_client_id
            .as_deref()
            .unwrap_or_default();
        if client_id.is_empty() {
            problems.add(value_error(
                "introspection_client_id: is required with introspection in auth_methods; set it to the gateway's own \
                 client id at the provider",
            ));
        }
        let secret = problems.check(secret(config));
        if !is_printable(client_id) {
            problems.add(value_error(
                "introspection_client_id: must be printable ASCII",
            ));
        }
        let Some(secret) = secret else {
            return Err(problems.into_error());
        };
        problems.finish()?;
        Ok(Some(Introspection {
            client_id: client_id.to_owned(),
            secret,
            auth: config.introspection_endpoint_auth_method,
            jwts: config.introspect_jwt_tokens,
            verifies_jwts: uses(AuthMethods::Bearer),
        }))
    }

    /// Gates share a token only if they introspect it in the same way.
    pub(crate) fn fingerprint(&self, issuer: &Issuer, fingerprint: &mut FingerprintBuilder) {
        let endpoint = issuer.introspection_endpoint.as_ref();
        fingerprint
            .part(b"introspection")
            .list(endpoint.iter().map(|url| url.as_str().as_bytes()))
            .part(self.client_id.as_bytes())
            .part(self.auth.name().as_bytes())
            .part(&[u8::from(self.jwts), u8::from(self.verifies_jwts)]);
        self.secret.fingerprint(fingerprint);
    }
}

fn secret(config: &Config) -> Result<OwnSecret, Error> {
    let inline = config.introspection_client_secret.as_deref();
    match (inline, &config.introspection_client_secret_file) {
        (Some(_), Some(_)) => Err(value_error(format!(
            "{SECRET}: cannot be combined with {SECRET_FILE}; use one of them"
        ))),
        (_, Some(path)) => SecretFile::open(SECRET_FILE, path).map(OwnSecret::File),
        (None | Some(""), None) => Err(value_error(format!(
            "{SECRET}: is required with introspection in auth_methods; set it, or {SECRET_FILE}, to the secret of \
             introspection_client_id"
        ))),
        (Some(secret), None) if is_printable(secret) => Ok(OwnSecret::Inline(Secret::new(secret))),
        _ => Err(value_error(format!("{SECRET}: must be printable ASCII"))),
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
