//! HTTP to the provider, behind a trait that tests script.

mod address;
mod fault;
pub(crate) mod resolve;

pub(crate) use fault::{Fault, Obstacle};

use crate::gate::connection::{Connection, Proxy, Trust};
use crate::http::resolve::{Guarded, url_may_be_reached};
use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
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
    /// The raw value of `Retry-After`.
    pub(crate) retry_after: Option<String>,
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
}

/// The real transport: one connection pool per connection setting.
#[derive(Default)]
pub(crate) struct HttpTransport {
    clients: Mutex<HashMap<Connection, reqwest::Client>>,
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
            let client = self
                .client(connection)
                .map_err(|error| Fault::Unreachable(Obstacle::Tls, fault::reason(&error)))?;
            let headers = call.headers;
            let request = match call.form {
                None => client.get(call.url),
                Some(form) => post(&client, call.url, form)?,
            };
            let response = request
                .header(ACCEPT, "application/json")
                .headers(headers)
                .send()
                .await
                .map_err(|error| Fault::of(&error))?;
            read(response, call.max_answer).await
        })
    }
}

impl HttpTransport {
    fn client(&self, connection: &Connection) -> Result<reqwest::Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(connection) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("credgate/", env!("CARGO_PKG_VERSION")))
            // A redirect would send the secret to an address that is not configured.
            .redirect(reqwest::redirect::Policy::none())
            // Neither the environment nor the library may send a secret elsewhere, or twice.
            .no_proxy()
            .retry(reqwest::retry::never())
            .referer(false)
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .dns_resolver(Guarded {
                reach: connection.reach.clone(),
                lookup: resolve::system,
            })
            .pool_max_idle_per_host(if connection.keepalive { 8 } else { 0 })
            // Below five seconds, after which common servers close idle connections, possibly with a request in
            // progress.
            .pool_idle_timeout(Duration::from_secs(4));
        builder = match &connection.trust {
            Trust::System => builder,
            Trust::Only(pem) => builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?),
            Trust::Anybody => builder.tls_danger_accept_invalid_certs(true),
        };
        if let Some(identity) = &connection.identity {
            builder = builder.identity(reqwest::Identity::from_pem(identity)?);
        }
        let no_proxy = connection.no_proxy.as_deref();
        if let Some(one) = &connection.http_proxy {
            builder = builder.proxy(proxy(
                one,
                reqwest::Proxy::http(one.url.as_str())?,
                no_proxy,
            ));
        }
        if let Some(one) = &connection.https_proxy {
            builder = builder.proxy(proxy(
                one,
                reqwest::Proxy::https(one.url.as_str())?,
                no_proxy,
            ));
        }
        let client = builder.build()?;
        clients.insert(connection.clone(), client.clone());
        Ok(client)
    }
}

fn proxy(configured: &Proxy, proxy: reqwest::Proxy, no_proxy: Option<&str>) -> reqwest::Proxy {
    let proxy = proxy.no_proxy(no_proxy.and_then(reqwest::NoProxy::from_string));
    let authorization = configured.authorization.as_ref();
    match authorization.and_then(|value| HeaderValue::from_str(value).ok()) {
        Some(mut value) => {
            value.set_sensitive(true);
            proxy.custom_http_auth(value)
        }
        None => proxy,
    }
}

fn post(client: &reqwest::Client, url: Url, form: Form) -> Result<reqwest::RequestBuilder, Fault> {
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        // The bytes own the form, which is wiped after the last of them is sent.
        .body(Bytes::from_owner(form.body));
    let Some(authorization) = form.authorization else {
        return Ok(request);
    };
    let mut value = HeaderValue::from_str(&authorization)
        .map_err(|_| Fault::Broken("the credentials do not fit a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

async fn read(mut response: reqwest::Response, max: usize) -> Result<Response, Fault> {
    let status = response.status().as_u16();
    let header = |name: &HeaderName| {
        let value = response.headers().get(name)?.to_str().ok()?;
        (value.len() <= MAX_HEADER).then(|| value.to_owned())
    };
    let retry_after = header(&RETRY_AFTER);
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
        retry_after,
        limits,
        body,
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
            retry_after: None,
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
