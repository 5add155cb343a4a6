//! HTTP to the provider, behind a trait that tests script.

mod address;
mod fault;
mod pool;
pub(crate) mod resolve;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use address::may_be_reached;
pub(crate) use fault::{Fault, Obstacle};

use crate::gate::client_certificate::ClientCertificate;
use crate::gate::connection::Connection;
use crate::http::pool::Pool;
use crate::http::resolve::Lookup;
pub(crate) use crate::http::resolve::url_may_be_reached;
use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use reqwest::{Method, Request};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// A request to the provider: POST with a form if there is one, otherwise GET.
pub(crate) struct Call {
    pub(crate) url: Url,
    pub(crate) form: Option<Form>,
    /// The configured headers.
    pub(crate) headers: HeaderMap,
    /// The maximum size of the body, in bytes.
    pub(crate) max_answer: usize,
}

/// A form that contains a secret.
pub(crate) struct Form {
    pub(crate) body: Zeroizing<String>,
    /// The value of `Authorization`, if the client authenticates with it.
    pub(crate) authorization: Option<Zeroizing<String>>,
}

/// The response.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The media type, in lower case and without parameters.
    pub(crate) media_type: Option<String>,
    /// The raw value of `Retry-After`.
    pub(crate) retry_after: Option<String>,
    /// The `max-age` of `Cache-Control` (RFC 9111 section 5.2.2.1).
    pub(crate) max_age: Option<Duration>,
    /// The provider's rate-limit headers, of those in [`LIMIT_HEADERS`].
    pub(crate) limits: Vec<(&'static str, String)>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Rate-limit headers: Auth0's, Okta's, and the common one.
pub(crate) const LIMIT_HEADERS: [&str; 8] = [
    "auth0-client-quota-limit",
    "auth0-organization-quota-limit",
    "x-rate-limit-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// The maximum length of a provider's header value that is read.
const MAX_HEADER: usize = 512;

pub(crate) type ResponseFuture<'t> =
    Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send + 't>>;

/// Sends a call. The caller owns the deadline: dropping the future abandons the call.
pub(crate) trait Transport: Send + Sync {
    fn send<'t>(&'t self, connection: &'t Connection, call: Call) -> ResponseFuture<'t>;

    /// Closes the connections with these settings, which no provider uses any longer.
    fn forget(&self, _connection: &Connection) {}
}

/// The real transport: one connection pool per connection setting.
pub(crate) struct HttpTransport {
    max_exchanges: usize,
    lookup: Lookup,
    pools: Mutex<HashMap<Connection, Arc<Pool>>>,
}

impl Transport for HttpTransport {
    fn send<'t>(&'t self, connection: &'t Connection, call: Call) -> ResponseFuture<'t> {
        Box::pin(async move {
            if !url_may_be_reached(&call.url, &connection.reach) {
                return Err(Fault::Unreachable(
                    Obstacle::Guarded,
                    "an address that is not reached".to_owned(),
                ));
            }
            let authorizations = connection
                .proxy_authorizations()
                .map_err(|error| Fault::Unreachable(Obstacle::Network, error.to_string()))?;
            let pool = self
                .pool(connection, authorizations)
                .map_err(|error| Fault::Unreachable(Obstacle::Tls, fault::reason(&error)))?;
            let max_answer = call.max_answer;
            let response = pool
                .execute(request(call)?)
                .await
                .map_err(|error| Fault::of(&error))?;
            read(response, max_answer).await
        })
    }

    fn forget(&self, connection: &Connection) {
        self.pools().remove(connection);
    }
}

impl HttpTransport {
    /// `max_exchanges`: the maximum number of concurrent exchanges at one provider. As many idle connections are kept.
    pub(crate) fn new(max_exchanges: usize) -> HttpTransport {
        HttpTransport {
            max_exchanges,
            lookup: resolve::system,
            pools: Mutex::default(),
        }
    }

    /// The pool of a connection setting: a new one if the certificate to present has been renewed, or for another value of
    /// `Proxy-Authorization`.
    fn pool(
        &self,
        connection: &Connection,
        authorizations: [Option<HeaderValue>; 2],
    ) -> Result<Arc<Pool>, reqwest::Error> {
        let mut pools = self.pools();
        let pool = pools.get(connection);
        let current = pool.map_or(connection, |pool| &pool.connection);
        let renewed = current
            .identity
            .as_ref()
            .and_then(ClientCertificate::renewed);
        let current = match (pool, renewed) {
            (Some(pool), None) if pool.authorizes_with(&authorizations) => {
                return Ok(Arc::clone(pool));
            }
            (_, Some(renewed)) => Connection {
                identity: Some(renewed),
                ..current.clone()
            },
            (_, None) => current.clone(),
        };
        let pool = Pool::new(&current, authorizations, self.max_exchanges, self.lookup)?;
        let pool = Arc::new(pool);
        pools.insert(connection.clone(), Arc::clone(&pool));
        Ok(pool)
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<Connection, Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(call: Call) -> Result<Request, Fault> {
    let method = match call.form {
        Some(_) => Method::POST,
        None => Method::GET,
    };
    let mut request = Request::new(method, call.url);
    if let Some(form) = call.form {
        // The bytes own the form, which is wiped after the last of them is sent.
        *request.body_mut() = Some(Bytes::from_owner(form.body).into());
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        if let Some(authorization) = form.authorization {
            let mut value = HeaderValue::from_str(&authorization)
                .map_err(|_| Fault::Broken("the credentials do not fit a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.extend(call.headers);
    Ok(request)
}

async fn read(mut response: reqwest::Response, max: usize) -> Result<Response, Fault> {
    let status = response.status().as_u16();
    let header = |name: &HeaderName| {
        let value = response.headers().get(name)?.to_str().ok()?;
        (value.len() <= MAX_HEADER).then(|| value.to_owned())
    };
    let media_type = header(&CONTENT_TYPE).map(|value| media_type(&value));
    let retry_after = header(&RETRY_AFTER);
    let max_age = header(&CACHE_CONTROL).and_then(|value| max_age(&value));
    let limits = LIMIT_HEADERS
        .into_iter()
        .filter_map(|name| Some((name, header(&HeaderName::from_static(name))?)))
        .collect();
    // Allocated at once, so that no reallocation leaves an unwiped copy behind; a chunked body does not announce its
    // length.
    let length = response.content_length().unwrap_or(max as u64);
    let mut body = Zeroizing::new(Vec::with_capacity(length.min(max as u64) as usize));
    while let Some(chunk) = response.chunk().await.map_err(|error| Fault::of(&error))? {
        if body.len() + chunk.len() > max {
            return Err(Fault::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response {
        status,
        media_type,
        retry_after,
        max_age,
        limits,
        body,
    })
}

pub(crate) fn media_type(value: &str) -> String {
    let media_type = value.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// Zero for a response that must not be reused without asking.
fn max_age(value: &str) -> Option<Duration> {
    let mut directives = value.split(',').map(str::trim);
    directives.find_map(|directive| {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        let (name, seconds) = directive.split_once('=')?;
        let seconds = seconds.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age")
            .then(|| Duration::from_secs(seconds))
    })
}

#[cfg(test)]
pub(crate) mod scripted {
    use super::{Call, Connection, Fault, Response, ResponseFuture, Transport};
    use std::sync::Mutex;
    use tokio::sync::Semaphore;
    use zeroize::Zeroizing;

    /// A recorded call.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Seen {
        pub(crate) url: String,
        pub(crate) form: Option<String>,
        pub(crate) authorization: Option<String>,
        /// The configured headers: `name: value`.
        pub(crate) headers: Vec<String>,
    }

    type Script = dyn Fn(&Seen) -> Result<Response, Fault> + Send + Sync;

    /// Responds by a script, and holds token requests back until they are released.
    pub(crate) struct ScriptedTransport {
        script: Box<Script>,
        pub(crate) seen: Mutex<Vec<Seen>>,
        pub(crate) gate: Semaphore,
    }

    impl ScriptedTransport {
        /// Responds to every call at once.
        pub(crate) fn new(
            script: impl Fn(&Seen) -> Result<Response, Fault> + Send + Sync + 'static,
        ) -> ScriptedTransport {
            ScriptedTransport {
                script: Box::new(script),
                seen: Mutex::default(),
                gate: Semaphore::new(Semaphore::MAX_PERMITS),
            }
        }

        /// Token requests wait for a permit of `gate`.
        pub(crate) fn holding(
            script: impl Fn(&Seen) -> Result<Response, Fault> + Send + Sync + 'static,
        ) -> ScriptedTransport {
            ScriptedTransport {
                gate: Semaphore::new(0),
                ..ScriptedTransport::new(script)
            }
        }

        pub(crate) fn token_requests(&self) -> usize {
            self.seen
                .lock()
                .unwrap()
                .iter()
                .filter(|seen| seen.form.is_some())
                .count()
        }
    }

    pub(crate) fn reply(status: u16, body: &str) -> Result<Response, Fault> {
        Ok(Response {
            status,
            media_type: None,
            retry_after: None,
            max_age: None,
            limits: Vec::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        })
    }

    impl Transport for ScriptedTransport {
        fn send<'t>(&'t self, _connection: &'t Connection, call: Call) -> ResponseFuture<'t> {
            Box::pin(async move {
                let (form, authorization) = match call.form {
                    Some(form) => (
                        Some(form.body.to_string()),
                        form.authorization.map(|value| value.to_string()),
                    ),
                    None => (None, None),
                };
                let headers = call.headers.iter();
                let seen = Seen {
                    url: call.url.into(),
                    form,
                    authorization,
                    headers: headers
                        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                        .collect(),
                };
                let is_token_request = seen.form.is_some();
                self.seen.lock().unwrap().push(seen.clone());
                if is_token_request {
                    self.gate.acquire().await.unwrap().forget();
                }
                (self.script)(&seen)
            })
        }
    }
}

#[cfg(test)]
mod tests;
