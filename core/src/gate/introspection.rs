//! The introspection of tokens ([RFC 7662]), and the gateway's own client at its endpoint.
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

use super::own::OwnClient;
use crate::config::{AuthMethods, Config, TokenAuth, value_error};
use crate::error::{Error, Problems};
use crate::gate::issuer::Issuer;
use crate::key::FingerprintBuilder;

/// The introspection of a gate.
#[derive(Debug, Clone)]
pub(crate) struct Introspection {
    pub(crate) client: OwnClient,
    pub(crate) auth: TokenAuth,
    /// JWTs are introspected too.
    pub(crate) jwts: bool,
    /// The signature of a client's own JWT is verified.
    pub(crate) verifies_jwts: bool,
}

impl Introspection {
    /// `None` if the gate introspects no tokens.
    pub(crate) fn compile(config: &Config) -> Result<Option<Introspection>, Error> {
        let uses = |method| config.auth_methods.contains(&method);
        if !uses(AuthMethods::Introspection) {
            return check_unused(config).map(|()| None);
        }
        let (id, secret, file) = (
            config.introspection_client_id.as_deref(),
            config.introspection_client_secret.as_deref(),
            config.introspection_client_secret_file.as_deref(),
        );
        let auth = config.introspection_endpoint_auth_method;
        if !auth.has_secret() {
            return Err(value_error(format!(
                "introspection_endpoint_auth_method: {} is not available for introspection; use client_secret_basic, \
                 client_secret_post or client_secret_jwt",
                auth.name()
            )));
        }
        let client = OwnClient::compile(
            ("introspection_client_id", id),
            ("introspection_client_secret", secret),
            ("introspection_client_secret_file", file),
        )?;
        let client = client.ok_or_else(|| {
            value_error(
                "introspection_client_id: is required with introspection in auth_methods; set it to the gateway's own \
                 client id at the provider",
            )
        })?;
        Ok(Some(Introspection {
            client,
            auth,
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
            .part(self.auth.name().as_bytes())
            .part(&[u8::from(self.jwts), u8::from(self.verifies_jwts)]);
        self.client.fingerprint(fingerprint);
    }
}

/// A field that has no effect may be meant to close something.
fn check_unused(config: &Config) -> Result<(), Error> {
    let mut problems = Problems::default();
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
        (
            "introspection_client_secret",
            config.introspection_client_secret.is_some(),
        ),
        (
            "introspection_client_secret_file",
            config.introspection_client_secret_file.is_some(),
        ),
    ] {
        if is_set {
            problems.add(value_error(format!(
                "{field}: has no effect without introspection in auth_methods; add it, or remove {field}"
            )));
        }
    }
    problems.finish()
}
