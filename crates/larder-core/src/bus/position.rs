//! Positions: places on a bus, which a writer is given and a reader can insist on.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

/// A place on a bus. Those of one run of a bus are ordered; those of two runs are not.
///
/// Its text is `RUN-NUMBER`, in hexadecimal and decimal.
///
/// ```
/// use larder_core::bus::Position;
///
/// let position: Position = "5eed0001-42".parse()?;
/// assert_eq!((position.run, position.number), (0x5eed_0001, 42));
/// assert_eq!(position.to_string(), "5eed0001-42");
/// assert!(Position { number: 43, ..position }.reaches(position));
/// assert!(!Position { run: 1, number: 99 }.reaches(position));
/// # Ok::<(), larder_core::bus::NotAPosition>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The run of the bus, random.
    pub run: u32,
    /// Its number, each one more than the one before.
    pub number: u64,
}

impl Position {
    /// Whether who has applied everything up to here has applied `other` too.
    #[must_use]
    pub const fn reaches(self, other: Self) -> bool {
        self.run == other.run && self.number >= other.number
    }

    /// Whether `next` comes right after this one: nothing was missed in between.
    #[must_use]
    pub const fn is_followed_by(self, next: Self) -> bool {
        self.run == next.run && self.number.wrapping_add(1) == next.number
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.run, self.number)
    }
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPosition;

impl fmt::Display for NotAPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is written as eight hexadecimal digits, a dash and a number")
    }
}

impl StdError for NotAPosition {}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (run, number) = text.split_once('-').ok_or(NotAPosition)?;
        let spelt = |text: &str, digit: fn(&u8) -> bool| text.as_bytes().iter().all(digit);
        if run.len() != 8
            || !spelt(run, u8::is_ascii_hexdigit)
            || !spelt(number, u8::is_ascii_digit)
        {
            return Err(NotAPosition);
        }
        let run = u32::from_str_radix(run, 16).map_err(|_| NotAPosition)?;
        let number = number.parse().map_err(|_| NotAPosition)?;
        Ok(Self { run, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_no_position_has_is_refused() {
        for text in [
            "",
            "-",
            "5eed0001",
            "5eed0001-",
            "5eed001-4",
            "5eed0001-+4",
            "+eed0001-4",
            "5eed0001-18446744073709551616",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }

    #[test]
    fn only_the_next_number_of_the_same_run_follows() {
        let at = |run, number| Position { run, number };
        assert!(at(1, 7).is_followed_by(at(1, 8)));
        for other in [at(1, 7), at(1, 9), at(1, 6), at(2, 8)] {
            assert!(!at(1, 7).is_followed_by(other), "{other}");
        }
    }
}
