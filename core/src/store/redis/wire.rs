//! Streams to a server: TCP, TLS over TCP, or a Unix socket.

use super::address::Place;
use super::{Error, ErrorKind, MAX_VALUE, StoreConfig, StoreFault, StoreFaultKind};
use nix::sys::socket::{setsockopt, sockopt};
use rustls_platform_verifier::Verifier;
use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore, crypto};
use zeroize::Zeroizing;

/// The TLS settings of connections. Cryptography and the system's certificates are found as for OpenID providers.
///
/// # Errors
///
/// [`ErrorKind::ConfigFile`] if a file cannot be used.
pub(super) fn tls(config: &StoreConfig) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let unusable = |error: TlsError| {
        Error::with_source(
            ErrorKind::System,
            format!("TLS for the store cannot be set up: {error}"),
            error,
        )
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &config.ca_file {
        None => {
            let verifier = Verifier::new(provider).map_err(unusable)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
        Some(path) => builder.with_root_certificates(roots(path)?),
    };
    let config = match &config.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates("store_client_cert_file", cert)?;
            let pem = Zeroizing::new(read("store_client_key_file", key)?);
            let fault = |why| file_fault("store_client_key_file", key, why);
            let key =
                PrivateKeyDer::from_pem_slice(&pem).map_err(|_| fault("contains no PEM key"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| fault("is not the key of store_client_cert_file"))?
        }
    };
    Ok(Arc::new(config))
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    const OPTION: &str = "store_ca_file";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(OPTION, path)? {
        let added = roots.add(certificate);
        added.map_err(|_| file_fault(OPTION, path, "contains an unusable certificate"))?;
    }
    Ok(roots)
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(option, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| file_fault(option, path, "contains no PEM certificate"))
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let message = format!(
            "engine options: {option}: {} cannot be read: {error}",
            path.display()
        );
        Error::with_source(ErrorKind::ConfigFile, message, error)
    })
}

fn file_fault(option: &str, path: &Path, why: &str) -> Error {
    let message = format!("engine options: {option}: {} {why}", path.display());
    Error::new(ErrorKind::ConfigFile, message)
}

/// The fault for a failed connection.
pub(super) fn fault(error: &io::Error) -> StoreFault {
    let is_tls = |inner: &(dyn StdError + Send + Sync + 'static)| inner.is::<TlsError>();
    // A server without TLS closes the connection during the handshake.
    if error.kind() == io::ErrorKind::UnexpectedEof || error.get_ref().is_some_and(is_tls) {
        let why = "its certificate is not trusted, or it does not speak TLS: check store_ca_file";
        return StoreFault::new(StoreFaultKind::Refused, why);
    }
    let why = format!("it cannot be reached: {}", error.kind());
    StoreFault::new(StoreFaultKind::Unreachable, why)
}

/// A stream of one of these kinds.
pub(super) type Wire = Bounded<Box<dyn Stream>>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects. The caller sets the deadline.
pub(super) async fn open(place: &Place, tls: Option<&Arc<ClientConfig>>) -> io::Result<Wire> {
    let stream: Box<dyn Stream> = match (place, tls) {
        (Place::Unix(path), _) => Box::new(UnixStream::connect(path).await?),
        (Place::Tcp { host, port }, _) => Box::new(tcp(host, *port).await?),
        (Place::Tls { host, port }, Some(config)) => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = tcp(host, *port).await?;
            let connector = TlsConnector::from(Arc::clone(config));
            Box::new(connector.connect(name, stream).await?)
        }
        (Place::Tls { .. }, None) => return Err(io::Error::other("TLS without its settings")),
    };
    Ok(Bounded::new(stream))
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    // Keep-alive finds a connection that a firewall has dropped before a request does.
    setsockopt(&stream, sockopt::KeepAlive, &true)?;
    setsockopt(&stream, sockopt::TcpKeepIdle, &30)?;
    setsockopt(&stream, sockopt::TcpKeepInterval, &10)?;
    setsockopt(&stream, sockopt::TcpKeepCount, &3)?;
    Ok(stream)
}

/// Ends a stream whose peer sends more than was requested: the parser would buffer all of it.
pub(super) struct Bounded<S> {
    stream: S,
    /// The number of bytes received since the last write.
    received: usize,
}

/// The maximum size of one reply, and the maximum number of pending ones.
pub(super) const MAX_REPLY: usize = MAX_VALUE + 1024;
pub(super) const MAX_PENDING: usize = 256;

impl<S> Bounded<S> {
    pub(super) fn new(stream: S) -> Bounded<S> {
        Bounded {
            stream,
            received: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.received += buf.filled().len() - before;
        if self.received > MAX_REPLY * MAX_PENDING {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.received = 0;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_peer_that_sends_unrequested_data_is_disconnected() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let mut bounded = Bounded::new(ours);
        let flood = tokio::spawn(async move {
            let bytes = vec![b'x'; 1 << 16];
            while theirs.write_all(&bytes).await.is_ok() {}
        });
        let mut buffer = vec![0; 1 << 16];
        let mut received = 0;
        let error = loop {
            bounded.write_all(b"").await.unwrap();
            match bounded.read(&mut buffer).await {
                Ok(n) => received += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(received <= MAX_REPLY * MAX_PENDING);
        drop(bounded);
        flood.await.unwrap();
    }
}
