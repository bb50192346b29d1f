//! Dates and times, as the database prints them: a TIMESTAMP in UTC, which is the time zone of
//! larder's own sessions.
//!
//! These are the formats of MySQL 5.6.4, MariaDB 10.1 and everything since; tables that are older
//! and were never rebuilt have others, whose length the log doesn't tell.

use super::Malformed;
use super::reader::Reader;

/// DATE: 15 bits of years, 4 of months, 5 of days.
pub(super) fn date(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let packed = reader.little(3)?;
    Ok(format!("{:04}-{:02}-{:02}", packed >> 9, packed >> 5 & 15, packed & 31))
}

/// TIMESTAMP with so many digits of seconds behind the point.
pub(super) fn timestamp(reader: &mut Reader<'_>, digits: u8) -> Result<String, Malformed> {
    let seconds = reader.big(4)?;
    let fraction = fraction(reader, digits)?;
    if seconds == 0 && fraction == 0 {
        return Ok(format!("0000-00-00 00:00:00{}", printed(0, digits)));
    }
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    Ok(format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{}",
        printed(fraction, digits)
    ))
}

/// DATETIME: 17 bits of months, 5 of days, 5 of hours, 6 of minutes, 6 of seconds.
pub(super) fn datetime(reader: &mut Reader<'_>, digits: u8) -> Result<String, Malformed> {
    let packed = reader.big(5)? & 0x7f_ffff_ffff;
    let fraction = fraction(reader, digits)?;
    let months = packed >> 22;
    let (year, month, day) = (months / 13, months % 13, packed >> 17 & 31);
    let (hour, minute, second) = (packed >> 12 & 31, packed >> 6 & 63, packed & 63);
    Ok(format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{}",
        printed(fraction, digits)
    ))
}

/// TIME: a sign, 10 bits of hours, 6 of minutes, 6 of seconds, and the fraction, as one number
/// that is moved up by half of its range.
pub(super) fn time(reader: &mut Reader<'_>, digits: u8) -> Result<String, Malformed> {
    let bytes = fraction_bytes(digits)?;
    let bits = 8 * (3 + bytes);
    let middle = 1_i64 << (bits - 1);
    let moved = reader.big(3 + bytes)?.cast_signed() - middle;
    let (sign, packed) = if moved < 0 { ("-", -moved) } else { ("", moved) };
    let whole = packed >> (8 * bytes);
    let fraction = (packed & ((1 << (8 * bytes)) - 1)).cast_unsigned();
    let fraction = scaled(fraction, bytes)?;
    let (hour, minute, second) = (whole >> 12 & 0x3ff, whole >> 6 & 63, whole & 63);
    Ok(format!("{sign}{hour:02}:{minute:02}:{second:02}{}", printed(fraction, digits)))
}

fn fraction_bytes(digits: u8) -> Result<usize, Malformed> {
    if digits > 6 {
        return Err(Malformed("a moment of more than six digits"));
    }
    Ok(usize::from(digits).div_ceil(2))
}

/// The fraction in microseconds.
fn fraction(reader: &mut Reader<'_>, digits: u8) -> Result<u64, Malformed> {
    let bytes = fraction_bytes(digits)?;
    scaled(reader.big(bytes)?, bytes)
}

/// A byte holds two digits of the fraction.
fn scaled(stored: u64, bytes: usize) -> Result<u64, Malformed> {
    let micros = stored * [1_000_000, 10_000, 100, 1][bytes];
    if micros < 1_000_000 { Ok(micros) } else { Err(Malformed("a fraction of a second")) }
}

fn printed(micros: u64, digits: u8) -> String {
    if digits == 0 {
        return String::new();
    }
    let all = format!(".{micros:06}");
    all[..=usize::from(digits)].to_owned()
}

/// The day of the calendar, so many days after 1970-01-01 (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_month)
}
