//! A row of a key query becomes a key, and goes to whoever reads.

use std::borrow::Cow;

use larder_core::template::{Parameter, ParameterKind, ParameterValue};
use larder_core::{Error, ErrorKind, Key};
use tokio::sync::mpsc::Sender;

use super::{Query, WHAT};
use crate::answers::internal;
use crate::pool::Failure;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field<'r> {
    Null,
    Int(i64),
    Text(Cow<'r, str>),
    /// What no parameter is made of, in the database's word for it.
    Other(String),
}

/// Where keys go. It holds as many as one page at the most.
#[derive(Debug)]
pub(crate) struct Sink(pub(super) Sender<Key>);

impl Sink {
    /// Gives the key of a row, if there is one. Waits while the page is full.
    pub(crate) async fn give<'r>(
        &self,
        query: &Query,
        fields: impl Iterator<Item = Field<'r>>,
    ) -> Result<(), Failure> {
        let Some(key) = key(query, fields).map_err(Failure::Cut)? else { return Ok(()) };
        self.0.send(key).await.map_err(|_| internal("nobody reads the keys any more"))
    }
}

/// The key of a row whose columns hold `fields` in the order of the parameters.
fn key<'r>(query: &Query, fields: impl Iterator<Item = Field<'r>>) -> Result<Option<Key>, Error> {
    let values = query.key.parameters().iter().zip(fields).map(|(parameter, field)| {
        value(parameter, &field).map_err(|given| {
            let (Parameter { name, kind }, template) = (parameter, query.key.text());
            let message = format!(
                "{WHAT} has {given} in the column {name}, which is no {kind}, as {template} asks"
            );
            Error::new(ErrorKind::Loader, message)
        })
    });
    let Some(values) = values.collect::<Result<Option<Vec<_>>, _>>()? else { return Ok(None) };
    Ok(query.key.render(&values).ok().map(|key| Key::from(key.as_str())))
}

/// What the key holds for `parameter`; `None` where it can't. The error is what stands there.
fn value(parameter: &Parameter, field: &Field<'_>) -> Result<Option<ParameterValue>, String> {
    let value = match (parameter.kind, field) {
        (_, Field::Null) => return Ok(None),
        (ParameterKind::Int, Field::Int(number)) => Some(ParameterValue::Int(*number)),
        (ParameterKind::Int, Field::Text(text)) => text.parse().ok().map(ParameterValue::Int),
        (ParameterKind::Text, Field::Int(number)) => Some(ParameterValue::Text(number.to_string())),
        (ParameterKind::Text, Field::Text(text)) => Some(ParameterValue::Text((**text).into())),
        (ParameterKind::Uuid, Field::Text(text)) => uuid(text).map(ParameterValue::Uuid),
        (ParameterKind::Bool, Field::Int(number @ (0 | 1))) => {
            Some(ParameterValue::Bool(*number == 1))
        }
        (ParameterKind::Bool, Field::Text(text)) => text.parse().ok().map(ParameterValue::Bool),
        _ => None,
    };
    value.map(Some).ok_or_else(|| match field {
        Field::Null => "NULL".to_owned(),
        Field::Int(number) => number.to_string(),
        Field::Text(text) => format!("`{}`", text.escape_debug().take(64).collect::<String>()),
        Field::Other(what) => format!("a {what}"),
    })
}

/// 32 hexadecimal digits, with hyphens or without.
fn uuid(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    let is_one = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    is_one.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use larder_core::KeyTemplate;

    use super::*;

    fn made(template: &str, fields: &[Field<'_>]) -> Result<Option<String>, String> {
        let key_template = KeyTemplate::parse(template).unwrap();
        let query = Query { sql: String::new(), key: key_template, database: "shop".to_owned() };
        let text = |key: Key| String::from_utf8(key.as_bytes().to_vec()).unwrap();
        key(&query, fields.iter().cloned())
            .map(|key| key.map(text))
            .map_err(|error| error.to_string())
    }

    fn text(text: &str) -> Field<'_> {
        Field::Text(text.into())
    }

    #[test]
    fn a_row_is_the_key_that_holds_its_values() {
        const UUID: &str = "0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4";
        for (template, fields, key) in [
            ("t:{a:int}", vec![Field::Int(-7)], "t:-7"),
            ("t:{a:int}", vec![text("42")], "t:42"),
            ("t:{a:text}", vec![text("x y")], "t:x y"),
            ("t:{a:text}", vec![Field::Int(42)], "t:42"),
            ("t:{a:bool}", vec![Field::Int(1)], "t:true"),
            ("t:{a:bool}", vec![text("false")], "t:false"),
            ("t:{a:text}/{b:int}", vec![text("x"), Field::Int(1)], "t:x/1"),
        ] {
            assert_eq!(made(template, &fields), Ok(Some(key.to_owned())));
        }
        for spelt in [UUID.to_owned(), UUID.to_uppercase(), UUID.replace('-', "")] {
            assert_eq!(made("t:{a:uuid}", &[text(&spelt)]), Ok(Some(format!("t:{UUID}"))));
        }
    }

    #[test]
    fn what_no_key_can_hold_is_left_out() {
        let long = "x".repeat(2000);
        for (template, fields) in [
            ("t:{a:int}", vec![Field::Null]),
            ("t:{a:text}", vec![text("")]),
            ("t:{a:text}", vec![text("line\nbreak")]),
            ("t:{a:text}", vec![text(&long)]),
            ("t:{a:text}/{b:int}", vec![text("x/y"), Field::Int(1)]),
        ] {
            assert_eq!(made(template, &fields), Ok(None), "{fields:?}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_an_error_that_shows_it() {
        for (template, field, shown) in [
            ("t:{a:int}", text("x1"), "`x1` in the column a, which is no int"),
            ("t:{a:int}", text("99999999999999999999"), "which is no int"),
            ("t:{a:int}", Field::Other("REAL".to_owned()), "a REAL in the column a"),
            ("t:{a:uuid}", text("0b6c"), "which is no uuid"),
            ("t:{a:uuid}", Field::Int(1), "1 in the column a"),
            ("t:{a:bool}", Field::Int(2), "2 in the column a, which is no bool"),
        ] {
            let message = made(template, &[field]).unwrap_err();
            assert!(message.contains(shown), "{message}");
        }
    }
}
