//! Networks: addresses that begin with the same bits.

use std::fmt;
use std::net::IpAddr;

use super::value::{Fault, OptionValue};

/// A network: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` is in it. An IPv4 address within IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl OptionValue for Network {
    const WHAT: &'static str = "a network";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fault = || {
            Fault::new(
                "is no network",
                "write an address and its bits: \"10.0.0.0/8\", \"::1/128\"",
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let address = address.to_canonical();
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.parse().map_err(|_| fault()))?;
        if bits > all {
            return Err(fault());
        }
        let network = Self { address, bits };
        let past = match address {
            IpAddr::V4(own) => own.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) != 0,
            IpAddr::V6(own) => own.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) != 0,
        };
        if past {
            return Err(Fault::new(
                "has bits behind those that count",
                "set them to 0: 10.1.2.3/8 is 10.0.0.0/8, or 10.1.2.3/32 for one address",
            ));
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, OptionValue};

    #[test]
    fn a_network_has_the_addresses_that_begin_with_its_bits() {
        for (network, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::2", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("::/0", "::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            let network = Network::from_text(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), is_in, "{network} {address}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "::/129", "a/8", "1.2.3.4/-1"] {
            assert!(Network::from_text(text).is_err(), "{text}");
        }
    }
}
