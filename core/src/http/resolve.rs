//! Name resolution, without forbidden addresses.

use super::address::may_be_reached;
use crate::gate::reach::Reach;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use url::{Host, Url};

/// The system's resolver. Forbidden addresses are dropped on every connection, so that a name cannot pass the check and
/// then change.
pub(crate) struct Guarded {
    pub(crate) reach: Reach,
    pub(crate) lookup: Lookup,
    pub(super) turn: Turn,
}

/// The position of the address to begin with. It moves on when a request ends without a response, so that a deadline
/// shorter than [`ADDRESS_TIMEOUT`] reaches one address after the other.
#[derive(Default, Clone)]
pub(super) struct Turn(Arc<AtomicUsize>);

/// A request under way. Dropping it without [`Attempt::succeed`] moves the turn on, once for concurrent requests.
pub(super) struct Attempt<'t> {
    turn: &'t Turn,
    began_at: usize,
    succeeded: bool,
}

impl Turn {
    pub(super) fn begin(&self) -> Attempt<'_> {
        Attempt {
            turn: self,
            began_at: self.0.load(Ordering::Relaxed),
            succeeded: false,
        }
    }
}

impl Attempt<'_> {
    pub(super) fn succeed(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            let (turn, next) = (&self.turn.0, self.began_at.wrapping_add(1));
            let _ =
                turn.compare_exchange(self.began_at, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Resolves a name to addresses, and blocks meanwhile.
pub(crate) type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// The system's [`Lookup`].
pub(crate) fn system(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
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
        let lookup = self.lookup;
        let turn = self.turn.0.load(Ordering::Relaxed);
        let reach = self.reach.clone();
        // A URL of the provider with this name does not come here: see `url_may_be_reached`.
        let is_proxy = reach.proxy_on_loopback && name.as_str() == LOCALHOST;
        let loopback = reach.loopback || is_proxy;
        Box::pin(async move {
            let mut addresses =
                tokio::task::spawn_blocking(move || lookup(name.as_str())).await??;
            addresses.retain(|address| may_be_reached(address.ip(), loopback, &reach));
            if addresses.is_empty() {
                return Err(NoAddress.into());
            }
            let first = turn % addresses.len();
            addresses.rotate_left(first);
            Ok(Box::new(with_time_for_each(addresses).into_iter()) as Addrs)
        })
    }
}

/// The deadline of a connection, TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The time for one of several addresses.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);

/// hyper divides the connect timeout by the number of addresses of a family, and tries them one after the other; the
/// second family starts after 300 ms. Placeholders, to which a connection fails at once and without a packet, make that
/// [`ADDRESS_TIMEOUT`] for each address.
fn with_time_for_each(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    const PARTS: usize = (CONNECT_TIMEOUT.as_secs() / ADDRESS_TIMEOUT.as_secs()) as usize;
    const BROADCAST: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);
    const MULTICAST: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    for placeholder in [BROADCAST, MULTICAST] {
        let is_same = |address: &&SocketAddr| address.is_ipv4() == placeholder.is_ipv4();
        let count = addresses.iter().filter(is_same).count();
        // One address has the whole time.
        if count > 1 {
            let missing = PARTS.saturating_sub(count);
            addresses.extend(std::iter::repeat_n(
                SocketAddr::new(placeholder, 0),
                missing,
            ));
        }
    }
    addresses
}

const LOCALHOST: &str = "localhost";

/// Addresses in a URL of the provider are not resolved, so they are checked separately.
pub(crate) fn url_may_be_reached(url: &Url, reach: &Reach) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => may_be_reached(address.into(), reach.loopback, reach),
        Some(Host::Ipv6(address)) => may_be_reached(address.into(), reach.loopback, reach),
        Some(Host::Domain(LOCALHOST)) => {
            reach.loopback
                || reach.allows(Ipv4Addr::LOCALHOST.into())
                || reach.allows(Ipv6Addr::LOCALHOST.into())
        }
        Some(Host::Domain(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(loopback: bool, proxy_on_loopback: bool) -> Reach {
        Reach {
            loopback,
            proxy_on_loopback,
            allowed: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_loopback_is_refused() {
        let resolve = async |reach, name: &str| {
            let guarded = Guarded {
                reach,
                lookup: |_| Ok(vec![([127, 0, 0, 1], 0).into()]),
                turn: Turn::default(),
            };
            guarded.resolve(name.parse().unwrap()).await.is_ok()
        };
        assert!(!resolve(reach(false, false), "localhost").await);
        assert!(resolve(reach(true, false), "localhost").await);
        assert!(resolve(reach(false, true), "localhost").await);
        assert!(!resolve(reach(false, true), "idp.example").await);
    }

    #[test]
    fn a_proxy_on_loopback_opens_no_loopback_url() {
        for url in [
            "https://localhost/token",
            "https://127.0.0.1/token",
            "https://[::1]/",
        ] {
            let url = url.parse().unwrap();
            assert!(!url_may_be_reached(&url, &reach(false, true)), "{url}");
            assert!(url_may_be_reached(&url, &reach(true, false)), "{url}");
        }
    }

    #[test]
    fn each_of_several_addresses_has_one_second() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let timed = |texts: &[&str]| {
            let all = with_time_for_each(addresses(texts));
            assert_eq!(all[..texts.len()], addresses(texts)[..]);
            let of_family = all.iter().filter(|address| address.is_ipv4()).count();
            (of_family, all.len() - of_family)
        };
        assert_eq!(timed(&["10.0.0.1:0", "[fd00::1]:0"]), (1, 1));
        assert_eq!(timed(&["10.0.0.1:0", "10.0.0.2:0"]), (20, 0));
        assert_eq!(
            timed(&["[fd00::1]:0", "10.0.0.2:0", "[fd00::2]:0"]),
            (1, 20)
        );
        assert_eq!(timed(&["10.0.0.1:0"; 21]), (21, 0));
    }
}
