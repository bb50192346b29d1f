//! Where the number stands that is counted in the values of a cache.

use std::collections::BTreeMap;

use larder_core::{KeyTemplate, Value};
use serde_json::value::RawValue;

use crate::command::integer;

/// The number in the values of a cache: the whole value, or a column of a JSON object. Which one,
/// is said; otherwise it is the only one beside those that the key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    column: Option<Box<str>>,
    of_key: Box<[Box<str>]>,
}

impl Counter {
    /// The number in the values of keys that look like this, in this column.
    pub(crate) fn new(key: &KeyTemplate, column: Option<&str>) -> Self {
        let of_key = key.parameters().iter().map(|one| one.name.as_str().into()).collect();
        Self { column: column.map(Into::into), of_key }
    }

    /// The number; `None` where there is none, where it isn't whole or takes more than 64 bits, and
    /// where nobody says which one of several it is.
    pub(crate) fn number(&self, value: &Value) -> Option<i64> {
        if let Some(whole) = integer(&value.bytes) {
            return Some(whole);
        }
        let columns: BTreeMap<String, &RawValue> = serde_json::from_slice(&value.bytes).ok()?;
        let column = match &self.column {
            Some(name) => columns.get(&**name)?,
            None => {
                let of_key = |name: &String| self.of_key.iter().any(|one| **one == **name);
                let mut others = columns.iter().filter(|(name, _)| !of_key(name));
                match (others.next(), others.next()) {
                    (Some((_, only)), None) => only,
                    _ => return None,
                }
            }
        };
        integer(column.get().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, column: Option<&str>, value: &str, expected: Option<i64>) {
        let counter = Counter::new(&KeyTemplate::parse(template).unwrap(), column);
        assert_eq!(counter.number(&Value::json(value.to_owned())), expected, "{value}");
    }

    #[test]
    fn the_number_is_the_value_or_its_only_column_beside_the_key_or_the_one_that_is_named() {
        let (one, two) = ("a:{id:int}", "a:{id:int}:{lang:text}");
        for (value, expected) in [
            ("7", Some(7)),
            ("-7", Some(-7)),
            (r#"{"n": -7}"#, Some(-7)),
            (r#" {"id":1,"n" : 7 } "#, Some(7)),
            (r#"{"n":0,"id":1}"#, Some(0)),
            (r#"{"m":7,"n":8}"#, None),
            (r#"{"id":7}"#, None),
            (r#"{"id":7,"n":null}"#, None),
            (r#"{"id":7,"n":"8"}"#, None),
            (r#"{"id":7,"n":8.0}"#, None),
            (r#"{"id":7,"n":8e2}"#, None),
            (r#"{"id":7,"n":9223372036854775808}"#, None),
            (r#"{"id":7,"n":[8]}"#, None),
            (r#"{"id":7,"n":8"#, None),
            ("[7]", None),
            ("{}", None),
            ("", None),
            ("seven", None),
            (" 7", None),
            ("9223372036854775808", None),
        ] {
            check(one, None, value, expected);
        }
        check(two, None, r#"{"id":7,"lang":"de","n":8}"#, Some(8));
        check(one, None, r#"{"id":7,"lang":"de","n":8}"#, None);
        check(one, Some("n"), r#"{"id":7,"m":6,"n":8}"#, Some(8));
        check(one, Some("id"), r#"{"id":7,"m":6,"n":8}"#, Some(7));
        check(one, Some("no"), r#"{"id":7,"n":8}"#, None);
        check(one, Some("n"), "7", Some(7));
        check(one, Some("ä\""), r#"{"\u00e4\"":7,"n":8}"#, Some(7));
    }
}
