//! The connection to a provider: trusted certificates, the gateway's own certificate, and proxies.

use crate::config::{Config, value_error};
use crate::error::{Error, ErrorKind, Problems};
use crate::gate::client_certificate::ClientCertificate;
use crate::gate::reach::{Block, Reach};
use crate::key::FingerprintBuilder;
use crate::sys::secret_file::{SecretFile, shown};
use reqwest::header::HeaderValue;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;
use zeroize::Zeroizing;

/// The settings of one connection pool.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) trust: Trust,
    /// The certificate to present to the provider.
    pub(crate) identity: Option<ClientCertificate>,
    pub(crate) http_proxy: Option<Proxy>,
    pub(crate) https_proxy: Option<Proxy>,
    pub(crate) no_proxy: Option<String>,
    pub(crate) keepalive: bool,
    pub(crate) reach: Reach,
}

/// The certificates to trust.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The system's certificate store.
    System,
    /// These PEM certificates only.
    Only(Arc<[u8]>),
    /// Any certificate: the operator disabled verification.
    Anybody,
}

/// A proxy, and its `Proxy-Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) url: Url,
    authorization: Option<Arc<Zeroizing<String>>>,
    authorization_file: Option<SecretFile>,
}

impl Connection {
    pub(crate) fn compile(config: &Config) -> Result<Connection, Error> {
        let proxy = |field: &str,
                     url: &Option<String>,
                     authorization: &Option<String>,
                     file: &Option<PathBuf>| {
            let Some(url) = url.as_deref().filter(|url| !url.is_empty()) else {
                return match file {
                    Some(_) => Err(value_error(format!(
                        "{field}_authorization_file: requires {field}"
                    ))),
                    None => Ok(None),
                };
            };
            Proxy::parse(field, url, authorization.as_deref(), file.as_deref()).map(Some)
        };
        let mut problems = Problems::default();
        let trust = problems.check(trust(config));
        let identity = problems.check(ClientCertificate::compile(config));
        let http_proxy = problems.check(proxy(
            "http_proxy",
            &config.http_proxy,
            &config.http_proxy_authorization,
            &config.http_proxy_authorization_file,
        ));
        let https_proxy = problems.check(proxy(
            "https_proxy",
            &config.https_proxy,
            &config.https_proxy_authorization,
            &config.https_proxy_authorization_file,
        ));
        let reach = problems.check(Reach::compile(config));
        let (Some(trust), Some(identity), Some(http_proxy), Some(https_proxy), Some(reach)) =
            (trust, identity, http_proxy, https_proxy, reach)
        else {
            return Err(problems.into_error());
        };
        Ok(Connection {
            trust,
            identity,
            http_proxy,
            https_proxy,
            no_proxy: config.no_proxy.clone(),
            keepalive: config.keepalive,
            reach,
        })
    }

    /// Includes the trusted certificates: gates share tokens only if they trust the provider in the same way.
    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        match &self.trust {
            Trust::System => fingerprint.part(b"system"),
            Trust::Only(pem) => fingerprint.part(b"only").part(pem),
            Trust::Anybody => fingerprint.part(b"anybody"),
        };
        fingerprint.list(self.identity.iter().map(ClientCertificate::pem));
        for proxy in [&self.http_proxy, &self.https_proxy] {
            fingerprint.list(proxy.iter().map(|proxy| proxy.url.as_str().as_bytes()));
            if let Some(file) = proxy
                .as_ref()
                .and_then(|proxy| proxy.authorization_file.as_ref())
            {
                fingerprint.part(file.path().as_os_str().as_encoded_bytes());
            }
        }
        fingerprint.list(self.no_proxy.iter().map(String::as_bytes));
        fingerprint.part(&[u8::from(self.reach.loopback)]);
        let allowed = self.reach.allowed.iter().map(Block::to_string);
        let allowed: Vec<_> = allowed.collect();
        fingerprint.list(allowed.iter().map(|block| block.as_bytes()));
    }
}

impl Connection {
    /// The values of `Proxy-Authorization` as they are now, for both proxies.
    ///
    /// # Errors
    ///
    /// As [`Proxy::authorization`].
    pub(crate) fn proxy_authorizations(&self) -> Result<[Option<HeaderValue>; 2], Error> {
        let of = |proxy: &Option<Proxy>| match proxy {
            Some(proxy) => proxy.authorization(),
            None => Ok(None),
        };
        Ok([of(&self.http_proxy)?, of(&self.https_proxy)?])
    }
}

impl Hash for Connection {
    /// Hashes no secrets. There are few connections, so collisions are cheap.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.keepalive, &self.reach).hash(state);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection(…)")
    }
}

impl Trust {
    /// The error is `None` if the file contains no certificate.
    pub(crate) fn from_pem(pem: Vec<u8>) -> Result<Trust, Option<reqwest::Error>> {
        if reqwest::Certificate::from_pem_bundle(&pem)?.is_empty() {
            return Err(None);
        }
        Ok(Trust::Only(pem.into()))
    }
}

impl Proxy {
    fn parse(
        field: &str,
        url: &str,
        authorization: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Proxy, Error> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| value_error(format!("{field}: must be an http:// or https:// URL")))?;
        if let Some(value) = authorization
            && HeaderValue::from_str(value).is_err()
        {
            let message = format!("{field}_authorization: is not a valid header value");
            return Err(value_error(message));
        }
        if authorization.is_some() && file.is_some() {
            return Err(value_error(format!(
                "{field}_authorization: cannot be combined with {field}_authorization_file; use one of them"
            )));
        }
        let file_field = format!("{field}_authorization_file");
        let proxy = Proxy {
            url,
            authorization: authorization
                .map(|authorization| Arc::new(Zeroizing::new(authorization.to_owned()))),
            authorization_file: file
                .map(|path| SecretFile::open(&file_field, path))
                .transpose()?,
        };
        proxy.authorization().map(|_| proxy)
    }

    /// The value of `Proxy-Authorization` as it is now. A short blocking read for a file.
    ///
    /// # Errors
    ///
    /// An error is about the file, and names its field and path.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, Error> {
        let value = match (&self.authorization, &self.authorization_file) {
            (Some(value), _) => HeaderValue::from_str(value).ok(),
            (None, Some(file)) => {
                let value = HeaderValue::from_str(file.read()?.expose());
                Some(value.map_err(|_| file.wrong("is not a valid header value"))?)
            }
            (None, None) => None,
        };
        Ok(value.map(|mut value| {
            value.set_sensitive(true);
            value
        }))
    }
}

fn trust(config: &Config) -> Result<Trust, Error> {
    const FIELD: &str = "ssl_trusted_certificate";
    if !config.ssl_verify {
        if config.ssl_trusted_certificate.is_some() {
            return Err(value_error(format!(
                "{FIELD}: has no effect while ssl_verify is false; remove one of them"
            )));
        }
        return Ok(Trust::Anybody);
    }
    let Some(path) = &config.ssl_trusted_certificate else {
        return Ok(Trust::System);
    };
    let pem = read(FIELD, path)?;
    Trust::from_pem(pem.to_vec())
        .map_err(|error| file_error(FIELD, path, "contains no PEM certificate", error))
}

fn read(field: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    if path.to_string_lossy().contains("-----BEGIN") {
        return Err(value_error(format!(
            "{field}: must be the path of a file, not its content"
        )));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|error| {
        let message = format!("{field}: cannot read {}: {error}", shown(path));
        Error::with_source(ErrorKind::ConfigFile, message, error)
    })
}

fn file_error(field: &str, path: &Path, why: &str, error: Option<reqwest::Error>) -> Error {
    let message = format!("{field}: {} {why}", shown(path));
    match error {
        Some(error) => Error::with_source(ErrorKind::ConfigFile, message, error),
        None => Error::new(ErrorKind::ConfigFile, message),
    }
}
