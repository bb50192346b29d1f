//! How large a cache is: a part of the keys, a number of entries, or of bytes.

use std::fmt;
use std::str::FromStr;

use crate::{Requests, Unit};

/// How large a cache is.
///
/// ```
/// use larder_sim::Size;
///
/// assert_eq!("10%".parse(), Ok(Size::Part(0.1)));
/// assert_eq!("1000".parse(), Ok(Size::Entries(1000)));
/// assert_eq!("64MiB".parse(), Ok(Size::Bytes(64 << 20)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// As many entries as this part of the different keys.
    Part(f64),
    /// So many entries.
    Entries(u64),
    /// Entries that together take so many bytes.
    Bytes(u64),
}

/// A size that can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSize;

impl fmt::Display for BadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a size is a part of the keys (0.5%), a number of entries (10000) or of bytes (64MiB)",
        )
    }
}

impl std::error::Error for BadSize {}

/// The units of bytes, the largest first.
const BYTES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| BadSize)?;
            let part = percent / 100.0;
            return if part > 0.0 && part <= 1.0 { Ok(Self::Part(part)) } else { Err(BadSize) };
        }
        for (unit, worth) in BYTES {
            if let Some(number) = text.strip_suffix(unit) {
                let bytes = whole(number.trim())?.checked_mul(worth).ok_or(BadSize)?;
                return Ok(Self::Bytes(bytes));
            }
        }
        whole(text).map(Self::Entries)
    }
}

fn whole(text: &str) -> Result<u64, BadSize> {
    text.parse().ok().filter(|&number| number > 0).ok_or(BadSize)
}

impl Size {
    /// The unit in which a cache of this size is measured.
    pub fn unit(self) -> Unit {
        match self {
            Self::Part(_) | Self::Entries(_) => Unit::Entries,
            Self::Bytes(_) => Unit::Bytes,
        }
    }

    /// The capacity of the cache over all keys, of which these are a sample; at least 1.
    pub fn capacity(self, requests: &Requests) -> u64 {
        match self {
            // A float beyond the range becomes the nearest end of it.
            Self::Part(part) => ((part * requests.keys_in_all()) as u64).max(1),
            Self::Entries(capacity) | Self::Bytes(capacity) => capacity,
        }
    }

    /// The capacity of the cache over this sample; at least 1.
    pub(crate) fn capacity_sampled(self, requests: &Requests) -> u64 {
        match self {
            Self::Part(part) => ((part * requests.keys() as f64) as u64).max(1),
            Self::Entries(capacity) | Self::Bytes(capacity) => {
                ((capacity as f64 * requests.sample()).round() as u64).max(1)
            }
        }
    }
}

/// A number of bytes in the largest unit that keeps it short.
pub(crate) fn bytes(number: u64) -> String {
    let (unit, worth) = BYTES.into_iter().find(|(_, worth)| number >= *worth).unwrap_or(("B", 1));
    match number % worth {
        0 => format!("{}{unit}", number / worth),
        _ => format!("{:.1}{unit}", number as f64 / worth as f64),
    }
}
