//! Which IP addresses are public. Knows no names and no ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not the public internet, by first address and length of the prefix.
const V4_REFUSED: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // Azure's host answers to every virtual machine at this address, which is public by its number only.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "cloud metadata"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Networks within `2000::/3` that are not the public internet. What lies outside of it is refused anyway.
const V6_REFUSED: [(Ipv6Addr, u32, &str); 4] = [
    // Teredo, which wraps an IPv4 address, and what else was set aside for protocols.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    // 6to4 wraps an IPv4 address, and has been retired.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Refused networks outside of `2000::/3` that have a name of their own; the rest is called reserved.
const V6_NAMED: [(Ipv6Addr, u32, &str); 6] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "IPv4-mapped"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// Translates IPv4 for hosts that have only IPv6. Their resolver wraps every IPv4 address of a name in it, so it is
/// unwrapped instead of refused.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The part of IPv6 from which public addresses are given out.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Returns what kind of address this is, unless it is public.
pub(super) fn refused_kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refused_v4(address),
        IpAddr::V6(address) => refused_v6(address),
    }
}

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = u32::from(address);
    let holds = |first: Ipv4Addr, length: u32| (bits ^ u32::from(first)).leading_zeros() >= length;
    V4_REFUSED.iter().find(|(first, length, _)| holds(*first, *length)).map(|(_, _, kind)| *kind)
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = u128::from(address);
    let holds = |first: Ipv6Addr, length: u32| (bits ^ u128::from(first)).leading_zeros() >= length;
    let kind_in = |networks: &[(Ipv6Addr, u32, &'static str)]| {
        networks.iter().find(|(first, length, _)| holds(*first, *length)).map(|(_, _, kind)| *kind)
    };
    if holds(NAT64.0, NAT64.1) {
        let [.., a, b, c, d] = address.octets();
        return refused_v4(Ipv4Addr::new(a, b, c, d));
    }
    match holds(GLOBAL_UNICAST.0, GLOBAL_UNICAST.1) {
        true => kind_in(&V6_REFUSED),
        false => Some(kind_in(&V6_NAMED).unwrap_or("reserved")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (kind, addresses) in [
            ("unspecified", &["0.0.0.0", "0.1.2.3", "::"][..]),
            ("loopback", &["127.0.0.1", "127.255.255.254", "::1", "64:ff9b::7f00:1"]),
            ("private", &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00:ec2::254", "fc00::1"]),
            ("private", &["64:ff9b::10.1.2.3"]),
            ("carrier-grade NAT", &["100.64.0.1", "100.127.255.255", "100.100.100.200"]),
            ("link-local", &["169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "64:ff9b::169.254.169.254"]),
            ("cloud metadata", &["168.63.129.16"]),
            ("reserved", &["192.0.0.192", "192.88.99.1", "240.0.0.1", "2001::1", "2001:2::1", "2001:10::1"]),
            // Compatible, translated, local NAT64, discard-only, segment routing, site-local.
            ("reserved", &["::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::1", "100::1", "5f00::1", "fec0::1"]),
            ("documentation", &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]),
            ("benchmarking", &["198.18.0.1", "198.19.255.255"]),
            ("multicast", &["224.0.0.1", "239.255.255.255", "ff02::1"]),
            ("broadcast", &["255.255.255.255"]),
            ("IPv4-mapped", &["::ffff:127.0.0.1", "::ffff:8.8.8.8"]),
            ("6to4", &["2002:7f00:1::1", "2002:808:808::1"]),
        ] {
            for address in addresses {
                assert_eq!(refused_kind(address.parse().unwrap()), Some(kind), "{address}");
            }
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.1",
            "192.167.255.255",
            "192.169.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(refused_kind(public.parse().unwrap()), None, "{public}");
        }
    }
}
