//! Dates of HTTP (RFC 9110 section 5.6.7): three forms are read, one is written.
//!
//! Strict: a date that deviates from its form is none, because what is stored under a date that
//! was guessed is fresh for a time that was guessed. But for the case of letters, which a cache
//! leaves out of account (RFC 9111 section 4.2).

use std::fmt;

use http::header::AsHeaderName;
use http::{HeaderMap, HeaderValue};

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const WEEKDAYS: [&[u8]; 7] =
    [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A second of the calendar.
///
/// ```
/// use larder_http::Date;
///
/// let now = Date::from_unix(784_111_777);
/// let date = Date::parse(b"Sun, 06 Nov 1994 08:49:37 GMT", now).unwrap();
/// assert_eq!(date, now);
/// assert_eq!(date.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(Date::parse(b"Sunday, 06-Nov-94 08:49:37 GMT", now), Some(date));
/// assert_eq!(Date::parse(b"Sun Nov  6 08:49:37 1994", now), Some(date));
/// assert_eq!(Date::parse(b"Sun, 06 Nov 1994 08:49:37 CET", now), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    const MIN: i64 = days(1, 1, 1) * DAY_SECONDS;
    const MAX: i64 = days(10_000, 1, 1) * DAY_SECONDS - 1;

    /// So many seconds after the beginning of 1970. Beyond the years 1 to 9999 it is their first
    /// or last second: no other has four digits.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(Self::MIN, Self::MAX))
    }

    /// Seconds since the beginning of 1970.
    #[must_use]
    pub const fn as_unix(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to this; 0 if it isn't later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0 - earlier.0).unwrap_or(0)
    }

    /// Reads a date in one of the three forms. `now` tells the century of a year of two digits:
    /// what would be more than 50 years ahead is of the past.
    #[must_use]
    pub fn parse(text: &[u8], now: Self) -> Option<Self> {
        imf_fixdate(text).or_else(|| rfc850(text, now)).or_else(|| asctime(text))
    }

    /// As a field's value.
    ///
    /// # Panics
    ///
    /// Never: a date is printable.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("letters, digits, spaces, commas and colons")
    }
}

/// A field that is a date: none if it is absent, malformed, or there twice.
#[must_use]
pub fn date_field(headers: &HeaderMap, name: impl AsHeaderName, now: Date) -> Option<Date> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    Date::parse(line.as_bytes(), now)
}

fn imf_fixdate(text: &[u8]) -> Option<Date> {
    let text: &[u8; 29] = text.try_into().ok()?;
    let shape = text[3..5] == *b", " && text[7] == b' ' && text[11] == b' ' && text[16] == b' ';
    if !shape || !text[25..].eq_ignore_ascii_case(b" GMT") {
        return None;
    }
    let day = number(&text[5..7])?;
    date(&DAYS, &text[..3], number(&text[12..16])?, &text[8..11], day, &text[17..25])
}

fn rfc850(text: &[u8], now: Date) -> Option<Date> {
    let comma = text.iter().position(|&byte| byte == b',')?;
    let (weekday, rest) = text.split_at(comma);
    let rest: &[u8; 24] = rest.try_into().ok()?;
    let shape = rest[..2] == *b", " && rest[4] == b'-' && rest[8] == b'-' && rest[11] == b' ';
    if !shape || !rest[20..].eq_ignore_ascii_case(b" GMT") {
        return None;
    }
    let (day, of_century) = (number(&rest[2..4])?, number(&rest[9..11])?);
    let this_year = civil(now.0.div_euclid(DAY_SECONDS)).0;
    let mut year = this_year - this_year.rem_euclid(100) + of_century;
    if year > this_year + 50 {
        year -= 100;
    } else if year + 50 < this_year {
        year += 100;
    }
    date(&WEEKDAYS, weekday, year, &rest[5..8], day, &rest[12..20])
}

fn asctime(text: &[u8]) -> Option<Date> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let spaces = [3, 7, 10, 19].iter().all(|&at: &usize| text[at] == b' ');
    if !spaces {
        return None;
    }
    let day = if text[8] == b' ' { number(&text[9..10])? } else { number(&text[8..10])? };
    date(&DAYS, &text[..3], number(&text[20..])?, &text[4..7], day, &text[11..19])
}

/// The date, if there is one of that name. The name of the day is not held against the date.
fn date(
    names: &[&[u8]; 7],
    weekday: &[u8],
    year: i64,
    month: &[u8],
    day: i64,
    time: &[u8],
) -> Option<Date> {
    let known = names.iter().any(|name| name.eq_ignore_ascii_case(weekday));
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as i64 + 1;
    let (hour, minute) = (number(&time[..2])?, number(&time[3..5])?);
    let second = number(&time[6..8])?;
    let colons = time[2] == b':' && time[5] == b':';
    // A leap second is the next minute's first.
    if !known || !colons || year < 1 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let at = days(year, month, day);
    let exists = civil(at) == (year, month, day);
    exists.then(|| Date::from_unix(at * DAY_SECONDS + hour * 3600 + minute * 60 + second))
}

fn number(digits: &[u8]) -> Option<i64> {
    crate::fields::digits(digits, 9999).map(|number| number as i64)
}

/// Days since 1970 of a date of the Gregorian calendar: H. Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `days_from_civil`.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day: `civil_from_days` of the same paper.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + (month <= 2) as i64, month, day)
}

impl fmt::Display for Date {
    /// As an IMF-fixdate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, second) = (self.0.div_euclid(DAY_SECONDS), self.0.rem_euclid(DAY_SECONDS));
        let (year, month, day) = civil(at);
        // 1970 began on a Thursday.
        let weekday = String::from_utf8_lossy(DAYS[(at + 3).rem_euclid(7) as usize]);
        let month = String::from_utf8_lossy(MONTHS[month as usize - 1]);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}
