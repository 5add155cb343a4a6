//! URLs and addresses that the library may contact.

use super::metadata::is_safe;
use crate::gate::issuer::endpoint;
use crate::gate::reach::Reach;
use crate::http::{may_be_reached, url_may_be_reached};
use crate::provider::quoted_url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// 16 bytes: an address. Otherwise, and also: a URL.
pub fn url_guard(data: &[u8]) {
    if let Ok(octets) = <[u8; 16]>::try_from(data) {
        let [a, b, c, d, ..] = octets;
        judge_address(Ipv4Addr::new(a, b, c, d).into());
        judge_address(Ipv6Addr::from(octets).into());
    }
    if let Ok(text) = str::from_utf8(data) {
        judge_url(text);
    }
}

fn judge_url(text: &str) {
    let nowhere = Reach::default();
    let here = Reach {
        loopback: true,
        ..Reach::default()
    };
    for may_have_http in [false, true] {
        let Ok(url) = endpoint(text, may_have_http) else {
            continue;
        };
        assert!(is_safe(&url, may_have_http), "{text}");
        // The checks below do not depend on it.
        if may_have_http {
            continue;
        }
        let address: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        };
        if let Some(address) = address {
            assert_eq!(
                url_may_be_reached(&url, &nowhere),
                !is_forbidden(address, false)
            );
            assert_eq!(
                url_may_be_reached(&url, &here),
                !is_forbidden(address, true)
            );
        } else {
            assert_eq!(
                url_may_be_reached(&url, &nowhere),
                url.host_str() != Some("localhost")
            );
            assert!(url_may_be_reached(&url, &here));
        }
    }
    if let Some(quoted) = quoted_url(text) {
        assert_eq!(quoted, text);
        assert!(text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!text.contains(['@', '?', '#', '"', '\\', '<']));
        let url = Url::parse(text).expect("a URL");
        assert!(url.username().is_empty() && url.password().is_none());
    }
}

fn judge_address(address: IpAddr) {
    for loopback in [false, true] {
        assert_eq!(
            may_be_reached(address, loopback, &Reach::default()),
            !is_forbidden(address, loopback),
            "{address}"
        );
    }
}

/// Networks that are never reached, and their lengths in bits. IPv4 ones are those of `::ffff:0:0/96`.
const FORBIDDEN: [(&str, u32); 15] = [
    ("::", 128),
    ("fe80::", 10),
    ("ff00::", 8),
    ("fd00:ec2::", 32),
    ("fd20:ce::254", 128),
    ("fd00:c1::a9fe:a9fe", 128),
    ("::ffff:0.0.0.0", 128),
    ("::ffff:169.254.0.0", 112),
    ("::ffff:224.0.0.0", 100),
    ("::ffff:255.255.255.255", 128),
    ("::ffff:100.100.100.200", 128),
    ("::ffff:168.63.129.16", 128),
    ("::ffff:192.0.0.192", 128),
    ("::ffff:127.0.0.0", 104),
    ("::1", 128),
];

/// The last two are loopback.
const LOOPBACK: usize = 13;

/// Networks whose addresses contain an IPv4 address, their lengths, and the bits after it.
const EMBEDDING: [(&str, u32, u32); 6] = [
    ("::", 96, 0),
    ("::ffff:0:0:0", 96, 0),
    ("64:ff9b::", 96, 0),
    ("64:ff9b:1::", 48, 0),
    ("64:ff9b:1::", 48, 24),
    ("2002::", 16, 80),
];

fn is_forbidden(address: IpAddr, loopback: bool) -> bool {
    let bits = match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let is_in = |network: &str, len: u32| {
        let network = u128::from(network.parse::<Ipv6Addr>().expect("a network"));
        len == 0 || (bits ^ network) >> (128 - len) == 0
    };
    let listed = &FORBIDDEN[..if loopback { LOOPBACK } else { FORBIDDEN.len() }];
    if listed.iter().any(|(network, len)| is_in(network, *len)) {
        return true;
    }
    // `::1` is loopback, and no address with another inside.
    bits != 1
        && EMBEDDING.iter().any(|(network, len, after)| {
            // The layout with a prefix of 64 bits ends in zeros.
            let fits = *after != 24 || bits & 0xff_ffff == 0;
            let inside = Ipv4Addr::from((bits >> after) as u32);
            is_in(network, *len) && fits && is_forbidden(inside.into(), loopback)
        })
}
