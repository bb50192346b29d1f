//! The one spelling of each kind of parameter: reading it, writing it, and finding its end.
//!
//! It does not know templates, only a kind, a piece of text, and the character that follows.

use std::fmt;

use super::{ParameterKind, ParameterValue};

/// How many characters a uuid has.
pub(super) const UUID_CHARS: usize = 36;
/// Where the hyphens of a uuid stand.
pub(super) const UUID_HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The beginning of `rest` that a parameter of `kind` covers, right or wrong, when `stop` is the
/// character that follows it.
pub(super) fn split(kind: ParameterKind, rest: &str, stop: Option<char>) -> &str {
    let Some(stop) = stop else { return rest };
    let until_stop = |from: usize| {
        let end = rest[from..].find(stop).map_or(rest.len(), |at| from + at);
        &rest[..end]
    };
    match kind {
        ParameterKind::Text | ParameterKind::Version => until_stop(0),
        // A sign may look like the literal that follows: `{from:int}-{to:int}`.
        ParameterKind::Int => until_stop(usize::from(rest.starts_with('-'))),
        ParameterKind::Uuid => match rest.char_indices().nth(UUID_CHARS) {
            Some((end, _)) => &rest[..end],
            None => rest,
        },
        ParameterKind::Bool => {
            let words = [true, false].map(bool_word);
            words.into_iter().find(|word| rest.starts_with(word)).unwrap_or_else(|| until_stop(0))
        }
    }
}

/// The value that `part` spells, or what to write instead, as the end of a sentence.
pub(super) fn read(kind: ParameterKind, part: &str) -> Result<ParameterValue, String> {
    match kind {
        ParameterKind::Int => read_int(part).map(ParameterValue::Int),
        ParameterKind::Text => read_text(part).map(ParameterValue::Text),
        ParameterKind::Uuid => read_uuid(part).map(ParameterValue::Uuid),
        ParameterKind::Bool => read_bool(part).map(ParameterValue::Bool),
        ParameterKind::Version => read_version(part).map(ParameterValue::Version),
    }
}

/// How many digits redis-benchmark writes for `__rand_int__`.
const PADDED_DIGITS: usize = 12;

/// The same as [`read`], but a number may also be padded with zeros to twelve digits.
pub(super) fn read_padded(kind: ParameterKind, part: &str) -> Result<ParameterValue, String> {
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits && part.len() == PADDED_DIGITS && part.starts_with('0');
    let number = part.trim_start_matches('0');
    let number = if number.is_empty() { "0" } else { number };
    match kind {
        ParameterKind::Int | ParameterKind::Version if padded => read(kind, number),
        _ => read(kind, part),
    }
}

/// Writes the one spelling of `value`.
pub(super) fn write(value: &ParameterValue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        ParameterValue::Int(number) => write!(f, "{number}"),
        ParameterValue::Version(number) => write!(f, "{number}"),
        ParameterValue::Text(text) => f.write_str(text),
        ParameterValue::Bool(truth) => f.write_str(bool_word(*truth)),
        ParameterValue::Uuid(bits) => {
            let hex = format!("{bits:032x}");
            let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            write!(f, "{a}-{b}-{c}-{d}-{e}")
        }
    }
}

/// The word for a truth value in a key.
pub(super) const fn bool_word(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

fn read_int(part: &str) -> Result<i64, String> {
    let digits = part.strip_prefix(['-', '+']).unwrap_or(part);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(String::new());
    }
    let number: i64 =
        part.parse().map_err(|_| format!("; an int is from {} to {}", i64::MIN, i64::MAX))?;
    if number.to_string() == part { Ok(number) } else { Err(format!("; it is written {number}")) }
}

fn read_version(part: &str) -> Result<u64, String> {
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("; a version has digits only".to_owned());
    }
    let number: u64 = part.parse().map_err(|_| format!("; a version is from 0 to {}", u64::MAX))?;
    if number.to_string() == part { Ok(number) } else { Err(format!("; it is written {number}")) }
}

fn read_text(part: &str) -> Result<String, String> {
    if part.is_empty() {
        return Err("; a text has at least one character".to_owned());
    }
    if part.chars().any(char::is_control) {
        return Err("; a text has no control characters".to_owned());
    }
    Ok(part.to_owned())
}

fn read_uuid(part: &str) -> Result<u128, String> {
    const HINT: &str = "; a uuid has 36 characters, like 0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4";
    let hyphenated = part.len() == UUID_CHARS
        && part.bytes().enumerate().all(|(at, byte)| {
            if UUID_HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        });
    if !hyphenated {
        return Err(HINT.to_owned());
    }
    if part.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("; it is written {}", part.to_ascii_lowercase()));
    }
    u128::from_str_radix(&part.replace('-', ""), 16).map_err(|_| HINT.to_owned())
}

fn read_bool(part: &str) -> Result<bool, String> {
    match part {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("; a bool is true or false".to_owned()),
    }
}
