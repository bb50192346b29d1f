//! Numbers as people read them: 0.2 ms, 3 %, 12 MiB, 1,240 loads.
//!
//! Two or three digits: more would claim a precision that no verdict has. It knows only numbers.

use std::time::Duration;

const NANOS_PER_MICRO: u128 = 1_000;
const NANOS_PER_MILLI: u128 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A share from 0 to 1. Never "0 %" of something, and never "100 %" of less than all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        "< 0.1 %".to_owned()
    } else if percent > 99.9 && percent < 100.0 {
        "> 99.9 %".to_owned()
    } else if percent > 0.0 && percent < 0.95 || percent > 99.0 && percent < 100.0 {
        format!("{} %", tenths((percent * 10.0).round() as u128))
    } else {
        format!("{percent:.0} %")
    }
}

/// A duration, from microseconds to days, in at most two units.
pub(super) fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 s".to_owned();
    }
    let micros = rounded(nanos, NANOS_PER_MICRO);
    let millis = rounded(nanos, NANOS_PER_MILLI);
    let seconds = rounded(nanos, NANOS_PER_SECOND);
    let minutes = rounded(nanos, 60 * NANOS_PER_SECOND);
    let hours = rounded(nanos, 3_600 * NANOS_PER_SECOND);
    // Each unit is rounded before it is chosen: 999.7 ms is 1 s, not 1000 ms.
    if micros == 0 {
        "< 1 µs".to_owned()
    } else if micros < 100 {
        format!("{micros} µs")
    } else if millis < 10 {
        format!("{} ms", tenths(rounded(nanos, NANOS_PER_MILLI / 10)))
    } else if millis < 1_000 {
        format!("{millis} ms")
    } else if seconds < 10 {
        format!("{} s", tenths(rounded(nanos, NANOS_PER_SECOND / 10)))
    } else if seconds < 60 {
        format!("{seconds} s")
    } else if seconds < 3_600 {
        two(seconds, 60, "min", "s")
    } else if minutes < 24 * 60 {
        two(minutes, 60, "h", "min")
    } else {
        two(hours, 24, "d", "h")
    }
}

/// Bytes, in powers of 1,024.
pub(super) fn bytes(bytes: u64) -> String {
    let mut unit: u128 = 1;
    for name in ["B", "KiB", "MiB", "GiB"] {
        let whole = rounded(bytes.into(), unit);
        if whole < 1_024 {
            return if whole < 10 && unit > 1 {
                format!("{} {name}", tenths(rounded(u128::from(bytes) * 10, unit)))
            } else {
                format!("{whole} {name}")
            };
        }
        unit *= 1_024;
    }
    format!("{} TiB", tenths(rounded(u128::from(bytes) * 10, unit)))
}

/// So many of something, whose plural ends in s.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A number with its thousands set off.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `number / unit`, to the nearest.
fn rounded(number: u128, unit: u128) -> u128 {
    (number + unit / 2) / unit
}

/// A number of tenths, without the decimal where it is none.
fn tenths(tenths: u128) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        decimal => format!("{}.{decimal}", tenths / 10),
    }
}

/// `number` of the small unit as the large one and what is left.
fn two(number: u128, per: u128, large: &str, small: &str) -> String {
    match number % per {
        0 => format!("{} {large}", number / per),
        left => format!("{} {large} {left} {small}", number / per),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_a_person_would_choose() {
        for (nanos, expected) in [
            (0, "0 s"),
            (499, "< 1 µs"),
            (500, "1 µs"),
            (40_000, "40 µs"),
            (99_499, "99 µs"),
            (99_500, "0.1 ms"),
            (200_000, "0.2 ms"),
            (4_100_000, "4.1 ms"),
            (4_000_000, "4 ms"),
            (9_499_999, "9.5 ms"),
            (9_500_000, "10 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1 s"),
            (1_500_000_000, "1.5 s"),
            (18_000_000_000, "18 s"),
            (59_600_000_000, "1 min"),
            (725_000_000_000, "12 min 5 s"),
            (3_599_700_000_000, "1 h"),
            (11_520_000_000_000, "3 h 12 min"),
            (86_370_000_000_000, "1 d"),
            (187_200_000_000_000, "2 d 4 h"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos)), expected, "{nanos} ns");
        }
    }

    #[test]
    fn shares_are_never_rounded_to_none_or_to_all() {
        for (share, expected) in [
            (0.0, "0 %"),
            (0.0001, "< 0.1 %"),
            (0.003, "0.3 %"),
            (0.0095, "1 %"),
            (0.03, "3 %"),
            (0.94, "94 %"),
            (0.99, "99 %"),
            (0.9952, "99.5 %"),
            (0.99991, "> 99.9 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), expected, "{share}");
        }
    }

    #[test]
    fn bytes_have_at_most_four_digits() {
        for (number, expected) in [
            (0, "0 B"),
            (512, "512 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_536, "1.5 KiB"),
            (12 << 20, "12 MiB"),
            ((1 << 20) - 1, "1 MiB"),
            (5 << 30, "5 GiB"),
            (3 << 40, "3 TiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(number), expected, "{number}");
        }
    }

    #[test]
    fn counts_are_grouped_and_one_is_no_plural() {
        for (number, expected) in
            [(0, "0 loads"), (1, "1 load"), (999, "999 loads"), (1_240, "1,240 loads")]
        {
            assert_eq!(count(number, "load"), expected);
        }
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
