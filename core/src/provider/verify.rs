//! The verification of tokens: a client's own, and those of a token endpoint.

use super::context::Exchange;
use super::introspection::{INACTIVE, are_of_access_token};
use super::{Metadata, quote};
use crate::cause::{Cause, Denial};
use crate::gate::introspection::Introspection;
use crate::gate::policy::Breach;
use crate::token::claims::{Claims, ClaimsSet};
use crate::token::{Contents, Grant, Jws, JwsError, is_jws, remaining};

/// The reason why a token does not verify: its own fault, or unavailable keys.
pub(super) enum Unverified {
    Fault(JwsError),
    Denial(Denial),
}

impl Exchange<'_> {
    /// Verifies a client's own token (RFC 9068 section 4), or introspects it, or both.
    pub(super) async fn verify_client_supplied(&self, token: &str) -> Result<Grant, Denial> {
        let (is_jws, introspection) = (is_jws(token), self.rules.introspects(token));
        let verifies_jwts = |introspection: &Introspection| introspection.verifies_jwts;
        let verifies = is_jws && self.rules.introspection.as_ref().is_none_or(verifies_jwts);
        if !verifies && introspection.is_none() {
            return Err(invalid(if is_jws {
                "it is a JWT, and the gate takes opaque tokens only"
            } else {
                "it is no JWT"
            }));
        }
        let origin = self.origin(true);
        let metadata = self.provider.metadata(self.env).await?;
        let mut claims = None;
        if verifies {
            claims = Some(self.verified_claims(&metadata, token).await?);
        }
        if let Some(introspection) = introspection {
            let introspected = self.introspect(&metadata, introspection, token).await?;
            let introspected = introspected.ok_or_else(|| invalid(INACTIVE))?;
            if !are_of_access_token(introspected.set()) {
                return Err(invalid("it is not a bearer access token"));
            }
            self.check_client_supplied(introspected.set())?;
            claims = claims.or(Some(introspected));
        }
        let claims = claims.ok_or_else(|| invalid("it has no claims"))?;
        let client_id = ["client_id", "azp", "appid", "cid", "sub"]
            .into_iter()
            .filter_map(|name| claims.set().text(name))
            .find(|id| !id.is_empty())
            .filter(|id| !id.chars().any(char::is_control))
            .ok_or_else(|| invalid("it names no client"))?
            .to_owned();
        let lifetime = remaining(claims.set(), self.env.clock.wall());
        Ok(Grant::new(
            origin,
            &client_id,
            token,
            lifetime,
            &Contents::Claims(claims),
        ))
    }

    /// The claims of a client's own JWT: signature, type, issuer and times are verified.
    async fn verified_claims(&self, metadata: &Metadata, token: &str) -> Result<Claims, Denial> {
        let jws = self
            .verify(metadata, token, true)
            .await
            .map_err(|denial| match denial {
                Unverified::Fault(fault) => {
                    let signer = quote::signer(token, None);
                    invalid(&format!("{}{signer}", fault.why()))
                }
                Unverified::Denial(denial) => denial,
            })?;
        if !jws.may_be_access_token() {
            return Err(invalid("its typ is not an access token's"));
        }
        let claims = Claims::new(jws.into_claims(), Some(&metadata.issuer));
        if claims.set().get("exp").is_none() {
            return Err(invalid("it has no exp"));
        }
        self.check_client_supplied(claims.set()).map(|()| claims)
    }

    /// Checks the claims of a client's own token: kind, issuer and times. The gate's other requirements are checked for
    /// each request.
    fn check_client_supplied(&self, claims: ClaimsSet<'_>) -> Result<(), Denial> {
        if claims.are_of_id_token() {
            return Err(invalid("it is an ID token"));
        }
        // Its client must prove possession of the key (RFC 7800 section 3.1).
        if claims.get("cnf").is_some() {
            return Err(invalid(
                "it is bound to a key (cnf), which the gate does not verify",
            ));
        }
        match self
            .rules
            .policy
            .check_claims(claims, self.env.clock.wall())
        {
            Err(Breach::Insufficient(_)) | Ok(()) => Ok(()),
            Err(breach) => Err(invalid(breach.why())),
        }
    }

    /// Verifies a token with the provider's keys, and with newer ones if these do not suffice. A key may also be replaced
    /// under the same id; a client's own token is no reason to suspect that.
    pub(super) async fn verify<'t>(
        &self,
        metadata: &Metadata,
        token: &'t str,
        is_client_supplied: bool,
    ) -> Result<Jws<'t>, Unverified> {
        let (provider, env) = (self.provider, self.env);
        let jws = Jws::parse(token).map_err(Unverified::Fault)?;
        let issuer = jws.issuer();
        let keys = provider.keys(env, metadata, issuer).await;
        let keys = keys.map_err(Unverified::Denial)?;
        let verified = match jws.verify(&keys) {
            Err(fault) if fault.suggests_newer_keys(is_client_supplied) => {
                let newer = provider.newer_keys(env, metadata, issuer, &keys, is_client_supplied);
                let newer = newer.await.map_err(Unverified::Denial)?;
                jws.verify(&newer)
            }
            verified => verified,
        };
        verified.map(|()| jws).map_err(Unverified::Fault)
    }
}

fn invalid(why: &str) -> Denial {
    Denial::new(Cause::TokenInvalid, why)
}
