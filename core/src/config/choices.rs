//! The types of fields that have a choice of values, or members.

use super::shapes::list;
use serde::{Deserialize, Serialize};

/// A method by which clients authenticate to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthMethods {
    /// Id and secret, exchanged for a token.
    ClientCredentials,
    /// A JWT that the client already has.
    Bearer,
    /// An opaque token that the client already has.
    Introspection,
}

/// Client authentication at the token endpoint (RFC 6749 section 2.3.1, OpenID Connect Core 1.0 section 9, RFC 8705
/// section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenAuth {
    /// Id and secret in `Authorization: Basic`.
    ClientSecretBasic,
    /// Id and secret in the form.
    ClientSecretPost,
    /// A JWT signed with the secret.
    ClientSecretJwt,
    /// A JWT signed with a private key.
    PrivateKeyJwt,
    /// The certificate of the connection, issued by a CA.
    TlsClientAuth,
    /// The certificate of the connection, registered itself.
    SelfSignedTlsClientAuth,
}

impl TokenAuth {
    /// The standard's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TokenAuth::ClientSecretBasic => "client_secret_basic",
            TokenAuth::ClientSecretPost => "client_secret_post",
            TokenAuth::ClientSecretJwt => "client_secret_jwt",
            TokenAuth::PrivateKeyJwt => "private_key_jwt",
            TokenAuth::TlsClientAuth => "tls_client_auth",
            TokenAuth::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// Whether the client proves itself with a secret.
    pub(crate) fn has_secret(self) -> bool {
        match self {
            TokenAuth::ClientSecretBasic
            | TokenAuth::ClientSecretPost
            | TokenAuth::ClientSecretJwt => true,
            TokenAuth::PrivateKeyJwt
            | TokenAuth::TlsClientAuth
            | TokenAuth::SelfSignedTlsClientAuth => false,
        }
    }
}

/// A challenge to a client that is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Challenge {
    /// `Basic` (RFC 7617).
    Basic,
    /// `Bearer` (RFC 6750).
    Bearer,
}

/// The encoding of an id and a secret inside Basic credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// Unchanged (RFC 7617).
    Raw,
    /// Form-urlencoded (RFC 6749 section 2.3.1).
    Form,
}

/// A header that carries a claim upstream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimHeader {
    /// The header's name.
    pub(crate) header: String,
    /// The path of the claim: names of members, and positions in arrays from 1.
    #[serde(deserialize_with = "list")]
    pub(crate) path: Vec<String>,
}
