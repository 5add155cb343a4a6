//! Servers with TLS, for tests of the protocols and of the pool.

use h2::Reason;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// A self-signed CA certificate for 127.0.0.1 and localhost, and its key. They protect nothing.
pub(super) const AUTHORITY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tests/authority.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tests/authority.key");

/// A server that responds `{}` to every request, over HTTP/2 or HTTP/1.1 by ALPN.
pub(super) struct TlsServer {
    pub(super) address: SocketAddr,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    /// The number of completed handshakes.
    pub(super) handshakes: Arc<AtomicUsize>,
    /// The number of requests.
    pub(super) requests: Arc<AtomicUsize>,
}

/// The behaviour of the first connection. Later ones respond to every request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    Responds,
    /// HTTP/2: resets every stream after the first as not processed.
    RefusesStreams,
    /// HTTP/2: reads a request, and shuts the connection down without having processed any.
    GoesAway,
    /// HTTP/2: reads a request, and then nothing more.
    FallsSilent,
    /// HTTP/1.1: closes the connection after it has read the second request.
    ClosesSecond,
}

impl TlsServer {
    pub(super) async fn start(protocols: &[&str], first: First) -> TlsServer {
        let acceptor = Arc::new(Mutex::new(acceptor(protocols)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TlsServer {
            address: listener.local_addr().unwrap(),
            acceptor: Arc::clone(&acceptor),
            handshakes: Arc::default(),
            requests: Arc::default(),
        };
        let (handshakes, requests) = (server.handshakes.clone(), server.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.lock().unwrap().clone();
                let (handshakes, requests) = (handshakes.clone(), requests.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let number = handshakes.fetch_add(1, Ordering::SeqCst);
                    let behaviour = if number == 0 { first } else { First::Responds };
                    serve(stream, behaviour, &requests).await;
                });
            }
        });
        server
    }

    /// Closes no connection, but offers HTTP/1.1 only on new ones.
    pub(super) fn offer_http1_only(&self) {
        *self.acceptor.lock().unwrap() = acceptor(&["http/1.1"]);
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}/token", self.address)
    }

    pub(super) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(Path::new(AUTHORITY)).unwrap();
    let key = PrivateKeyDer::from_pem_file(Path::new(KEY)).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TlsStream<TcpStream>, behaviour: First, requests: &AtomicUsize) {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    match behaviour {
        First::FallsSilent | First::GoesAway => frames(stream, behaviour, requests).await,
        _ if is_http2 => http2(stream, behaviour, requests).await,
        _ => http1(stream, behaviour, requests).await,
    }
}

async fn http2(stream: TlsStream<TcpStream>, behaviour: First, requests: &AtomicUsize) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut number = 0;
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        requests.fetch_add(1, Ordering::SeqCst);
        number += 1;
        if behaviour == First::RefusesStreams && number > 1 {
            respond.send_reset(Reason::REFUSED_STREAM);
            continue;
        }
        let response = http::Response::new(());
        let mut body = respond.send_response(response, false).unwrap();
        body.send_data("{}".into(), true).unwrap();
    }
}

async fn http1(mut stream: TlsStream<TcpStream>, behaviour: First, requests: &AtomicUsize) {
    let mut number = 0;
    let mut buffer = Vec::new();
    loop {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(len) if len > 0 => buffer.extend_from_slice(&part[..len]),
            _ => return,
        }
        if !buffer.ends_with(b"\r\n\r\n") && !buffer.ends_with(b"client_credentials") {
            continue;
        }
        buffer.clear();
        requests.fetch_add(1, Ordering::SeqCst);
        number += 1;
        if behaviour == First::ClosesSecond && number == 2 {
            return;
        }
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(response).await.unwrap();
    }
}

/// Speaks in frames (RFC 9113 section 4.1): the server of `h2` cannot disown a stream that it has accepted.
async fn frames(mut stream: TlsStream<TcpStream>, behaviour: First, requests: &AtomicUsize) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The last processed stream is 0, the error code NO_ERROR.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&SETTINGS).await.unwrap();
    loop {
        let mut header = [0; 9];
        if stream.read_exact(&mut header).await.is_err() {
            return;
        }
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        // HEADERS
        if header[3] == 1 {
            requests.fetch_add(1, Ordering::SeqCst);
            if behaviour == First::FallsSilent {
                return std::future::pending().await;
            }
            stream.write_all(&GOAWAY).await.unwrap();
            stream.flush().await.unwrap();
        }
    }
}
