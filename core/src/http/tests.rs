//! The real transport, on sockets of this machine.

mod tls;

use super::*;
use crate::Gate;
use crate::config::Config;
use crate::gate::reach::Reach;
use crate::http::resolve::Lookup;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tls::{AUTHORITY, First, TlsServer};
use tokio::task::JoinSet;

/// A server that answers every request with the same bytes, closes the connection, and records the requests.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let of_server = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let request = read_request(&connection);
                of_server.lock().unwrap().push(request);
                let _ = (&connection).write_all(&answer);
            }
        });
        Server { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_request(connection: &TcpStream) -> String {
    let mut reader = BufReader::new(connection);
    let (mut request, mut length) = (String::new(), 0);
    while !request.ends_with("\r\n\r\n") {
        let start = request.len();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return request;
        }
        if let Some(value) = request[start..]
            .to_ascii_lowercase()
            .strip_prefix("content-length:")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request + std::str::from_utf8(&body).unwrap()
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}"
    )
}

fn connection(config: &str) -> Connection {
    let mut json: serde_json::Value = serde_json::from_str(config).unwrap();
    json["issuer"] = "http://127.0.0.1".into();
    json["allow_loopback_http"] = true.into();
    Connection::compile(&Config::from_json(&json.to_string()).unwrap()).unwrap()
}

fn get(url: &str) -> Call {
    Call {
        url: url.parse().unwrap(),
        form: None,
        headers: HeaderMap::new(),
        max_answer: 1000,
    }
}

async fn send(connection: &Connection, call: Call) -> Result<Response, Fault> {
    HttpTransport::new(64).send(connection, call).await
}

#[tokio::test]
async fn a_form_is_posted_with_its_authorization_and_headers() {
    let server = Server::start(response("200 OK", "", "{}"));
    let mut headers = HeaderMap::new();
    headers.insert("x-key", HeaderValue::from_static("k"));
    let call = Call {
        form: Some(Form {
            body: Zeroizing::new("grant_type=client_credentials".to_owned()),
            authorization: Some(Zeroizing::new("Basic YTpi".to_owned())),
        }),
        headers,
        ..get(&format!("{}/token?tenant=x", server.url))
    };
    let reply = send(&connection("{}"), call).await.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (200, b"{}".as_slice())
    );
    let request = server.asked().remove(0);
    assert!(
        request.starts_with("POST /token?tenant=x HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\ngrant_type=client_credentials"),
        "{request}"
    );
    for line in [
        "content-type: application/x-www-form-urlencoded",
        "authorization: Basic YTpi",
        "accept: application/json",
        "x-key: k",
        concat!("user-agent: credgate/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(
            request.lines().any(|one| one == line),
            "{line} in {request}"
        );
    }
    // No compression, so that a small response stays small; no cookie, no referrer.
    for absent in ["accept-encoding", "cookie", "referer"] {
        assert!(
            !request.to_ascii_lowercase().contains(absent),
            "{absent} in {request}"
        );
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let target = Server::start(response("200 OK", "", "{}"));
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let location = format!("location: {}/\r\n", target.url);
        let server = Server::start(response(status, &location, ""));
        let reply = send(&connection("{}"), get(&server.url)).await.unwrap();
        assert_eq!(reply.status.to_string(), status[..3]);
    }
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn an_oversized_response_is_not_read() {
    let server = Server::start(response("200 OK", "", &"x".repeat(1000)));
    assert_eq!(
        send(&connection("{}"), get(&server.url))
            .await
            .unwrap()
            .body
            .len(),
        1000
    );
    let server = Server::start(response("200 OK", "", &"x".repeat(1001)));
    let fault = send(&connection("{}"), get(&server.url)).await.err();
    assert!(matches!(fault, Some(Fault::TooLong)), "{fault:?}");
    // Also without an announced length.
    let endless = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        "x".repeat(5000)
    );
    let server = Server::start(endless);
    let fault = send(&connection("{}"), get(&server.url)).await.err();
    assert!(matches!(fault, Some(Fault::TooLong)), "{fault:?}");
}

#[tokio::test]
async fn transport_faults_are_told_apart() {
    for broken in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        "nonsense\r\n\r\n",
    ] {
        let server = Server::start(broken);
        let fault = send(&connection("{}"), get(&server.url)).await.err();
        assert!(
            matches!(fault, Some(Fault::Broken(_))),
            "{broken:?}: {fault:?}"
        );
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fault = send(&connection("{}"), get(&nobody)).await.err();
    let Some(Fault::Unreachable(_, why)) = fault else {
        panic!("{fault:?}")
    };
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn rate_limit_headers_and_retry_after_are_passed_on() {
    let headers = "retry-after: 7\r\nx-ratelimit-remaining: 29\r\nx-other: 1\r\n";
    let server = Server::start(response("429 Too Many", headers, ""));
    let reply = send(&connection("{}"), get(&server.url)).await.unwrap();
    assert_eq!(reply.retry_after.as_deref(), Some("7"));
    assert_eq!(reply.limits, [("x-ratelimit-remaining", "29".to_owned())]);
}

#[tokio::test]
async fn only_a_configured_proxy_is_used() {
    let proxy = Server::start(response("200 OK", "", "by proxy"));
    let config = serde_json::json!({
        "http_proxy": proxy.url, "http_proxy_authorization": "Basic cHJveHk6", "no_proxy": "127.0.0.2",
    });
    let through = connection(&config.to_string());
    let reply = send(&through, get("http://127.0.0.1:9/x")).await.unwrap();
    assert_eq!(reply.body.as_slice(), b"by proxy");
    let request = proxy.asked().remove(0);
    assert!(
        request.starts_with("GET http://127.0.0.1:9/x HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("proxy-authorization: Basic cHJveHk6\r\n"),
        "{request}"
    );
    assert!(
        send(&through, get("http://127.0.0.2:9/x")).await.is_err(),
        "no_proxy"
    );
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn a_changed_proxy_authorization_file_is_used_by_the_next_request() {
    let proxy = Server::start(response("200 OK", "", "by proxy"));
    let directory = crate::testing::directory::Directory::new("proxy-authorization");
    let file = directory.write("authorization", "Basic b25l\n");
    let config = serde_json::json!({
        "http_proxy": proxy.url, "http_proxy_authorization_file": file,
    });
    let (through, transport) = (connection(&config.to_string()), HttpTransport::new(1));
    for expected in ["Basic b25l", "Basic dHdv"] {
        directory.write("authorization", expected);
        let call = get("http://127.0.0.1:9/x");
        transport.send(&through, call).await.unwrap();
        let request = proxy.asked().pop().unwrap();
        let header = format!("proxy-authorization: {expected}\r\n");
        assert!(request.contains(&header), "{request}");
    }
    assert_eq!(transport.pools().len(), 1);
    directory.write("authorization", "");
    let fault = transport.send(&through, get("http://127.0.0.1:9/x")).await;
    assert!(format!("{:?}", fault.err()).contains("http_proxy_authorization_file"));
}

#[test]
fn loopback_is_reached_only_if_configured() {
    for (named, config) in [
        (false, "{}"),
        (false, r#"{"extra_jwks_uris":["https://b.example/jwks"]}"#),
        (true, r#"{"issuer":"https://localhost/"}"#),
        (true, r#"{"token_endpoint":"https://127.0.0.1/token"}"#),
        (true, r#"{"jwks_endpoint":"https://[::1]/jwks"}"#),
        (
            true,
            r#"{"extra_jwks_uris":["https://b.example/","https://127.0.0.2/"]}"#,
        ),
        // A proxy on this machine opens loopback for itself, not for endpoints that the metadata names.
        (false, r#"{"http_proxy":"http://127.0.0.1:3128"}"#),
        (false, r#"{"https_proxy":"http://localhost:3128"}"#),
    ] {
        let mut json = serde_json::json!({"issuer": "https://a.example/"});
        let more: serde_json::Value = serde_json::from_str(config).unwrap();
        json.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let config = Config::from_json(&json.to_string()).unwrap();
        assert_eq!(
            Connection::compile(&config).unwrap().reach.loopback,
            named,
            "{json}"
        );
    }
}

#[tokio::test]
async fn a_proxy_on_loopback_is_reached_and_opens_nothing_else() {
    let proxy = Server::start(response("200 OK", "", "by proxy"));
    let named = proxy.url.replace("127.0.0.1", "localhost");
    for http_proxy in [&proxy.url, &named] {
        let json = serde_json::json!({"issuer": "https://a.example/", "http_proxy": http_proxy});
        let config = Config::from_json(&json.to_string()).unwrap();
        let connection = Connection::compile(&config).unwrap();
        let reply = send(&connection, get("http://idp.example/x")).await;
        assert_eq!(reply.unwrap().body.as_slice(), b"by proxy");
        for url in [&proxy.url, &named] {
            let fault = send(&connection, get(url)).await.err();
            assert!(
                matches!(fault, Some(Fault::Unreachable(Obstacle::Guarded, _))),
                "{url}: {fault:?}"
            );
        }
    }
    assert_eq!(proxy.asked().len(), 2);
}

#[tokio::test]
async fn a_forbidden_address_is_not_connected_to() {
    let server = Server::start(response("200 OK", "", "{}"));
    let outside = Connection {
        reach: Reach::default(),
        ..connection("{}")
    };
    for url in [
        server.url.clone(),
        server.url.replace("127.0.0.1", "localhost"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::1]:9/".to_owned(),
    ] {
        let fault = send(&outside, get(&url)).await.err();
        assert!(
            matches!(fault, Some(Fault::Unreachable(..))),
            "{url}: {fault:?}"
        );
    }
    assert!(server.asked().is_empty());
    assert!(
        send(
            &connection("{}"),
            get(&server.url.replace("127.0.0.1", "localhost"))
        )
        .await
        .is_ok()
    );
}

#[tokio::test]
async fn connections_are_pooled_per_connection_setting() {
    let server = Server::start(response("200 OK", "", "{}"));
    let transport = HttpTransport::new(64);
    let (one, same, other) = (
        connection("{}"),
        connection("{}"),
        connection(r#"{"keepalive":false}"#),
    );
    for way in [&one, &same, &other] {
        assert!(transport.send(way, get(&server.url)).await.is_ok());
    }
    assert_eq!(transport.pools.lock().unwrap().len(), 2);
    let anybody = connection(r#"{"ssl_verify":false}"#);
    assert!(transport.send(&anybody, get(&server.url)).await.is_ok());
    assert_eq!(transport.pools.lock().unwrap().len(), 3);
}

/// Trusts any certificate, as the one of [`TlsServer`] is no server certificate.
fn unverified() -> Connection {
    connection(r#"{"ssl_verify":false}"#)
}

fn token_request(url: &str) -> Call {
    Call {
        form: Some(Form {
            body: Zeroizing::new("grant_type=client_credentials".to_owned()),
            authorization: None,
        }),
        ..get(url)
    }
}

/// Sends 1,000 token requests, 64 at a time, and returns the number of handshakes.
async fn handshakes_of_bursts(server: &TlsServer, transport: HttpTransport) -> usize {
    let transport = Arc::new(transport);
    let before = server.requests();
    let mut sent = 0;
    while sent < 1000 {
        let burst = 64.min(1000 - sent);
        let mut calls = JoinSet::new();
        for _ in 0..burst {
            let (transport, url) = (Arc::clone(&transport), server.url());
            calls.spawn(async move {
                let response = transport.send(&unverified(), token_request(&url)).await;
                response.map(|response| response.status)
            });
        }
        for status in calls.join_all().await {
            assert_eq!(status.unwrap(), 200);
        }
        sent += burst;
    }
    assert_eq!(server.requests() - before, 1000);
    server.handshakes()
}

#[tokio::test]
async fn bursts_share_one_http2_connection() {
    let server = TlsServer::start(&["h2", "http/1.1"], First::Responds).await;
    let transport = HttpTransport::new(64);
    // The metadata, which comes first.
    assert!(
        transport
            .send(&unverified(), get(&server.url()))
            .await
            .is_ok()
    );
    let handshakes = handshakes_of_bursts(&server, transport).await;
    assert!(handshakes <= 2, "{handshakes} handshakes");
}

#[tokio::test]
async fn a_first_burst_leads_to_at_most_one_handshake_per_exchange() {
    let server = TlsServer::start(&["h2", "http/1.1"], First::Responds).await;
    let handshakes = handshakes_of_bursts(&server, HttpTransport::new(64)).await;
    assert!(handshakes <= 65, "{handshakes} handshakes");
}

#[tokio::test]
async fn http1_connections_are_kept_for_a_whole_burst() {
    let server = TlsServer::start(&["http/1.1"], First::Responds).await;
    let handshakes = handshakes_of_bursts(&server, HttpTransport::new(64)).await;
    assert!(handshakes <= 64, "{handshakes} handshakes");
}

#[tokio::test]
async fn a_request_that_http2_did_not_process_is_sent_again() {
    for first in [First::RefusesStreams, First::GoesAway] {
        let server = TlsServer::start(&["h2"], first).await;
        let transport = HttpTransport::new(64);
        for _ in 0..3 {
            let reply = transport
                .send(&unverified(), token_request(&server.url()))
                .await;
            assert_eq!(reply.map(|reply| reply.status).unwrap(), 200);
        }
    }
}

#[tokio::test]
async fn a_request_that_http1_may_have_processed_is_not_sent_again() {
    let server = TlsServer::start(&["http/1.1"], First::ClosesSecond).await;
    let transport = HttpTransport::new(64);
    let send = async || {
        transport
            .send(&unverified(), token_request(&server.url()))
            .await
    };
    assert!(send().await.is_ok());
    let fault = send().await.err();
    assert!(matches!(fault, Some(Fault::Broken(_))), "{fault:?}");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn an_http2_connection_without_pongs_is_given_up() {
    let server = TlsServer::start(&["h2"], First::FallsSilent).await;
    let transport = Arc::new(HttpTransport::new(64));
    let (ours, url) = (Arc::clone(&transport), server.url());
    let silent = tokio::spawn(async move { ours.send(&unverified(), get(&url)).await.err() });
    while server.requests() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let fault = tokio::time::timeout(Duration::from_secs(6), silent).await;
    let fault = fault.expect("before the deadline").unwrap();
    assert!(matches!(fault, Some(Fault::Broken(_))), "{fault:?}");
    tokio::time::resume();
    assert!(
        transport
            .send(&unverified(), get(&server.url()))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_provider_may_give_up_http2() {
    let server = TlsServer::start(&["h2", "http/1.1"], First::Responds).await;
    let transport = HttpTransport::new(64);
    assert!(
        transport
            .send(&unverified(), get(&server.url()))
            .await
            .is_ok()
    );
    server.offer_http1_only();
    assert!(
        transport
            .send(&unverified(), get(&server.url()))
            .await
            .is_ok()
    );
}

/// An address whose packets are dropped: a listener with a full queue.
fn black_hole(address: SocketAddr) -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queued.push(stream);
    }
    (listener, queued)
}

#[tokio::test]
async fn the_next_address_is_tried_after_a_silent_or_a_refusing_one() {
    let server = Server::start(response("200 OK", "", "{}"));
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let _silent = black_hole(([127, 0, 0, 2], port).into());
    let url = format!("http://idp.example:{port}/");
    // Nobody listens at 127.0.0.3.
    let cases: [(u64, Lookup); 3] = [
        (1500, |_| addresses([2, 1])),
        (1500, |_| addresses([3, 2, 1])),
        (300, |_| addresses([3, 1])),
    ];
    for (milliseconds, lookup) in cases {
        let transport = HttpTransport {
            lookup,
            ..HttpTransport::new(64)
        };
        let connection = connection("{}");
        let call = transport.send(&connection, get(&url));
        let reply = tokio::time::timeout(Duration::from_millis(milliseconds), call).await;
        assert!(matches!(reply, Ok(Ok(_))), "within {milliseconds} ms");
    }
}

#[tokio::test]
async fn after_a_short_deadline_the_next_request_begins_with_the_next_address() {
    let server = Server::start(response("200 OK", "", "{}"));
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let _silent = black_hole(([127, 0, 0, 2], port).into());
    let transport = HttpTransport {
        lookup: |_| addresses([2, 1]),
        ..HttpTransport::new(64)
    };
    let (connection, url) = (connection("{}"), format!("http://idp.example:{port}/"));
    let within = async |milliseconds| {
        // Requests that give up at the same time count once.
        let calls = [(), ()].map(|()| transport.send(&connection, get(&url)));
        let [one, other] = calls;
        let both = async { tokio::join!(one, other) };
        let both = tokio::time::timeout(Duration::from_millis(milliseconds), both).await;
        both.is_ok_and(|(one, other)| one.is_ok() && other.is_ok())
    };
    assert!(!within(200).await);
    assert!(within(500).await);
    assert!(within(500).await);
}

#[tokio::test]
async fn a_name_whose_addresses_all_refuse_fails_at_once() {
    let url = "http://idp.example:9/";
    let transport = HttpTransport {
        lookup: |_| addresses([3, 4]),
        ..HttpTransport::new(64)
    };
    let connection = connection("{}");
    let call = transport.send(&connection, get(url));
    let fault = tokio::time::timeout(Duration::from_millis(300), call).await;
    let fault = fault.unwrap().err();
    assert!(
        matches!(fault, Some(Fault::Unreachable(Obstacle::Refused, _))),
        "{fault:?}"
    );
}

fn addresses<const N: usize>(last: [u8; N]) -> std::io::Result<Vec<SocketAddr>> {
    let address = |last| ([127, 0, 0, last], 0).into();
    Ok(last.into_iter().map(address).collect())
}

#[tokio::test]
async fn a_ca_certificate_presented_as_a_server_certificate_is_named() {
    let server = TlsServer::start(&["h2", "http/1.1"], First::Responds).await;
    let trust = serde_json::json!({ "ssl_trusted_certificate": AUTHORITY });
    let fault = send(&connection(&trust.to_string()), get(&server.url()))
        .await
        .err();
    let Some(Fault::Unreachable(obstacle, why)) = fault else {
        panic!("{fault:?}")
    };
    assert_eq!(
        why,
        "the server presents a CA certificate as its own; issue a server certificate from it"
    );
    assert_eq!(obstacle, Obstacle::CaCertificate);
}

#[test]
fn a_renewed_certificate_gets_a_pool_of_its_own() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys");
    let own = std::env::temp_dir().join(format!("credgate-certificate-{}", std::process::id()));
    std::fs::create_dir_all(&own).unwrap();
    let write = |from, to| assert!(std::fs::copy(keys.join(from), own.join(to)).is_ok());
    write("rsa.cert.pem", "cert");
    write("rsa.pem", "key");
    let config = serde_json::json!({
        "issuer": "https://a.example",
        "tls_client_auth_cert": own.join("cert"),
        "tls_client_auth_key": own.join("key"),
    });
    let gate = Gate::from_json(&config.to_string()).unwrap();
    let connection = &gate.rules.issuer.connection;
    let transport = HttpTransport::new(1);
    let pool = || transport.pool(connection, [None, None]).unwrap();
    let first = pool();
    assert!(Arc::ptr_eq(&first, &pool()), "unchanged");
    write("p256.cert.pem", "cert");
    assert!(
        Arc::ptr_eq(&first, &pool()),
        "another key's certificate is not used"
    );
    write("p256.pem", "key");
    let second = pool();
    assert!(!Arc::ptr_eq(&first, &second), "renewed");
    assert!(Arc::ptr_eq(&second, &pool()), "unchanged since");
    assert_eq!(transport.pools().len(), 1, "the old pool is dropped");
    std::fs::remove_file(own.join("key")).unwrap();
    assert!(Arc::ptr_eq(&second, &pool()), "the last pair stays in use");
    std::fs::remove_dir_all(&own).unwrap();
}
