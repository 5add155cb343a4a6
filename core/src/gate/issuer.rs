//! The issuer of a configuration: its metadata, overrides of the metadata, and the connection to it.

use crate::config::{AuthMethods, Config, value_error};
use crate::error::{Error, Problems};
use crate::gate::connection::Connection;
use crate::gate::headers;
use crate::gate::reach::is_loopback;
use crate::gate::secret_values::SecretValues;
use crate::key::FingerprintBuilder;
use reqwest::header::HeaderMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;
use url::Url;

/// A configured issuer. Equal issuers share one provider in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    /// The identifier without a trailing slash: Auth0's has one, but its well-known URL does not show it.
    pub(crate) id: String,
    /// The text in the configuration.
    pub(crate) configured: String,
    pub(crate) discovery: Url,
    /// There is no metadata, only the configured endpoints.
    pub(crate) is_pseudo: bool,
    pub(crate) token_endpoint: Option<Url>,
    pub(crate) introspection_endpoint: Option<Url>,
    pub(crate) jwks_endpoint: Option<Url>,
    /// Further addresses of its keys.
    pub(crate) extra_jwks: Vec<Url>,
    /// The addresses of other issuers' keys, by `iss`.
    pub(crate) foreign_jwks: Vec<(String, Url)>,
    pub(crate) headers: HeaderMap,
    /// Headers whose values are in files.
    pub(crate) secret_headers: SecretValues,
    /// The minimum interval between two refreshes of metadata, or of keys.
    pub(crate) rediscovery: Duration,
    pub(crate) allow_loopback_http: bool,
    pub(crate) connection: Connection,
}

/// The path of the metadata in OpenID Connect Discovery 1.0 section 4: after the issuer's path.
const OPENID: &str = "/.well-known/openid-configuration";
/// The path of the metadata in RFC 8414 section 3: between the host and the issuer's path.
const OAUTH: &str = "/.well-known/oauth-authorization-server";

impl Issuer {
    pub(crate) fn compile(config: &Config) -> Result<Issuer, Error> {
        let mut problems = Problems::default();
        let connection = problems.check(Connection::compile(config));
        let allow = config.allow_loopback_http;
        let one = |field: &str, text: &str| {
            endpoint(text, allow).map_err(|why| value_error(format!("{field}: {why}")))
        };
        let optional =
            |field, text: &Option<String>| text.as_deref().map(|text| one(field, text)).transpose();
        let url = problems.check(issuer_url(&config.issuer, one));
        let token_endpoint = problems.check(optional("token_endpoint", &config.token_endpoint));
        let introspection_endpoint = problems.check(optional(
            "introspection_endpoint",
            &config.introspection_endpoint,
        ));
        let jwks_endpoint = problems.check(optional("jwks_endpoint", &config.jwks_endpoint));
        let extra_jwks = config.extra_jwks_uris.iter().enumerate();
        let extra_jwks = extra_jwks
            .filter_map(|(at, uri)| problems.check(one(&format!("extra_jwks_uris[{at}]"), uri)))
            .collect();
        problems.check(check_extra_jwks(config));
        let headers = problems.check(headers(
            [
                "discovery_headers",
                "discovery_headers_names",
                "discovery_headers_values",
            ],
            &config.discovery_headers,
            &config.discovery_headers_names,
            &config.discovery_headers_values,
        ));
        let no_headers = HeaderMap::new();
        let secret_headers = problems.check(SecretValues::open_headers(
            "discovery_headers_files",
            &config.discovery_headers_files,
            headers.as_ref().unwrap_or(&no_headers),
        ));
        for (method, field, endpoint) in [
            (
                AuthMethods::ClientCredentials,
                "token_endpoint",
                &config.token_endpoint,
            ),
            (
                AuthMethods::Introspection,
                "introspection_endpoint",
                &config.introspection_endpoint,
            ),
        ] {
            let uses = config.auth_methods.contains(&method);
            if config.using_pseudo_issuer && uses && endpoint.is_none() {
                problems.add(value_error(format!(
                    "{field}: is required with using_pseudo_issuer, which disables discovery"
                )));
            }
        }
        let (Some(connection), Some(url), Some(headers), Some(secret_headers)) =
            (connection, url, headers, secret_headers)
        else {
            return Err(problems.into_error());
        };
        let (Some(token_endpoint), Some(introspection_endpoint), Some(jwks_endpoint)) =
            (token_endpoint, introspection_endpoint, jwks_endpoint)
        else {
            return Err(problems.into_error());
        };
        problems.finish()?;
        let (id, discovery) = locate(&url);
        let (extra_jwks, foreign_jwks) = by_issuer(extra_jwks, &config.extra_jwks_issuers, &id);
        Ok(Issuer {
            id,
            configured: config.issuer.clone(),
            discovery,
            is_pseudo: config.using_pseudo_issuer,
            token_endpoint,
            introspection_endpoint,
            jwks_endpoint,
            extra_jwks,
            foreign_jwks,
            headers,
            secret_headers,
            rediscovery: Duration::from_secs(config.rediscovery_lifetime.into()),
            allow_loopback_http: allow,
            connection,
        })
    }

    /// The host, for the realm of a challenge.
    pub(crate) fn host(&self) -> &str {
        self.discovery.host_str().unwrap_or_default()
    }

    /// Whether keys can be fetched: from the metadata or from a configured URL.
    pub(crate) fn may_have_keys(&self) -> bool {
        !self.is_pseudo || self.jwks_endpoint.is_some() || !self.extra_jwks.is_empty()
    }

    /// Whether the configuration names the endpoints for tokens and for keys.
    pub(crate) fn has_endpoints(&self) -> bool {
        self.token_endpoint.is_some() && self.jwks_endpoint.is_some()
    }

    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        let list = |urls: &[Url]| {
            urls.iter()
                .map(|url| url.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        fingerprint.part(self.discovery.as_str().as_bytes());
        fingerprint.part(&[u8::from(self.is_pseudo), u8::from(self.allow_loopback_http)]);
        for urls in [
            list(self.token_endpoint.as_slice()),
            list(self.jwks_endpoint.as_slice()),
            list(&self.extra_jwks),
        ] {
            fingerprint.list(urls.iter().map(|url| url.as_bytes()));
        }
        let foreign = self.foreign_jwks.iter();
        let foreign: Vec<_> = foreign
            .flat_map(|(issuer, url)| [issuer.as_bytes(), url.as_str().as_bytes()])
            .collect();
        fingerprint.list(foreign.into_iter());
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
            .collect();
        fingerprint.list(headers.into_iter());
        self.secret_headers.fingerprint(fingerprint);
        self.connection.fingerprint(fingerprint);
    }
}

impl Hash for Issuer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.discovery.hash(state);
    }
}

/// Checks that every further key has an issuer: a key of one issuer must not sign tokens of another.
fn check_extra_jwks(config: &Config) -> Result<(), Error> {
    let (uris, issuers) = (&config.extra_jwks_uris, &config.extra_jwks_issuers);
    let own = config.issuer.trim_end_matches('/');
    let is_own = |issuer: &String| issuer.trim_end_matches('/') == own;
    if issuers.is_empty() {
        if !uris.is_empty() && !config.issuers_allowed.iter().all(is_own) {
            return Err(value_error(
                "extra_jwks_issuers: is required with extra_jwks_uris, because issuers_allowed names another issuer: list \
                 the issuer of each URL",
            ));
        }
        return Ok(());
    }
    if issuers.len() != uris.len() {
        return Err(value_error(
            "extra_jwks_issuers: must list one issuer for each of extra_jwks_uris",
        ));
    }
    let is_allowed = |issuer: &String| is_own(issuer) || config.issuers_allowed.contains(issuer);
    if !issuers.iter().all(is_allowed) {
        return Err(value_error(
            "extra_jwks_issuers: names an issuer that issuers_allowed lacks",
        ));
    }
    Ok(())
}

/// The addresses of an issuer's own keys, and of other issuers' keys.
fn by_issuer(urls: Vec<Url>, issuers: &[String], id: &str) -> (Vec<Url>, Vec<(String, Url)>) {
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for (at, url) in urls.into_iter().enumerate() {
        match issuers.get(at) {
            Some(issuer) if issuer.trim_end_matches('/') != id => {
                foreign.push((issuer.clone(), url));
            }
            _ => own.push(url),
        }
    }
    (own, foreign)
}

/// The identifier and the URL of the metadata, from an issuer or from the full well-known URL of either standard.
fn locate(url: &Url) -> (String, Url) {
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    if let Some(issuer_path) = path.strip_suffix(OPENID) {
        (format!("{origin}{issuer_path}"), url.clone())
    } else if let Some(issuer_path) = path.strip_prefix(OAUTH) {
        (format!("{origin}{issuer_path}"), url.clone())
    } else {
        let mut discovery = url.clone();
        discovery.set_path(&format!("{path}{OPENID}"));
        (format!("{origin}{path}"), discovery)
    }
}

/// Parses the configured issuer with `parse`.
fn issuer_url(text: &str, parse: impl Fn(&str, &str) -> Result<Url, Error>) -> Result<Url, Error> {
    if text.is_empty() {
        return Err(value_error(
            "issuer: is missing; set it to the provider's issuer, or to its well-known URL",
        ));
    }
    let url = parse("issuer", text)?;
    if url.query().is_some() {
        return Err(value_error("issuer: must not have a query"));
    }
    Ok(url)
}

/// Parses a URL that may receive secrets: https, or http to a loopback address if allowed; without user info and
/// fragment. The error does not repeat the text, whose query may be a secret.
pub(crate) fn endpoint(text: &str, allow_loopback_http: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password");
    }
    if !url.has_host() {
        return Err("has no host");
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) && allow_loopback_http => {}
        "http" if is_loopback(&url) => {
            return Err("is not https (for development, set allow_loopback_http)");
        }
        _ => return Err("is not https"),
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment");
    }
    Ok(url)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn issuer(json: &str) -> Result<Issuer, Error> {
        Issuer::compile(&Config::from_json(json)?)
    }

    fn parse(configured: &str) -> Result<(String, String), String> {
        let json = serde_json::json!({ "issuer": configured }).to_string();
        issuer(&json)
            .map(|issuer| (issuer.id, issuer.discovery.into()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_issuer_may_be_written_as_its_well_known_url() {
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
    fn only_https_and_permitted_loopback_urls_are_accepted() {
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
