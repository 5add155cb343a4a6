//! The token request (RFC 6749 section 4.4.2).

use crate::cause::{Cause, Denial};
use crate::config::{Encoding, TokenAuth};
use crate::gate::Rules;
use crate::http::Form;
use crate::provider::Metadata;
use crate::request::credentials::Credentials;
use crate::token::{AssertionSigner, Identity};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use std::time::Duration;
use zeroize::Zeroizing;

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client of a request to the provider, and the way in which it authenticates.
#[derive(Clone, Copy)]
pub(super) struct Client<'c> {
    pub(super) id: &'c str,
    pub(super) secret: &'c str,
    pub(super) auth: TokenAuth,
    pub(super) basic_encoding: Encoding,
    /// Its key. Without one, the secret of `private_key_jwt` is a finished assertion.
    pub(super) signer: Option<&'c AssertionSigner>,
    /// The audience of assertions; `None`: the issuer, which identifies one provider. Another provider could share the
    /// endpoint's URL.
    pub(super) audience: Option<&'c str>,
}

/// `wall`: the time since the Unix epoch.
pub(super) fn form(
    rules: &Rules,
    metadata: &Metadata,
    credentials: &Credentials,
    auth: TokenAuth,
    scope: Option<&str>,
    wall: Duration,
) -> Result<Form, Denial> {
    let own = rules.request.args.iter();
    let requests = credentials.args.iter().filter_map(|(number, value)| {
        let name = rules.places.args.get(*number)?;
        (name != "scope").then_some((name, value.as_str()))
    });
    let mut pairs = vec![("grant_type", "client_credentials")];
    pairs.extend(scope.map(|scope| ("scope", scope)));
    pairs.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
    let secrets = rules
        .request
        .secret_args
        .read()
        .map_err(Denial::unreadable)?;
    pairs.extend(secrets.iter().map(|(name, value)| (*name, value.expose())));
    pairs.extend(requests);
    let client = Client {
        id: &credentials.client_id,
        secret: credentials.client_secret.expose(),
        auth,
        basic_encoding: rules.request.basic_encoding,
        signer: credentials.signer.as_deref(),
        audience: rules.request.assertion_audience.as_deref(),
    };
    client.form(&pairs, metadata, wall)
}

impl Client<'_> {
    /// The form of these pairs with the client's authentication. `wall`: the time since the Unix epoch.
    pub(super) fn form(
        &self,
        pairs: &[(&str, &str)],
        metadata: &Metadata,
        wall: Duration,
    ) -> Result<Form, Denial> {
        let Client { id, secret, .. } = *self;
        let identity = Identity {
            client_id: id,
            audience: self.audience.unwrap_or(&metadata.issuer),
            wall,
        };
        let unsigned = |_| Denial::new(Cause::Internal, "the system has no randomness");
        let assertion;
        let mut pairs = pairs.to_vec();
        let authorization = match self.auth {
            TokenAuth::ClientSecretPost => {
                pairs.extend([("client_id", id), ("client_secret", secret)]);
                None
            }
            TokenAuth::ClientSecretBasic => Some(basic(self.basic_encoding, id, secret)),
            TokenAuth::ClientSecretJwt => {
                assertion = identity.signed_with_secret(secret).map_err(unsigned)?;
                // The assertion names the client; some providers refuse a client_id beside it.
                pairs.extend([
                    ("client_assertion_type", JWT_BEARER),
                    ("client_assertion", &assertion),
                ]);
                None
            }
            TokenAuth::PrivateKeyJwt => {
                let names_client;
                (assertion, names_client) = match self.signer {
                    Some(signer) => {
                        let signed = identity.signed_with(signer).map_err(unsigned)?;
                        // Entra ID, whose certificates it is for, requires a client_id.
                        (signed, signer.has_certificate)
                    }
                    // Its subject may have a name of its own.
                    None => (Zeroizing::new(secret.to_owned()), true),
                };
                pairs.extend(names_client.then_some(("client_id", id)));
                pairs.extend([
                    ("client_assertion_type", JWT_BEARER),
                    ("client_assertion", &assertion),
                ]);
                None
            }
            TokenAuth::TlsClientAuth | TokenAuth::SelfSignedTlsClientAuth => {
                pairs.push(("client_id", id));
                None
            }
        };
        // Capacity for every byte percent-encoded, so that no reallocation leaves an unwiped copy behind.
        let room = pairs
            .iter()
            .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
            .sum();
        let mut body = form_urlencoded::Serializer::new(String::with_capacity(room));
        body.extend_pairs(pairs);
        Ok(Form {
            body: Zeroizing::new(body.finish()),
            authorization,
        })
    }
}

/// RFC 6749 section 2.3.1: id and secret are form-urlencoded, then used as user name and password. Some providers
/// expect them raw.
fn basic(encoding: Encoding, id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
    match encoding {
        Encoding::Form => {
            pair.extend(byte_serialize(id.as_bytes()));
            pair.push(':');
            pair.extend(byte_serialize(secret.as_bytes()));
        }
        Encoding::Raw => {
            pair.push_str(id);
            pair.push(':');
            pair.push_str(secret);
        }
    }
    let mut header = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    header.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut header);
    header
}
