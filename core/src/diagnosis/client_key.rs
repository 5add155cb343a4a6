//! A token endpoint that refuses the key or the certificate of the gateway's own client.

use super::Check;
use super::recorder::{Asked, Page, Stated};
use super::says;
use crate::config::TokenAuth;
use std::time::UNIX_EPOCH;

const FEDERATION: &str = "No federated credential of the application matches: compare its issuer, subject and audience with \
     those of the assertion, letter by letter.";

/// Codes of Entra ID, which tell apart what others call invalid_client.
const ENTRA: [(&str, &str); 5] = [
    (
        "AADSTS700027",
        "Entra ID does not know this certificate, or it is not the key's: upload the certificate of \
         client_assertion_cert_file to the application (Certificates & secrets).",
    ),
    (
        "AADSTS700023",
        "Entra ID expects another audience: set client_assertion_audience to the URL of its token endpoint.",
    ),
    (
        "AADSTS700024",
        "The assertion is outside its time of validity: correct this machine's clock, or renew the assertion file.",
    ),
    (
        "AADSTS700021",
        "The subject of the assertion is not the client_id: set client_id to the application's id.",
    ),
    ("AADSTS7002", FEDERATION),
];

impl Check<'_> {
    pub(super) fn proof_refused(&self, asked: &Asked, said: &str) -> String {
        let proof = match asked.auth {
            TokenAuth::PrivateKeyJwt => "the assertion",
            _ => "the certificate of the connection",
        };
        let was_asked = self.was_asked(asked);
        let stated = asked.assertion.as_ref().map(|stated| self.stated(stated));
        format!(
            "The provider does not accept {proof} of this client id ({said}). {was_asked}{}",
            stated.unwrap_or_default()
        )
    }

    /// The statements of the assertion by which a provider finds the key and checks the rest.
    fn stated(&self, stated: &Stated) -> String {
        let members = [
            ("aud", stated.claim("aud")),
            ("iss", stated.claim("iss")),
            ("sub", stated.claim("sub")),
            ("alg", stated.header("alg")),
            ("kid", stated.header("kid")),
            ("x5t#S256", stated.header("x5t#S256")),
        ];
        let shown = members.map(|(name, value)| match value {
            Some(value) => format!("{name} {}", self.said(value)),
            None => format!("no {name}"),
        });
        format!(" The assertion has {}.", shown.join(", "))
    }

    pub(super) fn proof_remedy(&self, asked: &Asked, page: &Page) -> String {
        let reason = says::reason(&page.body).unwrap_or_default();
        if let Some((_, remedy)) = ENTRA.iter().find(|(code, _)| reason.contains(code)) {
            return (*remedy).to_owned();
        }
        let asked_for = "Is the client registered at the provider for";
        match (asked.auth, &asked.assertion) {
            (TokenAuth::PrivateKeyJwt, Some(_)) if self.is_finished() => format!(
                "{asked_for} {}, and does the provider trust the issuer of the assertion for this subject? The assertion's \
                 aud must be the value that the provider expects; the program that writes client_assertion_file sets it.",
                asked.auth.name()
            ),
            (TokenAuth::PrivateKeyJwt, _) => format!(
                "{asked_for} {} with the public key of client_assertion_key_file, and with this kid \
                 (client_assertion_kid)? The aud must be the value that the provider expects: its issuer, or the URL of \
                 its token endpoint (client_assertion_audience). An assertion is valid for 60 seconds by this machine's \
                 clock, which says {}.",
                asked.auth.name(),
                httpdate::fmt_http_date(UNIX_EPOCH + self.wall)
            ),
            (auth, _) => format!(
                "{asked_for} {} with the certificate of tls_client_auth_cert: its subject, or the certificate itself \
                 (self-signed)? The connection must reach the provider without a proxy or load balancer that ends TLS, \
                 unless it forwards the certificate.",
                auth.name()
            ),
        }
    }

    /// Whether another program issues the assertion.
    fn is_finished(&self) -> bool {
        self.rules
            .own
            .as_ref()
            .is_some_and(|own| own.has_finished_assertion())
    }
}
