//! The connections to providers: one pool per connection setting.

use super::resolve::{CONNECT_TIMEOUT, Guarded, Lookup, Turn};
use crate::gate::connection::{Connection, Trust};
use reqwest::header::HeaderValue;
use reqwest::{Client, Error, Request, Response, Version};
use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use url::Origin;

/// The idle time of an HTTP/1.1 connection: below five seconds, after which common servers close theirs. A server that
/// closes while a request is on its way does not tell whether it has read it, so the exchange fails: a token request is
/// never sent twice.
const HTTP1_IDLE: Duration = Duration::from_secs(4);
/// The same for HTTP/2, which tells the streams that it has not processed (GOAWAY and REFUSED_STREAM, RFC 9113 section
/// 8.7). reqwest sends those again, and no others.
const HTTP2_IDLE: Duration = Duration::from_secs(60);
/// An HTTP/2 connection with open requests is pinged after this time without a frame, and given up without an answer
/// within the next. A connection that a firewall has dropped would otherwise hold every exchange.
const PING_INTERVAL: Duration = Duration::from_secs(3);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    pub(super) connection: Connection,
    /// Of `http_proxy` and `https_proxy`.
    authorizations: [Option<HeaderValue>; 2],
    max_idle: usize,
    lookup: Lookup,
    turn: Turn,
    /// Negotiates the protocol.
    any: Client,
    /// HTTP/2 only: other than `any`, it opens one connection for all concurrent requests. Made when a provider turns
    /// out to speak HTTP/2; `None` if that fails.
    http2: OnceLock<Option<Client>>,
    /// The providers that speak HTTP/2.
    speak_http2: Mutex<HashSet<Origin>>,
}

impl Pool {
    /// `max_idle`: the maximum number of idle connections for each host.
    pub(super) fn new(
        connection: &Connection,
        authorizations: [Option<HeaderValue>; 2],
        max_idle: usize,
        lookup: Lookup,
    ) -> Result<Pool, Error> {
        let max_idle = if connection.keepalive { max_idle } else { 0 };
        let turn = Turn::default();
        Ok(Pool {
            connection: connection.clone(),
            max_idle,
            lookup,
            any: builder(connection, &authorizations, max_idle, lookup, turn.clone())?
                .pool_idle_timeout(HTTP1_IDLE)
                .build()?,
            authorizations,
            turn,
            http2: OnceLock::new(),
            speak_http2: Mutex::default(),
        })
    }

    /// Whether the pool has these values of `Proxy-Authorization`.
    pub(super) fn authorizes_with(&self, authorizations: &[Option<HeaderValue>; 2]) -> bool {
        self.authorizations == *authorizations
    }

    pub(super) async fn execute(&self, request: Request) -> Result<Response, Error> {
        let attempt = self.turn.begin();
        let response = self.execute_by_protocol(request).await?;
        attempt.succeed();
        Ok(response)
    }

    async fn execute_by_protocol(&self, mut request: Request) -> Result<Response, Error> {
        let origin = request.url().origin();
        if let Some(client) = self.http2(&origin)
            && let Some(again) = request.try_clone()
        {
            let result = client.execute(request).await;
            if result.is_err() {
                self.set_http2(&origin, false);
            }
            match result {
                // Nothing was sent. The provider may no longer offer HTTP/2.
                Err(error) if error.is_connect() => request = again,
                result => return result,
            }
        }
        let response = self.any.execute(request).await?;
        if response.version() == Version::HTTP_2 && self.connection.keepalive {
            self.set_http2(&origin, true);
        }
        Ok(response)
    }

    fn http2(&self, origin: &Origin) -> Option<&Client> {
        let speak_http2 = self.speak_http2.lock();
        if !speak_http2
            .unwrap_or_else(PoisonError::into_inner)
            .contains(origin)
        {
            return None;
        }
        let make = || {
            builder(
                &self.connection,
                &self.authorizations,
                self.max_idle,
                self.lookup,
                self.turn.clone(),
            )?
            .pool_idle_timeout(HTTP2_IDLE)
            .http2_prior_knowledge()
            .build()
        };
        self.http2.get_or_init(|| make().ok()).as_ref()
    }

    fn set_http2(&self, origin: &Origin, speaks: bool) {
        let mut speak_http2 = self
            .speak_http2
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if speaks {
            speak_http2.insert(origin.clone());
        } else {
            speak_http2.remove(origin);
        }
    }
}

fn builder(
    connection: &Connection,
    [http, https]: &[Option<HeaderValue>; 2],
    max_idle: usize,
    lookup: Lookup,
    turn: Turn,
) -> Result<reqwest::ClientBuilder, Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("credgate/", env!("CARGO_PKG_VERSION")))
        // A redirect would send the secret to an address that is not configured.
        .redirect(reqwest::redirect::Policy::none())
        // The environment must not send a secret elsewhere.
        .no_proxy()
        .referer(false)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .dns_resolver(Guarded {
            reach: connection.reach.clone(),
            lookup,
            turn,
        })
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(max_idle)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    builder = match &connection.trust {
        Trust::System => builder,
        Trust::Only(pem) => builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?),
        Trust::Anybody => builder.tls_danger_accept_invalid_certs(true),
    };
    if let Some(identity) = &connection.identity {
        builder = builder.identity(reqwest::Identity::from_pem(identity.pem())?);
    }
    let no_proxy = connection.no_proxy.as_deref();
    if let Some(one) = &connection.http_proxy {
        builder = builder.proxy(proxy(
            http.as_ref(),
            reqwest::Proxy::http(one.url.as_str())?,
            no_proxy,
        ));
    }
    if let Some(one) = &connection.https_proxy {
        builder = builder.proxy(proxy(
            https.as_ref(),
            reqwest::Proxy::https(one.url.as_str())?,
            no_proxy,
        ));
    }
    Ok(builder)
}

fn proxy(
    authorization: Option<&HeaderValue>,
    proxy: reqwest::Proxy,
    no_proxy: Option<&str>,
) -> reqwest::Proxy {
    let proxy = proxy.no_proxy(no_proxy.and_then(reqwest::NoProxy::from_string));
    match authorization {
        Some(value) => proxy.custom_http_auth(value.clone()),
        None => proxy,
    }
}
