//! The addresses that are never connected to: those of this machine, and of its cloud's metadata service.

use crate::gate::reach::Reach;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of metadata services outside the link-local ranges: Alibaba, Azure and Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Google and Oracle. Those of AWS share a prefix.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// `loopback`: whether loopback addresses are permitted.
pub(crate) fn may_be_reached(address: IpAddr, loopback: bool, reach: &Reach) -> bool {
    reach.allows(address)
        || match address.to_canonical() {
            IpAddr::V4(v4) => v4_may_be_reached(v4, loopback),
            IpAddr::V6(v6) => {
                v6_may_be_reached(v6, loopback)
                    && embedded(v6)
                        .into_iter()
                        .flatten()
                        .all(|v4| may_be_reached(v4.into(), loopback, reach))
            }
        }
}

fn v4_may_be_reached(v4: Ipv4Addr, loopback: bool) -> bool {
    !(v4.is_unspecified()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4 == Ipv4Addr::BROADCAST
        || METADATA_V4.contains(&v4))
        && (loopback || !v4.is_loopback())
}

fn v6_may_be_reached(v6: Ipv6Addr, loopback: bool) -> bool {
    !(v6.is_unspecified()
        || v6.is_unicast_link_local()
        || v6.is_multicast()
        || v6.segments()[..2] == [0xfd00, 0xec2]
        || METADATA_V6.contains(&v6))
        && (loopback || !v6.is_loopback())
}

/// The IPv4 addresses inside an IPv6 address, which a router on the way may translate to. At most two: the local prefix
/// of NAT64 (RFC 8215) does not tell its layout (RFC 6052 section 2.2).
fn embedded(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let bytes = v6.octets();
    let at = |from: usize| {
        let part = bytes.get(from..from + 4)?;
        Some(Ipv4Addr::new(part[0], part[1], part[2], part[3]))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => [None, None],
        // IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-translated (RFC 2765) and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            [at(12), None]
        }
        // The layouts with a prefix of 96 and of 64 bits. Shorter prefixes end in zeros, and so are refused.
        [0x64, 0xff9b, 1, ..] => [at(12), at(9).filter(|_| bytes[13..] == [0; 3])],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [at(2), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

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
            // Metadata services of AWS, Google, Oracle, Alibaba and Azure.
            ("fd00:ec2::254", false, false),
            ("fd20:ce::254", false, false),
            ("fd00:c1::a9fe:a9fe", false, false),
            ("192.0.0.192", false, false),
            ("100.100.100.200", false, false),
            ("168.63.129.16", false, false),
            // IPv4 addresses inside IPv6 ones: NAT64, its local prefix, 6to4, compatible and translated.
            ("64:ff9b::a9fe:a9fe", false, false),
            ("64:ff9b::5db8:d822", true, true),
            ("64:ff9b:1::a9fe:a9fe", false, false),
            ("64:ff9b:1:0:a9:fea9:fe00:0", false, false),
            ("64:ff9b:1:a9fe:a9:fe00::", false, false),
            ("64:ff9b:1:1:2:3:5db8:d822", true, true),
            ("2002:a9fe:a9fe::1", false, false),
            ("2002:5db8:d822::1", true, true),
            ("::169.254.169.254", false, false),
            ("::127.0.0.1", false, true),
            ("::ffff:0:169.254.169.254", false, false),
        ] {
            let ip = address.parse().unwrap();
            let reach = Reach::default();
            assert_eq!(may_be_reached(ip, false, &reach), outside, "{address}");
            assert_eq!(may_be_reached(ip, true, &reach), here, "{address}");
        }
    }

    #[test]
    fn allowed_addresses_are_reached() {
        let config = Config::from_json(
            r#"{"issuer":"https://a","allow_addresses":["169.254.10.0/24","fd00:ec2::254"]}"#,
        );
        let reach = Reach::compile(&config.unwrap()).unwrap();
        for (address, expect) in [
            ("169.254.10.7", true),
            ("::ffff:169.254.10.7", true),
            ("64:ff9b::169.254.10.7", true),
            ("fd00:ec2::254", true),
            ("169.254.169.254", false),
            ("fd00:ec2::253", false),
            ("127.0.0.1", false),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!(may_be_reached(ip, false, &reach), expect, "{address}");
        }
    }
}
