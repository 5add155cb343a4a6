//! Faults of the transport: calls without a response.

use std::error::Error as StdError;
use std::io;

/// A call without a response. The texts are log-safe.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// No connection: name resolution, network or certificate.
    Unreachable(Obstacle, String),
    /// A connection, but no complete response.
    Broken(String),
    /// The response exceeds [`Call::max_answer`](super::Call::max_answer).
    TooLong,
}

/// The obstacle to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// No trusted CA signed the certificate.
    Authority,
    /// The server presents a CA certificate as its own.
    CaCertificate,
    /// The certificate is not valid for this name or at this time.
    Certificate,
    /// The address is forbidden.
    Guarded,
    /// The name does not resolve.
    Name,
    /// The network is unreachable.
    Network,
    /// The connection is refused.
    Refused,
    /// TLS negotiation failed; the server may not speak TLS at all.
    Tls,
}

impl Fault {
    pub(super) fn of(error: &reqwest::Error) -> Fault {
        if !error.is_connect() {
            return Fault::Broken(reason(error));
        }
        let obstacle = Obstacle::of(error);
        let reason = match obstacle {
            Obstacle::CaCertificate => CA_CERTIFICATE.to_owned(),
            _ => reason(error),
        };
        Fault::Unreachable(obstacle, reason)
    }
}

impl Obstacle {
    fn of(error: &reqwest::Error) -> Obstacle {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if error.is::<crate::http::resolve::NoAddress>() {
                return Obstacle::Guarded;
            }
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Obstacle::of_tls(error);
            }
            let io = error.downcast_ref::<io::Error>();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                return Obstacle::Refused;
            }
            // The error inside an I/O error is not among its sources.
            cause = match io.and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        if error.is_dns() {
            Obstacle::Name
        } else {
            Obstacle::Network
        }
    }

    fn of_tls(error: &rustls::Error) -> Obstacle {
        match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
                Obstacle::Authority
            }
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(why))
                if why.to_string().contains(CA_USED_AS_END_ENTITY) =>
            {
                Obstacle::CaCertificate
            }
            rustls::Error::InvalidCertificate(_) => Obstacle::Certificate,
            _ => Obstacle::Tls,
        }
    }
}

const CA_CERTIFICATE: &str =
    "the server presents a CA certificate as its own; issue a server certificate from it";

/// The error of webpki, which is not among rustls's own.
const CA_USED_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

/// The innermost error, from the system or the TLS library. The outer ones repeat URLs.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    // The names in a certificate are untrusted text.
    cause
        .to_string()
        .chars()
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .take(200)
        .collect()
}
