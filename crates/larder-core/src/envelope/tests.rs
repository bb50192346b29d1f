//! The envelope against its golden file, and against bytes that are none.

use proptest::prelude::*;

use super::*;

fn golden() -> Envelope {
    Envelope {
        is_stale: false,
        stamp: 0x1122_3344_5566_7788,
        incarnation: Incarnation(0xcafe_babe),
        marks: 0x0bad_f00d,
        clock: MarkClock(1_700_000_000_000_001),
        lifetime: Duration::from_secs(3_600),
        fresh_for: Duration::from_millis(1_999),
        stale_for: Duration::from_secs(30),
        cost: Duration::from_micros(1_234),
        weight: Some(77),
        schema: 3,
        tags: vec![0xaaaa_0000_0000_0001, 0xbbbb_0000_0000_0002],
        validator: Some("v7".into()),
        payload: Some(Payload {
            encoding: encoding::JSON,
            is_compressed: false,
            bytes: Bytes::from_static(br#"{"id":42}"#),
        }),
    }
}

/// The golden file: hexadecimal, sixteen bytes on a line.
fn in_file() -> Vec<u8> {
    let digits: Vec<u8> =
        include_str!("golden.hex").bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn the_golden_file_is_written_and_read_as_ever() {
    let hex: Vec<String> = golden()
        .encode()
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(hex.join("\n"), include_str!("golden.hex").trim_end());
    assert_eq!(Envelope::decode(&in_file().into()), Some(golden()));
}

#[test]
fn an_absence_has_no_payload_and_an_empty_value_has_one() {
    let absence = Envelope { payload: None, validator: None, weight: None, ..golden() };
    assert_eq!(Envelope::decode(&absence.encode()), Some(absence.clone()));
    let bytes = Bytes::new();
    let empty = Payload { encoding: encoding::RAW, is_compressed: false, bytes };
    let empty = Envelope { payload: Some(empty), ..absence };
    assert_eq!(Envelope::decode(&empty.encode()), Some(empty));
}

#[test]
fn what_drivers_know_stands_where_they_look() {
    let mut bytes = golden().encode().to_vec();
    assert_eq!(Envelope::stamp_of(&bytes), Some(golden().stamp));
    bytes[STATE_AT] = STATE_STALE;
    assert!(Envelope::decode(&bytes.into()).unwrap().is_stale);
}

#[test]
fn a_header_that_a_later_version_made_longer_is_read() {
    let mut bytes = golden().encode().to_vec();
    bytes[65] += 3;
    bytes.splice(70..70, [9, 9, 9]);
    assert_eq!(Envelope::decode(&bytes.into()), Some(golden()));
}

#[test]
fn another_version_an_unknown_state_or_flag_or_a_shorter_header_is_not_read() {
    for (at, byte) in [(0, 2), (0, 0), (1, 0), (1, 3), (62, 8), (65, 69)] {
        let mut bytes = golden().encode().to_vec();
        bytes[at] = byte;
        assert_eq!(Envelope::decode(&bytes.into()), None, "byte {at}");
    }
}

#[test]
fn more_tags_than_an_entry_may_have_are_not_read() {
    let tags = (0..=128).collect::<Vec<u64>>();
    let most = Envelope { tags: tags[..128].to_vec(), ..golden() };
    assert_eq!(Envelope::decode(&most.encode()), Some(most.clone()));
    let mut bytes = most.encode().to_vec();
    bytes[67] = 129;
    bytes.splice(70..70, [0; 8]);
    assert_eq!(Envelope::decode(&bytes.into()), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let _ = Envelope::decode(&bytes.into());
    }

    #[test]
    fn a_header_with_any_byte_changed_is_read_without_a_panic(at in 0..90_usize, byte in any::<u8>()) {
        let mut bytes = golden().encode().to_vec();
        bytes[at] = byte;
        let _ = Envelope::decode(&bytes.into());
    }
}
