//! What stands in front of an event, and the little that some of them say.

/// The types that mean something here, besides those with rows.
pub(super) mod kind {
    pub(in crate::mysql) const QUERY: u8 = 2;
    pub(in crate::mysql) const STOP: u8 = 3;
    pub(in crate::mysql) const ROTATE: u8 = 4;
    pub(in crate::mysql) const FORMAT: u8 = 15;
    pub(in crate::mysql) const XID: u8 = 16;
    pub(in crate::mysql) const BEGIN_LOAD: u8 = 17;
    pub(in crate::mysql) const EXECUTE_LOAD: u8 = 18;
    pub(in crate::mysql) const TABLE_MAP: u8 = 19;
    pub(in crate::mysql) const OLD_WRITE: u8 = 20;
    pub(in crate::mysql) const OLD_DELETE: u8 = 22;
    pub(in crate::mysql) const INCIDENT: u8 = 26;
    pub(in crate::mysql) const HEARTBEAT: u8 = 27;
    pub(in crate::mysql) const GTID: u8 = 33;
    pub(in crate::mysql) const ANONYMOUS_GTID: u8 = 34;
    pub(in crate::mysql) const XA_PREPARE: u8 = 38;
    pub(in crate::mysql) const PARTIAL_UPDATE: u8 = 39;
    pub(in crate::mysql) const PAYLOAD: u8 = 40;
    pub(in crate::mysql) const TAGGED_GTID: u8 = 42;
    pub(in crate::mysql) const MARIADB_GTID: u8 = 162;
    pub(in crate::mysql) const QUERY_COMPRESSED: u8 = 165;
}

/// What stands in front of every event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: u8,
    /// When it was written, in seconds since the year 1970, by the server's clock.
    pub(super) seconds: u32,
    /// Where the next one begins, as far as 32 bits say; zero where the server made it up.
    pub(super) end: u32,
}

/// A place of which 32 bits are known, behind another one of the same file; that one, where it
/// would be further away than any event is long.
pub(super) fn extended(behind: u64, low: u32) -> u64 {
    const EVENT_BYTES_MAX: u64 = 1 << 30;
    let same = behind & !0xffff_ffff | u64::from(low);
    let at = if same < behind { same + (1 << 32) } else { same };
    if at >= behind && (same >= behind || at - behind <= EVENT_BYTES_MAX) { at } else { behind }
}

/// A number of MySQL, as it is written in a set of them.
pub(super) fn gtid(body: &[u8]) -> Option<String> {
    let (source, rest) = body.get(1..)?.split_at_checked(16)?;
    let number = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let hex: String = source.iter().map(|byte| format!("{byte:02x}")).collect();
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    Some(format!("{uuid}:{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_its_lower_half() {
        assert_eq!(extended(4, 256), 256);
        assert_eq!(extended(256, 256), 256);
        assert_eq!(extended(0xffff_fff0, 0x10), 0x1_0000_0010);
        assert_eq!(extended(0x1_0000_0010, 0x20), 0x1_0000_0020);
        // No event is that long, and the log doesn't go backwards.
        assert_eq!(extended(1_000, 999), 1_000);
        assert_eq!(extended(0x1_0000_1000, 0x999), 0x1_0000_1000);
    }

    #[test]
    fn a_number_is_written_as_in_a_set() {
        let mut body = vec![1];
        body.extend(0..16);
        body.extend(7_u64.to_le_bytes());
        let told = gtid(&body).unwrap();
        assert_eq!(told, "00010203-0405-0607-0809-0a0b0c0d0e0f:7");
        assert_eq!(gtid(&body[..20]), None);
    }
}
