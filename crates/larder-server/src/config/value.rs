//! What the value of an option may be, and how it is read: one small parser per kind of value.
//!
//! A fault never repeats the value: it may come from the environment, or be a secret. The line is
//! quoted beside it anyway.

use std::time::Duration;

/// Why a value can't be taken, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Continues "`option` …".
    pub(super) what: String,
    pub(super) cure: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }
}

/// A kind of value.
pub(super) trait OptionValue: Sized {
    /// What it is: continues "must be …".
    const WHAT: &'static str;
    /// Whether it may never be shown.
    const SECRET: bool = false;
    /// How TOML writes it.
    const FORM: Form = Form::Text;

    /// Which values there are, when not all of its kind: continues "must be a whole number …".
    fn range() -> Option<String> {
        None
    }

    /// Reads it. Numbers and flags come as their decimal text.
    fn from_text(text: &str) -> Result<Self, Fault>;
}

/// How TOML writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Integer,
    Float,
    Flag,
    /// Texts in brackets.
    List,
}

impl Form {
    /// What to write, when something else was written.
    pub(super) fn cure(self) -> &'static str {
        match self {
            Self::Text => "put it in quotes",
            Self::Integer | Self::Float => {
                "write it without quotes, or take it from the environment: \"${NAME}\""
            }
            Self::Flag => "write true or false without quotes",
            Self::List => "write them in brackets, each in quotes: [\"users\"]",
        }
    }
}

/// Any text that isn't empty.
#[derive(Clone, Debug)]
pub(super) struct Line(pub(super) String);

impl OptionValue for Line {
    const WHAT: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            return Err(Fault::new("is empty", "give it a value"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl OptionValue for bool {
    const WHAT: &'static str = "true or false";
    const FORM: Form = Form::Flag;

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| Fault::new("must be true or false", Self::FORM.cure()))
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count<const MIN: u32, const MAX: u32>(pub(super) usize);

impl<const MIN: u32, const MAX: u32> OptionValue for Count<MIN, MAX> {
    const WHAT: &'static str = "a whole number";
    const FORM: Form = Form::Integer;

    fn range() -> Option<String> {
        Some(format!("from {MIN} to {MAX}"))
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse::<u32>().ok().filter(|number| (MIN..=MAX).contains(number)).map_or_else(
            || {
                let what = format!("must be a whole number from {MIN} to {MAX}");
                Err(Fault::new(what, "write a number in this range"))
            },
            |number| Ok(Self(number as usize)),
        )
    }
}

/// A part of a whole that isn't empty: a number above 0, up to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part(pub(super) f64);

impl OptionValue for Part {
    const WHAT: &'static str = "a number";
    const FORM: Form = Form::Float;

    fn range() -> Option<String> {
        Some("above 0, up to 1".to_owned())
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().ok().filter(|part| *part > 0.0 && *part <= 1.0).map_or_else(
            || {
                let what = "must be a number above 0, up to 1";
                Err(Fault::new(what, "write a part: 0.01 is a hundredth, 1 is all"))
            },
            |part| Ok(Self(part)),
        )
    }
}

/// A factor: a number from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beta(pub(super) f64);

impl OptionValue for Beta {
    const WHAT: &'static str = "a number";
    const FORM: Form = Form::Float;

    fn range() -> Option<String> {
        Some("from 0 to 100".to_owned())
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().ok().filter(|factor| (0.0..=100.0).contains(factor)).map_or_else(
            || Err(Fault::new("must be a number from 0 to 100", "1 is right for most, 0 is off")),
            |factor| Ok(Self(factor)),
        )
    }
}

/// From 1 to `MAX` values of one kind, whose [`from_text`](OptionValue::from_text) reads one of
/// them.
#[derive(Clone, Debug)]
pub(super) struct List<T, const MAX: u32>(pub(super) T);

impl<T: OptionValue, const MAX: u32> OptionValue for List<T, MAX> {
    const WHAT: &'static str = "a list";
    const SECRET: bool = T::SECRET;
    const FORM: Form = Form::List;

    fn range() -> Option<String> {
        Some(format!("of 1 to {MAX}, each {}", T::WHAT))
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        T::from_text(text).map(Self)
    }
}

impl OptionValue for Duration {
    const WHAT: &'static str = "a duration";

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write a number and its unit: \"100ms\", \"2s\", \"5m\", \"1h\", \"7d\"";
        let unsteady = ["M", "month", "months", "y", "yr", "year", "years"];
        if text.split(|c: char| !c.is_alphabetic()).any(|unit| unsteady.contains(&unit)) {
            let what = "is in months or years, which have no fixed length";
            return Err(Fault::new(what, "count in days (\"30d\"); minutes are a small m"));
        }
        humantime::parse_duration(text).map_err(|_| Fault::new("is no duration", CURE))
    }
}

/// How long something may take: from a millisecond to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeout(pub(super) Duration);

impl Timeout {
    const MIN: Duration = Duration::from_millis(1);
    const MAX: Duration = Duration::from_secs(24 * 60 * 60);
}

impl OptionValue for Timeout {
    const WHAT: &'static str = "a duration";

    fn range() -> Option<String> {
        Some("from 1ms to 24h".to_owned())
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        let duration = Duration::from_text(text)?;
        if !(Self::MIN..=Self::MAX).contains(&duration) {
            return Err(Fault::new(
                "must be from 1ms to 24h",
                "every wait has an end: write one in this range",
            ));
        }
        Ok(Self(duration))
    }
}

/// How long loads wait for company: from 100 µs to a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gathering(pub(super) Duration);

impl Gathering {
    const MIN: Duration = Duration::from_micros(100);
    const MAX: Duration = Duration::from_secs(1);
}

impl OptionValue for Gathering {
    const WHAT: &'static str = "a duration";

    fn range() -> Option<String> {
        Some("from 100us to 1s".to_owned())
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        let duration = Duration::from_text(text)?;
        if !(Self::MIN..=Self::MAX).contains(&duration) {
            return Err(Fault::new(
                "must be from 100us to 1s",
                "every read that memory can't serve may wait so long: some milliseconds are \
                 enough (\"2ms\"); leave it out to load each alone",
            ));
        }
        Ok(Self(duration))
    }
}

/// A number of bytes, at least `MIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size<const MIN: u64>(pub(super) u64);

/// The units of a [`Size`], as powers of two.
const UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

impl<const MIN: u64> OptionValue for Size<MIN> {
    const WHAT: &'static str = "a size";

    fn range() -> Option<String> {
        Some(format!("of at least {}", size_text(MIN)))
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write a number and its unit: \"64KiB\", \"256MiB\", \"1GiB\"; \
                            a KiB is 1,024 bytes";
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let Some((_, shift)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
            let what = if ["K", "M", "G", "T", "KB", "MB", "GB", "TB"]
                .contains(&unit.to_uppercase().as_str())
            {
                "has a unit that some read as a power of ten and some as a power of two"
            } else {
                "is no size"
            };
            return Err(Fault::new(what, CURE));
        };
        let bytes = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .ok_or_else(|| Fault::new("is no size", CURE))?;
        if bytes < MIN {
            let least = size_text(MIN);
            return Err(Fault::new(format!("must be at least {least}"), "allow more"));
        }
        Ok(Self(bytes))
    }
}

/// `bytes` in the largest unit that divides it.
pub(super) fn size_text(bytes: u64) -> String {
    let fits = |&(_, shift): &(&str, u32)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift);
    let (unit, shift) = UNITS.into_iter().rfind(fits).unwrap_or(UNITS[0]);
    format!("{}{unit}", bytes >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_names_its_unit() {
        for (text, millis) in
            [("0s", 0), ("100ms", 100), ("2s", 2_000), ("5m", 300_000), ("1h 30m", 5_400_000)]
        {
            assert_eq!(Duration::from_text(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "2", "s", "2 x", "-1s", "5M", "1month", "1y", "99999999999999999999s"] {
            assert!(Duration::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_timeout_has_both_ends() {
        for (text, valid) in
            [("0s", false), ("999us", false), ("1ms", true), ("24h", true), ("24h 1ms", false)]
        {
            assert_eq!(Timeout::from_text(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn gathering_takes_no_longer_than_a_reader_hardly_feels() {
        for (text, valid) in
            [("0s", false), ("99us", false), ("100us", true), ("1s", true), ("1001ms", false)]
        {
            assert_eq!(Gathering::from_text(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn a_factor_is_nothing_or_more() {
        for (text, valid) in
            [("0", true), ("1.5", true), ("100", true), ("100.1", false), ("-1", false)]
        {
            assert_eq!(Beta::from_text(text).is_ok(), valid, "{text}");
        }
        assert!(Beta::from_text("nan").is_err());
    }

    #[test]
    fn a_size_is_a_power_of_two() {
        for (text, bytes) in
            [("0B", 0), ("7B", 7), ("64KiB", 65_536), ("256 MiB", 268_435_456), ("1GiB", 1 << 30)]
        {
            assert_eq!(Size::<0>::from_text(text), Ok(Size::<0>(bytes)), "{text}");
            assert_eq!(size_text(bytes), text.replace(' ', ""));
        }
        for text in ["", "1", "MiB", "256MB", "256mb", "1g", "-1KiB", "1.5GiB", "99999999TiB"] {
            assert!(Size::<0>::from_text(text).is_err(), "{text}");
        }
        assert!(Size::<1024>::from_text("1KiB").is_ok());
        assert!(Size::<1024>::from_text("1023B").unwrap_err().what.contains("1KiB"));
        assert!(Size::<0>::from_text("256mb").unwrap_err().what.contains("power of ten"));
    }

    #[test]
    fn a_part_is_more_than_nothing_and_no_more_than_all() {
        for (text, part) in [("0.01", Some(0.01)), ("1", Some(1.0)), ("1e-3", Some(0.001))] {
            assert_eq!(Part::from_text(text).ok(), part.map(Part), "{text}");
        }
        for text in ["0", "0.0", "-0.5", "1.01", "nan", "inf", "", "1%"] {
            assert!(Part::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_count_keeps_its_range() {
        for (text, count) in [("0", None), ("1", Some(1)), ("9", Some(9)), ("10", None)] {
            assert_eq!(Count::<1, 9>::from_text(text).ok(), count.map(Count), "{text}");
        }
        assert!(Count::<0, 9>::from_text("-1").is_err());
    }
}
