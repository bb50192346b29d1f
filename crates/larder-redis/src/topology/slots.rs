//! Slots: what a cluster places keys by, and which node has which.

use larder_core::Result;
use redis::Value;

use crate::address::{Address, parse_host};
use crate::errors::odd;
use crate::names::tag;
use crate::reply;

/// How many slots a cluster has.
pub(super) const SLOTS: usize = 16_384;

/// The slot of a key: CRC-16/XMODEM of what is in its first braces, or of all of it where there
/// are none. Redis Cluster specification, "Key distribution model".
///
/// ```
/// assert_eq!(larder_redis::slot(b"foo"), 12_182);
/// assert_eq!(larder_redis::slot(b"{foo}.bar"), 12_182);
/// ```
#[must_use]
pub fn slot(name: &[u8]) -> u16 {
    let crc = tag(name).iter().fold(0_u16, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    });
    crc % SLOTS as u16
}

/// Slots that a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first of them.
    pub first: u16,
    /// The last of them.
    pub last: u16,
    /// Where the node is.
    pub at: Address,
}

/// The answer to `CLUSTER SLOTS`. A node that doesn't know its own host is at that of `asked`.
pub(super) fn read_ranges(answer: Value, asked: &Address) -> Result<Vec<SlotRange>> {
    let read = |range: Value| {
        let mut range = reply::list(range)?.into_iter();
        let mut next = || range.next().ok_or_else(|| odd("range of slots"));
        let (first, last) = (reply::number(next()?)?, reply::number(next()?)?);
        if first > last || usize::from(last) >= SLOTS {
            return Err(odd("slot"));
        }
        let mut master = reply::list(next()?)?.into_iter();
        let host = master.next().unwrap_or_default();
        let port: u16 = reply::number(master.next().unwrap_or_default())?;
        let host = if host == Value::Nil { String::new() } else { reply::text(host)? };
        let at = match (&host[..], asked) {
            ("" | "?", Address::Tcp { host, .. }) => Address::Tcp { host: host.clone(), port },
            _ => Address::Tcp { host: host.into(), port },
        };
        Ok(SlotRange { first, last, at })
    };
    reply::list(answer)?.into_iter().map(read).collect()
}

/// Where an answer sends the asker: of `MOVED 3999 host:port`, what stands behind the code.
pub(crate) fn read_redirection(details: &str, asked: &Address) -> Option<Address> {
    let (_, place) = details.split_once(' ')?;
    match (place.rsplit_once(':')?, asked) {
        (("", port), Address::Tcp { host, .. }) => {
            Some(Address::Tcp { host: host.clone(), port: port.parse().ok()? })
        }
        // The host of a node is written without brackets even if it has colons in it.
        ((host, port), _) if host.contains(':') && !host.starts_with('[') => {
            Some(Address::Tcp { host: host.into(), port: port.parse().ok()? })
        }
        _ => parse_host(place, 0).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"larder:{foo}"), 12_182);
        assert_eq!(slot(b"larder.l:{foo}:L"), 12_182);
        assert_eq!(slot(b""), 0);
    }

    #[test]
    fn ranges_are_read() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), bulk("id")]);
        let range = |first, last, nodes: Vec<Value>| {
            let mut range = vec![Value::Int(first), Value::Int(last)];
            range.extend(nodes);
            Value::Array(range)
        };
        let answer = Value::Array(vec![
            range(0, 99, vec![node(bulk("a"), 1), node(bulk("replica"), 2)]),
            range(100, 16_383, vec![node(Value::Nil, 3)]),
        ]);
        let ranges = read_ranges(answer, &tcp("asked", 9)).unwrap();
        let expected = [(0, 99, tcp("a", 1)), (100, 16_383, tcp("asked", 3))];
        assert_eq!(ranges, expected.map(|(first, last, at)| SlotRange { first, last, at }));
        for odd in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(0, 16_384, vec![node(bulk("a"), 1)])]),
            Value::Array(vec![range(0, 1, vec![])]),
            Value::Array(vec![range(0, 1, vec![node(bulk("a"), 65_536)])]),
        ] {
            assert!(read_ranges(odd.clone(), &tcp("asked", 9)).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn redirections_are_read() {
        let asked = tcp("asked", 9);
        assert_eq!(read_redirection("3999 127.0.0.1:6381", &asked), Some(tcp("127.0.0.1", 6381)));
        assert_eq!(read_redirection("3999 :6381", &asked), Some(tcp("asked", 6381)));
        assert_eq!(read_redirection("3999 ::1:6381", &asked), Some(tcp("::1", 6381)));
        for odd in ["", "3999", "3999 a", "3999 a:b", "3999 a:99999"] {
            assert_eq!(read_redirection(odd, &asked), None, "{odd}");
        }
    }
}
