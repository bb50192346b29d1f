//! Marks, as they are written in their hash.
//!
//! ```text
//! i                        the incarnation
//! c                        the last clock
//! d or s, t, bucket        what was struck and when: a tag, to drop or to mark stale
//! d or s, k, name          a cache
//! d or s, a                everything
//! p, name of a cache       its prefixes, at most 64, one behind the other:
//!                          d or s, clock, ':', length, ':', prefix
//! ```
//!
//! The scripts of `larder-resp` that look at the tags of plain keys read it, too.
//!
//! All of it is one key: where the server evicts it nothing is left, and a new incarnation begins.

use bytes::Bytes;
use larder_core::Result;
use larder_core::shared::{Invalidation, Mark, MarkClock, Marked, Marks};
use redis::Value;

use crate::errors::odd;
use crate::reply;

/// The letter of a strike.
pub(crate) fn letter(strike: Invalidation) -> Bytes {
    Bytes::from_static(match strike {
        Invalidation::Drop => b"d",
        Invalidation::MarkStale => b"s",
    })
}

/// A mark as arguments of the script: kind, name, prefix.
pub(crate) fn arguments(mark: &Mark) -> [Bytes; 3] {
    let [kind, name, prefix] = match mark {
        Mark::Tag(bucket) => {
            return [Bytes::from_static(b"t"), bucket.to_string().into(), Bytes::new()];
        }
        Mark::Cache(cache) => ["k", cache, ""],
        Mark::Prefix { cache, prefix } => ["p", cache, prefix],
        Mark::All => ["a", "", ""],
    };
    [kind, name, prefix].map(|text| Bytes::copy_from_slice(text.as_bytes()))
}

/// What setting marks returned.
pub(crate) fn read_marked(value: Value) -> Result<Marked> {
    let mut values = reply::list(value)?.into_iter();
    let mut next = || values.next().unwrap_or_default();
    let clock = MarkClock(reply::number(next())?);
    let incarnation = reply::run(next())?;
    let position = match [next(), next()] {
        [Value::Nil, _] => None,
        place => Some(reply::position(place)?),
    };
    Ok(Marked { clock, incarnation, position })
}

/// Every mark.
pub(crate) fn read(value: Value) -> Result<Marks> {
    let mut marks = Marks::default();
    let mut has_incarnation = false;
    for (field, value) in reply::pairs(value)? {
        let field = reply::text(field)?;
        match field.as_str() {
            "i" => {
                marks.incarnation = reply::run(value)?;
                has_incarnation = true;
            }
            "c" => marks.clock = MarkClock(reply::number(value)?),
            _ => match field.strip_prefix('p') {
                Some(cache) => read_prefixes(cache, &reply::text(value)?, &mut marks.marks)?,
                None => {
                    let (strike, mark) = read_field(&field)?;
                    marks.marks.push((mark, strike, MarkClock(reply::number(value)?)));
                }
            },
        }
    }
    if has_incarnation { Ok(marks) } else { Err(odd("incarnation of the marks")) }
}

fn read_field(field: &str) -> Result<(Invalidation, Mark)> {
    let mut letters = field.chars();
    let strike = read_strike(letters.next())?;
    let kind = letters.next();
    let name = letters.as_str();
    let mark = match kind {
        Some('t') => Mark::Tag(name.parse().map_err(|_| odd("tag"))?),
        Some('k') => Mark::Cache(name.into()),
        Some('a') => Mark::All,
        _ => return Err(odd("mark")),
    };
    Ok((strike, mark))
}

fn read_strike(letter: Option<char>) -> Result<Invalidation> {
    match letter {
        Some('d') => Ok(Invalidation::Drop),
        Some('s') => Ok(Invalidation::MarkStale),
        _ => Err(odd("strike")),
    }
}

fn read_prefixes(
    cache: &str,
    mut rest: &str,
    marks: &mut Vec<(Mark, Invalidation, MarkClock)>,
) -> Result<()> {
    while !rest.is_empty() {
        let strike = read_strike(rest.chars().next())?;
        let mut parts = rest[1..].splitn(3, ':');
        let mut next = || parts.next().ok_or_else(|| odd("prefix"));
        let clock = next()?.parse().map_err(|_| odd("clock"))?;
        let length: usize = next()?.parse().map_err(|_| odd("length"))?;
        let (prefix, after) = next()?.split_at_checked(length).ok_or_else(|| odd("prefix"))?;
        let mark = Mark::Prefix { cache: cache.into(), prefix: prefix.into() };
        marks.push((mark, strike, MarkClock(clock)));
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn what_is_written_is_read() {
        let fields = ["i", "5eed0001", "c", "90", "dt65535", "7", "skuser", "8", "da", "9"];
        let mut fields: Vec<Value> = fields.map(bulk).to_vec();
        fields.extend([bulk("puser"), bulk("d10:3:a:bs11:0:")]);
        let marks = read(Value::Array(fields)).unwrap();
        assert_eq!((marks.incarnation, marks.clock), (0x5eed_0001, MarkClock(90)));
        let prefix = |prefix: &str| Mark::Prefix { cache: "user".into(), prefix: prefix.into() };
        let expected = [
            (Mark::Tag(65_535), Invalidation::Drop, MarkClock(7)),
            (Mark::Cache("user".into()), Invalidation::MarkStale, MarkClock(8)),
            (Mark::All, Invalidation::Drop, MarkClock(9)),
            (prefix("a:b"), Invalidation::Drop, MarkClock(10)),
            (prefix(""), Invalidation::MarkStale, MarkClock(11)),
        ];
        assert_eq!(marks.marks, expected);
    }

    proptest! {
        #[test]
        fn any_fields_are_read_without_a_panic(
            field in "[dsptkaic0-9é:]{0,6}",
            value in "[dsé:0-9]{0,12}",
        ) {
            let _ = read(Value::Array(vec![bulk(&field), bulk(&value)]));
        }
    }
}
