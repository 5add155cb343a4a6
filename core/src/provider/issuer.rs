//! The issuer of a configuration.

use crate::config::value_error;
use crate::error::Error;
use crate::key::FingerprintBuilder;
use crate::transport::Trust;
use url::{Host, Url};

/// An issuer as configured: where its metadata is, and how it may be reached.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// The identifier without its trailing slash: Auth0's has one, which its well-known URL does not tell.
    pub(crate) id: String,
    pub(crate) discovery: Url,
    pub(crate) allow_loopback_http: bool,
    pub(crate) trust: Trust,
}

/// What tells one provider from another in an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProviderId {
    discovery: Url,
    allow_loopback_http: bool,
    trust: Trust,
}

/// Where OpenID Connect Discovery 1.0 section 4 puts the document: behind the issuer's path.
const OPENID: &str = "/.well-known/openid-configuration";
/// Where RFC 8414 section 3 puts it: between host and path.
const OAUTH: &str = "/.well-known/oauth-authorization-server";

impl Issuer {
    /// From an issuer identifier or the full well-known URL of either standard.
    pub(crate) fn parse(
        configured: &str,
        allow_loopback_http: bool,
        trust: Trust,
    ) -> Result<Issuer, Error> {
        let url = endpoint(configured, allow_loopback_http)
            .map_err(|why| value_error(format!("issuer: {why}")))?;
        if url.query().is_some() {
            return Err(value_error("issuer: must not have a query"));
        }
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/');
        let (id, discovery) = if let Some(issuer_path) = path.strip_suffix(OPENID) {
            (format!("{origin}{issuer_path}"), url.clone())
        } else if let Some(issuer_path) = path.strip_prefix(OAUTH) {
            (format!("{origin}{issuer_path}"), url.clone())
        } else {
            let mut discovery = url.clone();
            discovery.set_path(&format!("{path}{OPENID}"));
            (format!("{origin}{path}"), discovery)
        };
        Ok(Issuer {
            id,
            discovery,
            allow_loopback_http,
            trust,
        })
    }

    /// The host, as the realm of a challenge.
    pub(crate) fn host(&self) -> &str {
        self.discovery.host_str().unwrap_or_default()
    }

    pub(crate) fn provider_id(&self) -> ProviderId {
        ProviderId {
            discovery: self.discovery.clone(),
            allow_loopback_http: self.allow_loopback_http,
            trust: self.trust.clone(),
        }
    }

    /// How a provider is trusted counts as well: a token from one that another gate would not talk to stays apart.
    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        fingerprint.part(self.discovery.as_str().as_bytes());
        fingerprint.part(&[u8::from(self.allow_loopback_http)]);
        fingerprint.list(self.trust.pem().into_iter());
    }
}

/// A URL that secrets may be sent to: https, or http to a loopback address where that is allowed; no user info, no
/// fragment. The error says what is wrong with it.
pub(crate) fn endpoint(text: &str, allow_loopback_http: bool) -> Result<Url, String> {
    // Messages repeat the text only where it can hold no password.
    let shown = if text.contains('@') {
        "it".to_owned()
    } else {
        format!("{text:?}")
    };
    let url = Url::parse(text).map_err(|error| format!("{shown} is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user name or password is refused".to_owned());
    }
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(format!("{shown} has no host")),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback && allow_loopback_http => {}
        "http" if is_loopback => {
            return Err(format!(
                "{shown} is not https (for development, set allow_loopback_http)"
            ));
        }
        _ => return Err(format!("{shown} is not https")),
    }
    if url.fragment().is_some() {
        return Err(format!("{shown} has a fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(configured: &str) -> Result<(String, String), String> {
        Issuer::parse(configured, false, Trust::System)
            .map(|issuer| (issuer.id, issuer.discovery.into()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_issuer_may_be_given_as_itself_or_as_its_well_known_url() {
        for (configured, id, discovery) in [
            (
                "https://a.example",
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/",
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/t/1/",
                "https://a.example/t/1",
                "https://a.example/t/1/.well-known/openid-configuration",
            ),
            (
                "https://a.example/t/.well-known/openid-configuration",
                "https://a.example/t",
                "https://a.example/t/.well-known/openid-configuration",
            ),
            (
                "https://a.example/.well-known/oauth-authorization-server/t",
                "https://a.example/t",
                "https://a.example/.well-known/oauth-authorization-server/t",
            ),
            (
                "https://a.example:8443",
                "https://a.example:8443",
                "https://a.example:8443/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(
                parse(configured),
                Ok((id.to_owned(), discovery.to_owned())),
                "{configured}"
            );
        }
    }

    #[test]
    fn a34_only_urls_that_secrets_may_be_sent_to_are_accepted() {
        for refused in [
            "a.example",
            "http://a.example",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/#f",
            "https://a.example/?q",
            "http://127.0.0.1",
            "http://localhost:80@attacker.example",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
        for accepted in [
            "http://127.0.0.1:9",
            "http://127.8.8.8",
            "http://[::1]:9",
            "http://localhost:9",
            "https://a.example",
        ] {
            assert!(endpoint(accepted, true).is_ok(), "{accepted}");
        }
        for refused in [
            "http://localhost.example",
            "http://10.0.0.1",
            "http://[::2]",
            "http://localhost@a.example",
        ] {
            assert!(endpoint(refused, true).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        for issuer in [
            "https://user:s3cret@a.example",
            "user:s3cret@",
            "http://u:s3cret@a",
        ] {
            assert!(!parse(issuer).unwrap_err().contains("s3cret"), "{issuer}");
        }
    }
}
