//! Name resolution, without forbidden addresses.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use url::{Host, Url};

/// The system's resolver. Addresses of this machine or its cloud's metadata service are dropped on every connection, so
/// that a name cannot pass the check and then change.
pub(crate) struct Guarded {
    pub(crate) loopback: bool,
}

/// A name resolves to forbidden addresses only.
#[derive(Debug)]
pub(crate) struct NoAddress;

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to no address that may be reached")
    }
}

impl std::error::Error for NoAddress {}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let resolved = tokio::task::spawn_blocking(move || {
                (name.as_str(), 0)
                    .to_socket_addrs()
                    .map(|addresses| addresses.collect::<Vec<SocketAddr>>())
            })
            .await??;
            let allowed: Vec<_> = resolved
                .into_iter()
                .filter(|address| may_be_reached(address.ip(), loopback))
                .collect();
            if allowed.is_empty() {
                return Err(NoAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Addresses in a URL are not resolved, so they are checked separately.
pub(crate) fn url_may_be_reached(url: &Url, loopback: bool) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => may_be_reached(address.into(), loopback),
        Some(Host::Ipv6(address)) => may_be_reached(address.into(), loopback),
        Some(Host::Domain(name)) => loopback || name != "localhost",
        None => false,
    }
}

fn may_be_reached(address: IpAddr, loopback: bool) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4 == Ipv4Addr::BROADCAST)
                && (loopback || !v4.is_loopback())
        }
        IpAddr::V6(v6) => {
            !(v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast())
                && (loopback || !v6.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_addresses_are_refused() {
        for (address, outside, here) in [
            ("93.184.216.34", true, true),
            ("10.1.2.3", true, true),
            ("127.0.0.1", false, true),
            ("127.8.8.8", false, true),
            ("169.254.169.254", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("::1", false, true),
            ("::", false, false),
            ("::ffff:127.0.0.1", false, true),
            ("::ffff:169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("fd00::1", true, true),
            ("2606:4700::1", true, true),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!(may_be_reached(ip, false), outside, "{address}");
            assert_eq!(may_be_reached(ip, true), here, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_loopback_is_refused() {
        let resolve = |loopback| Guarded { loopback }.resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.is_ok());
    }
}
