//! The addresses that a connection may reach beyond those of the network (`allow_addresses`, loopback).

use crate::config::{Config, value_error};
use crate::error::Error;
use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// The exceptions to the refused addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reach {
    /// Names of the provider may resolve to loopback addresses: the configuration itself contains one. If it does not,
    /// metadata with such an endpoint would attack other services on the gateway's host.
    pub(crate) loopback: bool,
    /// A proxy is on this machine. That opens loopback to the proxy only.
    pub(crate) proxy_on_loopback: bool,
    /// `allow_addresses`.
    pub(crate) allowed: Vec<Block>,
}

/// A block of addresses: an address and the length of its prefix, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Block {
    address: IpAddr,
    prefix: u8,
}

impl Reach {
    pub(crate) fn compile(config: &Config) -> Result<Reach, Error> {
        let on_loopback = |url: &&String| Url::parse(url).is_ok_and(|url| is_loopback(&url));
        let provider = [&config.token_endpoint, &config.jwks_endpoint];
        let proxies = [&config.http_proxy, &config.https_proxy];
        Ok(Reach {
            loopback: config.allow_loopback_http
                || std::iter::once(&config.issuer)
                    .chain(provider.into_iter().flatten())
                    .chain(&config.extra_jwks_uris)
                    .any(|url| on_loopback(&url)),
            proxy_on_loopback: proxies.into_iter().flatten().any(|url| on_loopback(&url)),
            allowed: config
                .allow_addresses
                .iter()
                .enumerate()
                .map(|(at, text)| {
                    Block::parse(text).ok_or_else(|| {
                        value_error(format!(
                            "allow_addresses[{at}]: must be an IP address or a CIDR block, such as 10.0.0.0/8"
                        ))
                    })
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether `allow_addresses` contains an address.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|block| block.contains(address))
    }
}

impl Block {
    fn parse(text: &str) -> Option<Block> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= longest)?
            }
            Some(_) => return None,
            None => longest,
        };
        Some(Block { address, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = u32::from(ours) ^ u32::from(theirs);
                differ.leading_zeros() >= self.prefix.into()
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = u128::from(ours) ^ u128::from(theirs);
                differ.leading_zeros() >= self.prefix.into()
            }
            _ => false,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_contains_the_addresses_of_its_prefix() {
        for (block, address, expect) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "169.254.169.254", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00:ec2::/32", "fd00:ec2::254", true),
            ("fd00:ec2::254", "fd00:ec2::253", false),
            ("::/0", "fe80::1", true),
        ] {
            let block = Block::parse(block).unwrap();
            assert_eq!(
                block.contains(address.parse().unwrap()),
                expect,
                "{block:?} {address}"
            );
        }
        for wrong in [
            "",
            "localhost",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "[::1]",
        ] {
            assert!(Block::parse(wrong).is_none(), "{wrong}");
        }
    }
}
