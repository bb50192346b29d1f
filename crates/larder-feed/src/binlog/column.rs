//! A column: how its values stand in a row, and how the database prints them.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use larder_core::change::Field;

use super::decimal::decimal;
use super::reader::Reader;
use super::{Charset, Malformed, moment};

/// What the log doesn't tell of a column: MariaDB writes these as if they were BINARY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// UUID.
    Uuid,
    /// INET4.
    Inet4,
    /// INET6.
    Inet6,
}

/// How values stand in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Integer {
        bytes: usize,
        is_unsigned: bool,
    },
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    Date,
    Timestamp(u8),
    Datetime(u8),
    Time(u8),
    /// Their length stands in front of them, in so many bytes.
    Text {
        count: usize,
        charset: Charset,
    },
    /// BINARY, whose zeros at the end aren't in the log.
    Padded {
        count: usize,
        length: usize,
    },
    Special {
        count: usize,
        kind: Override,
    },
    Enum {
        bytes: usize,
        members: Box<[Option<Bytes>]>,
    },
    Set {
        bytes: usize,
        members: Box<[Option<Bytes>]>,
    },
    /// Values of this length, of which nothing is told: how the database prints a FLOAT depends on
    /// more than its value, and a BIT is no text.
    Fixed(usize),
    /// The same, with their length in front: JSON, points, what is compressed.
    Opaque(usize),
    /// Nobody knows how long one is.
    Unreadable,
}

impl Column {
    /// Reads a value that isn't null.
    pub(super) fn read(&self, reader: &mut Reader<'_>) -> Result<Field, Malformed> {
        Ok(match self {
            Self::Integer { bytes, is_unsigned } => {
                let number = reader.little(*bytes)?;
                let above = 64 - 8 * u32::try_from(*bytes).unwrap_or(8);
                // The sign is the highest bit of those that stand there.
                let signed = (number << above).cast_signed() >> above;
                text(if *is_unsigned { number.to_string() } else { signed.to_string() })
            }
            Self::Decimal { precision, scale } => text(decimal(reader, *precision, *scale)?),
            Self::Year => match reader.byte()? {
                0 => text("0000".to_owned()),
                year => text((1900 + u16::from(year)).to_string()),
            },
            Self::Date => text(moment::date(reader)?),
            Self::Timestamp(digits) => text(moment::timestamp(reader, *digits)?),
            Self::Datetime(digits) => text(moment::datetime(reader, *digits)?),
            Self::Time(digits) => text(moment::time(reader, *digits)?),
            Self::Text { count, charset } => told(counted(reader, *count)?, *charset),
            Self::Padded { count, length } => {
                let mut bytes = counted(reader, *count)?.to_vec();
                bytes.resize(bytes.len().max(*length), 0);
                Field::Text(bytes.into())
            }
            Self::Special { count, kind } => special(counted(reader, *count)?, *kind),
            Self::Enum { bytes, members } => {
                let number = usize::try_from(reader.little(*bytes)?).unwrap_or(usize::MAX);
                match number.checked_sub(1) {
                    // What was no member when it was stored.
                    None => text(String::new()),
                    Some(at) => match members.get(at) {
                        Some(Some(member)) => Field::Text(member.clone()),
                        _ => Field::Unknown,
                    },
                }
            }
            Self::Set { bytes, members } => set(reader.little(*bytes)?, members),
            Self::Fixed(bytes) => {
                reader.take(*bytes)?;
                Field::Unknown
            }
            Self::Opaque(count) => {
                counted(reader, *count)?;
                Field::Unknown
            }
            Self::Unreadable => return Err(Malformed("a column's type isn't known")),
        })
    }
}

fn text(text: String) -> Field {
    Field::Text(text.into())
}

fn told(bytes: &[u8], charset: Charset) -> Field {
    if charset.tells(bytes) {
        return Field::Text(Bytes::copy_from_slice(bytes));
    }
    Field::Unknown
}

fn counted<'m>(reader: &mut Reader<'m>, count: usize) -> Result<&'m [u8], Malformed> {
    let length = usize::try_from(reader.little(count)?).unwrap_or(usize::MAX);
    reader.take(length)
}

fn special(bytes: &[u8], kind: Override) -> Field {
    let padded = |length: usize| {
        let mut all = [0_u8; 16];
        all[..bytes.len().min(length)].copy_from_slice(&bytes[..bytes.len().min(length)]);
        all
    };
    match kind {
        Override::Uuid => {
            let hex: String = padded(16).iter().map(|byte| format!("{byte:02x}")).collect();
            let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
            text(format!("{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..]))
        }
        Override::Inet4 => {
            let [a, b, c, d, ..] = padded(4);
            text(Ipv4Addr::new(a, b, c, d).to_string())
        }
        Override::Inet6 => text(Ipv6Addr::from(padded(16)).to_string()),
    }
}

/// The members whose bits are set, with commas between them.
fn set(bits: u64, members: &[Option<Bytes>]) -> Field {
    let mut all = Vec::new();
    for at in (0..64).filter(|at| bits >> at & 1 == 1) {
        let Some(Some(member)) = members.get(at) else { return Field::Unknown };
        if !all.is_empty() {
            all.push(b',');
        }
        all.extend_from_slice(member);
    }
    Field::Text(all.into())
}
