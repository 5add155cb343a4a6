//! The gateway's own client at the introspection endpoint ([RFC 7662]).
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

use crate::config::{AuthMethods, Config, TokenAuth, value_error};
use crate::error::{Error, Problems};
use crate::gate::issuer::Issuer;
use crate::key::FingerprintBuilder;
use crate::sys::secret::Secret;

/// The introspection of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Introspection {
    pub(crate) client_id: String,
    pub(crate) secret: Secret,
    pub(crate) auth: TokenAuth,
    /// JWTs are introspected too.
    pub(crate) jwts: bool,
    /// The signature of a client's own JWT is verified.
    pub(crate) verifies_jwts: bool,
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
                (
                    "introspection_client_secret",
                    config.introspection_client_secret.is_some(),
                ),
            ] {
                if is_set {
                    problems.add(value_error(format!("{field}: {HERE} {field}")));
                }
            }
            return problems.finish().map(|()| None);
        }
        let mut own = |field: &str, value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default();
            if value.is_empty() {
                problems.add(value_error(format!(
                    "{field}: is required with introspection in auth_methods; set it to the gateway's own credentials at \
                     the introspection endpoint"
                )));
            } else if !value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
                problems.add(value_error(format!("{field}: must be printable ASCII")));
            }
            value.to_owned()
        };
        let client_id = own("introspection_client_id", &config.introspection_client_id);
        let secret = own(
            "introspection_client_secret",
            &config.introspection_client_secret,
        );
        let auth = config.introspection_endpoint_auth_method;
        if !auth.has_secret() {
            problems.add(value_error(format!(
                "introspection_endpoint_auth_method: {} is not available for introspection; use client_secret_basic, \
                 client_secret_post or client_secret_jwt",
                auth.name()
            )));
        }
        problems.finish()?;
        Ok(Some(Introspection {
            client_id,
            secret: Secret::new(&secret),
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
            .part(self.client_id.as_bytes())
            .part(self.secret.expose().as_bytes())
            .part(self.auth.name().as_bytes())
            .part(&[u8::from(self.jwts), u8::from(self.verifies_jwts)]);
    }
}
