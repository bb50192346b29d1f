//! The floating point numbers that INCRBYFLOAT counts in: those of 80 bits that a C compiler for
//! x86-64 calls `long double`, so that sums come out as they do from a Redis there.
//!
//! Of them it has what INCRBYFLOAT needs: reading a text, adding two, and writing 17 decimals.
//! Each rounds once, to the nearest, and to the even one of two that are as near (IEEE 754-2019,
//! section 4.3.1). Reading is exact for texts of any length: long division of integers, bit by
//! bit (D. Knuth, "The Art of Computer Programming", volume 2, section 4.3.1). Numbers so small
//! that x86 keeps fewer bits of them show themselves as 0, so all bits are kept of them here.

use super::natural::Natural;

/// The longest text that Redis reads as a number, in bytes.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// A number is below two to the power of this.
const EXPONENT_END: i64 = 16_384;

/// A smaller one than two to the power of this is zero.
const EXPONENT_MIN: i64 = -16_446;

/// What is written of a number behind the point.
const DECIMALS: u32 = 17;

/// A number, or an infinite one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongDouble {
    Finite(Finite),
    Infinite,
}

/// The mantissa times two to the power of the exponent. The highest bit of the mantissa is set,
/// unless the number is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finite {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    /// The number that a text is; `None` for what Redis doesn't take for one.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite);
        }
        let finite = match digits {
            [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
            digits => decimal(digits)?,
        };
        Some(Self::Finite(Finite { negative, ..finite }))
    }

    /// The sum; `None` for one that isn't finite.
    pub(super) fn add(self, other: Self) -> Option<Finite> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => a.add(b),
            _ => None,
        }
    }
}

impl Finite {
    const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0 };

    fn add(self, other: Self) -> Option<Self> {
        let (large, small) = match (self.mantissa, other.mantissa) {
            (_, 0) => return Some(self),
            (0, _) => return Some(other),
            _ if (self.exponent, self.mantissa) >= (other.exponent, other.mantissa) => {
                (self, other)
            }
            _ => (other, self),
        };
        // Behind the mantissas is room for 62 bits more; what the smaller number has beyond them
        // only counts as something or nothing.
        let distance = (large.exponent - small.exponent).min(127) as u32;
        let shifted = u128::from(small.mantissa) << 62;
        let rest = shifted & ((1_u128 << distance) - 1) != 0;
        let (a, b) = (u128::from(large.mantissa) << 62, shifted >> distance);
        let sum = match large.negative == small.negative {
            true => a + b,
            false => a - b - u128::from(rest),
        };
        if sum == 0 {
            return Some(Self::ZERO);
        }
        let spare = i64::from(64_u32) - i64::from(sum.leading_zeros());
        let (mantissa, more) = match u32::try_from(spare) {
            Ok(0) | Err(_) => {
                // It fits as it is; only an exact difference is so small.
                let up = spare.unsigned_abs() as u32;
                ((sum as u64) << up, Rest { half: false, more: false })
            }
            Ok(spare) => {
                let half = sum >> (spare - 1) & 1 == 1;
                let more = rest || sum & ((1 << (spare - 1)) - 1) != 0;
                ((sum >> spare) as u64, Rest { half, more })
            }
        };
        let exponent = large.exponent - 62 + spare;
        Self::rounded(mantissa, exponent, more)
            .map(|rounded| Self { negative: large.negative, ..rounded })
    }

    /// The number next to a mantissa of which something was cut; `None` if it is too large.
    fn rounded(mantissa: u64, exponent: i64, rest: Rest) -> Option<Self> {
        let up = rest.half && (rest.more || mantissa & 1 == 1);
        let (mantissa, exponent) = match mantissa.checked_add(u64::from(up)) {
            Some(mantissa) => (mantissa, exponent),
            None => (1 << 63, exponent + 1),
        };
        (exponent + 64 <= EXPONENT_END).then_some(Self { negative: false, mantissa, exponent })
    }

    /// A fraction of two integers, times two to the power of `exponent`; `None` if it is too
    /// large or too small.
    fn fraction(mut above: Natural, mut below: Natural, exponent: i64) -> Option<Self> {
        if above.is_zero() {
            return Some(Self::ZERO);
        }
        // Shifted so that the quotient is at least one, and less than two.
        let mut shift = above.bits() as i64 - below.bits() as i64;
        match shift {
            ..0 => above.shift(shift.unsigned_abs() as usize),
            _ => below.shift(shift as usize),
        }
        if above < below {
            above.shift(1);
            shift -= 1;
        }
        let top = shift + exponent;
        if !(EXPONENT_MIN..EXPONENT_END).contains(&top) {
            return None;
        }
        let mut next_bit = || {
            let bit = above >= below;
            if bit {
                above.subtract(&below);
            }
            above.shift(1);
            bit
        };
        let mantissa = (0..64).fold(0, |bits: u64, _| bits << 1 | u64::from(next_bit()));
        let half = next_bit();
        Self::rounded(mantissa, top - 63, Rest { half, more: !above.is_zero() })
    }

    /// Its text with 17 decimals, without the zeros at the end.
    pub(super) fn text(self) -> String {
        let (whole, decimals) = self.parts();
        let mut text = whole;
        if decimals > 0 {
            let decimals = format!("{decimals:017}");
            text = format!("{text}.{}", decimals.trim_end_matches('0'));
        }
        if self.negative && text != "0" { format!("-{text}") } else { text }
    }

    /// What stands before the point, and the decimals behind it.
    fn parts(self) -> (String, u64) {
        if self.exponent >= 0 {
            let mut whole = Natural::from(self.mantissa);
            whole.shift(self.exponent as usize);
            return (whole.decimal(), 0);
        }
        let down = self.exponent.unsigned_abs();
        let (whole, rest) = match down {
            0..64 => (self.mantissa >> down, self.mantissa & ((1 << down) - 1)),
            _ => (0, self.mantissa),
        };
        // Below 2^64 times 10^17, which is less than 2^121.
        let product = u128::from(rest) * u128::from(10_u64.pow(DECIMALS));
        let (mut decimals, half) = match down {
            0..128 => (product >> down, product << (128 - down)),
            _ => (0, 0),
        };
        const HALF: u128 = 1 << 127;
        if half > HALF || (half == HALF && decimals & 1 == 1) {
            decimals += 1;
        }
        let one = u128::from(10_u64.pow(DECIMALS));
        let whole = if decimals == one { whole + 1 } else { whole };
        (whole.to_string(), (decimals % one) as u64)
    }
}

/// What was cut of a mantissa: whether it was half of its last bit or more, and whether anything
/// beside that half.
#[derive(Clone, Copy, Debug)]
struct Rest {
    half: bool,
    more: bool,
}

/// Digits with or without a point, and with or without an exponent behind `mark`.
struct Digits<'a> {
    whole: &'a [u8],
    decimals: &'a [u8],
    exponent: i64,
}

impl<'a> Digits<'a> {
    fn split(text: &'a [u8], mark: u8, is_digit: fn(&u8) -> bool) -> Option<Self> {
        let at = text.iter().position(|byte| byte.eq_ignore_ascii_case(&mark));
        let (digits, exponent) = match at {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let (whole, decimals) = match digits.iter().position(|&byte| byte == b'.') {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &[][..]),
        };
        let all = || whole.iter().chain(decimals);
        (all().next().is_some() && all().all(is_digit)).then_some(Self {
            whole,
            decimals,
            exponent,
        })
    }

    /// All digits as one integer.
    fn natural(&self, base: u32) -> Natural {
        let digits = self.whole.iter().chain(self.decimals);
        let mut natural = Natural::from(0);
        for &digit in digits {
            let digit = char::from(digit).to_digit(16).unwrap_or(0);
            natural.multiply_and_add(base, digit);
        }
        natural
    }
}

/// An exponent, cut to what is far beyond any number of a text that is read.
fn exponent(text: &[u8]) -> Option<i64> {
    const FAR: i64 = 100_000;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = |sum: i64, &digit: &u8| (sum * 10 + i64::from(digit - b'0')).min(FAR);
    let amount = digits.iter().fold(0, amount);
    Some(if negative { -amount } else { amount })
}

fn decimal(text: &[u8]) -> Option<Finite> {
    let digits = Digits::split(text, b'e', u8::is_ascii_digit)?;
    let mut above = digits.natural(10);
    if above.is_zero() {
        return Some(Finite::ZERO);
    }
    let power = digits.exponent - digits.decimals.len() as i64;
    // Beyond this it is too large or too small, whatever the digits are.
    if power.abs() > 2 * TEXT_BYTES_MAX as i64 {
        return None;
    }
    let mut below = Natural::from(1);
    let scaled = if power < 0 { &mut below } else { &mut above };
    (0..power.unsigned_abs()).for_each(|_| scaled.multiply_and_add(10, 0));
    Finite::fraction(above, below, 0)
}

fn hexadecimal(text: &[u8]) -> Option<Finite> {
    let digits = Digits::split(text, b'p', u8::is_ascii_hexdigit)?;
    let power = digits.exponent - 4 * digits.decimals.len() as i64;
    Finite::fraction(digits.natural(16), Natural::from(1), power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, sum: &str) {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).expect("a number");
        let found = parse(a).add(parse(b)).map(Finite::text);
        assert_eq!(found.as_deref(), Some(sum), "{a} + {b}");
    }

    #[test]
    fn sums_are_those_of_redis() {
        check("10.50", "0.1", "10.6");
        check("5.0e3", "2.0e2", "5200");
        check("0.1", "0.2", "0.3");
        check("3", "-3", "0");
        check("-0.0", "0", "0");
        check("-1.5", "1", "-0.5");
        check("1e-18", "0", "0");
        check("9007199254740993", "1", "9007199254740994");
        check("18446744073709551615", "1", "18446744073709551616");
        check("18446744073709551616", "1", "18446744073709551616");
        check("0x1p3", "0X.8", "8.5");
        check(".5", "5.", "5.5");
    }

    #[test]
    fn what_is_no_number_is_not_read() {
        for text in ["", " 1", "1 ", "-", ".", "1e", "1e+", "e5", "0x", "nan", "1.2.3", "1e5000"] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse(b"-Infinity"), Some(LongDouble::Infinite));
    }

    #[test]
    fn a_sum_beyond_all_numbers_is_none() {
        let most = LongDouble::parse(b"1.18e4932").expect("a number");
        assert_eq!(most.add(most), None);
        assert_eq!(most.add(LongDouble::Infinite), None);
    }
}
