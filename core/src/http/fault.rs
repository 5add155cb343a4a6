//! Why nothing came back.

use std::error::Error as StdError;
use std::io;

/// Why nothing came back. The texts are log-safe.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// No connection: name, network, certificate.
    Unreachable(Obstacle, String),
    /// A connection, and then no complete answer.
    Broken(String),
    /// The answer is longer than [`Call::max_answer`](super::Call::max_answer).
    TooLong,
}

/// What is in the way of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The certificate is signed by nobody who is trusted.
    Authority,
    /// The certificate is not good for this name, at this time.
    Certificate,
    /// It leads to an address that no provider has.
    Guarded,
    /// The name does not resolve.
    Name,
    /// The network.
    Network,
    /// Nobody listens there.
    Refused,
    /// The two do not agree about TLS; who listens may not speak it at all.
    Tls,
}

impl Fault {
    pub(super) fn of(error: &reqwest::Error) -> Fault {
        let reason = reason(error);
        if error.is_connect() {
            Fault::Unreachable(Obstacle::of(error), reason)
        } else {
            Fault::Broken(reason)
        }
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
            // What an I/O error wraps is not among its sources.
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
            rustls::Error::InvalidCertificate(_) => Obstacle::Certificate,
            _ => Obstacle::Tls,
        }
    }
}

/// The innermost cause, which is the system's or the TLS library's. The outer ones repeat URLs.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    // A certificate's names are somebody else's words.
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
