//! The provider's keys, and the token's signature.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict};
use super::reach::{no_document, unanswered};
use crate::token::TokenResponse;
use crate::token::{Jws, JwsError, KeySet, Unusable, is_jws};

const STEP: Step = Step::Signature;

impl Check<'_> {
    pub(super) fn signature(&self, report: &mut Diagnosis) -> bool {
        let answer = self
            .granted()
            .and_then(|(page, _)| TokenResponse::read(&page.body).ok());
        let Some(answer) = answer.filter(|answer| is_jws(&answer.access_token)) else {
            return true;
        };
        if !self.rules.verify_signature {
            let message = "The signature is not verified, as configured.";
            report.add(Finding::notice(STEP, "not_verified", message));
            return true;
        }
        let jws = Jws::parse(&answer.access_token);
        let keys = match self.key_set(report, jws.is_ok()) {
            Ok(keys) => keys,
            Err(()) => return false,
        };
        let verified = jws.and_then(|jws| jws.verify(&keys).map(|()| jws));
        match verified {
            Ok(jws) => {
                let message = format!(
                    "The token is signed ({}) with a key of the provider.",
                    jws.algorithm()
                );
                report
                    .add(Finding::notice(STEP, "good", message).fact("algorithm", jws.algorithm()));
                true
            }
            Err(fault) => {
                report.fail(Verdict::Misconfigured, bad(fault));
                false
            }
        }
    }

    /// Reports the fetched keys; an error has been reported. `wanted`: the token is readable.
    fn key_set(&self, report: &mut Diagnosis, wanted: bool) -> Result<KeySet, ()> {
        let mut keys = KeySet::default();
        if !wanted {
            return Ok(keys);
        }
        let fetched: Vec<_> = self.documents(false).collect();
        if fetched.is_empty() {
            let message = "The token is signed, but the provider's metadata has no address of its keys (jwks_uri).";
            let finding = Finding::error(STEP, "no_keys", message).remedy(
                "Set jwks_endpoint to the address of the provider's keys (JWKS). Without them nobody can tell whether the \
                 token is genuine.",
            );
            report.fail(Verdict::Misconfigured, finding);
            return Err(());
        }
        for seen in fetched {
            let remedy = "The address comes from the metadata (jwks_uri), or from jwks_endpoint and extra_jwks_uris where \
                          these are set: a JSON document with a list of keys has to come from there.";
            let failed = match &seen.answer {
                Some(Ok(page)) => match (
                    no_document(STEP, "keys", remedy, seen, page),
                    KeySet::parse(&page.body),
                ) {
                    (Some(failed), _) => failed,
                    (None, Some(more)) => {
                        keys.extend(more);
                        continue;
                    }
                    (None, None) => {
                        let message =
                            format!("The response of {} is not a key set (RFC 7517).", seen.url);
                        let finding = Finding::error(STEP, "no_key_set", message).remedy(remedy);
                        (
                            Verdict::Misconfigured,
                            finding.fact("url", seen.url.as_str()),
                        )
                    }
                },
                answer => {
                    let fault = answer.as_ref().and_then(|answer| answer.as_ref().err());
                    unanswered(STEP, &seen.url, fault, self.rules.timeout)
                }
            };
            report.fail(failed.0, failed.1);
            return Err(());
        }
        Ok(keys)
    }
}

fn bad(fault: JwsError) -> Finding {
    let (code, message, remedy) = match fault {
        JwsError::UnusableKey(why) => return unusable(why),
        JwsError::UnknownKey => (
            "key_unknown",
            "The token is signed with a key that is not among those that the provider publishes.",
            "Are issuer and jwks_endpoint of the same provider and tenant as the token endpoint? A provider that signs with \
             keys of the application's own (Azure AD with claims mapping, some Auth0 rules) publishes them elsewhere: add \
             that address to extra_jwks_uris.",
        ),
        JwsError::Signature => (
            "signature_wrong",
            "The token's signature does not verify with the provider's key of that id.",
            "Another issuer signed the token, or it was changed in transit: do not use it. Look whether \
             issuer, token_endpoint and jwks_endpoint belong together. Entra ID's v1 tokens for its own APIs cannot be \
             verified by others.",
        ),
        JwsError::Algorithm => (
            "algorithm_refused",
            "The token's signature is of a kind that is not accepted: RS, PS and ES with 256, 384 and 512 are, and EdDSA; \
             and each key for its own only.",
            "Set the API's signing algorithm at the provider to RS256 or ES256 (Auth0: APIs, Settings, Signing Algorithm). \
             HS256 would mean that everybody who can verify a token can make one.",
        ),
        JwsError::Critical => (
            "extension_unknown",
            "The token requires an unknown extension (crit).",
            "Configure the provider to issue plain signed tokens (RFC 9068).",
        ),
        JwsError::Malformed => (
            "token_malformed",
            "The token looks like a JWT, but is not a valid one (RFC 7515).",
            "Configure the provider to issue plain signed tokens. Encrypted ones (JWE) cannot be used here.",
        ),
    };
    Finding::error(STEP, code, message).remedy(remedy)
}

/// A key that the provider publishes and the gateway omits.
fn unusable(why: Unusable) -> Finding {
    let (message, remedy) = match why {
        Unusable::Curve => (
            "its curve is not supported: P-256, P-384, P-521 and Ed25519 are.",
            "Have the provider sign with RS256, ES256 or EdDSA with Ed25519.",
        ),
        Unusable::Kind => (
            "its kind (kty) is not supported: RSA, EC and OKP are.",
            "Have the provider sign with RS256, ES256 or EdDSA with Ed25519.",
        ),
        Unusable::Long => (
            "it is an RSA key longer than 8192 bits.",
            "Have the provider sign with an RSA key of 2048 to 8192 bits.",
        ),
        Unusable::Malformed => (
            "it is malformed.",
            "Compare the key with RFC 7517 and RFC 7518: n, e, x and y are base64url, kid and alg are strings, key_ops is \
             a list, and no member is repeated.",
        ),
        Unusable::Purpose => (
            "it is not for signatures.",
            "Have the provider publish the key with use sig (in lower case), or with verify among its key_ops, or without \
             both.",
        ),
        Unusable::Short => (
            "it is an RSA key shorter than 2048 bits.",
            "RFC 7518, section 3.3, requires 2048 bits: have the provider sign with a longer key.",
        ),
    };
    let message = format!(
        "The provider publishes the key with which the token is signed, but the key is not usable: {message}"
    );
    Finding::error(STEP, "key_unusable", message).remedy(remedy)
}
