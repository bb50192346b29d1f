//! A row as text, in the form in which Postgres writes a record: `(7,"Ada L.",)`.
//!
//! Source: the PostgreSQL documentation, "Composite Type Input and Output Syntax". Each field is
//! the database's own text of the value; a field that is empty is null, and one that is quoted has
//! its quotes and backslashes doubled. Triggers of other databases write the same form.

use larder_core::change::Field;

/// A text with more bytes isn't told: no key is longer, and triggers may have cut it.
pub(crate) const TEXT_BYTES_MAX: usize = 1_024;

/// What stands for a value that has no text. Postgres never writes it: what has a backslash in it
/// is quoted.
const NOT_SAID: &str = "\\?";

/// The fields of a record; `None` where it isn't one.
pub(super) fn fields(record: &str) -> Option<Vec<Field>> {
    let mut rest = record.strip_prefix('(')?;
    let mut fields = Vec::new();
    loop {
        let field;
        (field, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (text, rest) = unquoted(quoted)?;
                (said(text), rest)
            }
            None => {
                let (text, rest) = rest.split_at(rest.find([',', ')'])?);
                let field = match text {
                    "" => Field::Null,
                    NOT_SAID => Field::Unknown,
                    text => said(text.to_owned()),
                };
                (field, rest)
            }
        };
        fields.push(field);
        match rest.as_bytes() {
            [b')'] => return Some(fields),
            [b',', ..] => rest = &rest[1..],
            _ => return None,
        }
    }
}

/// What stands before the closing quote, and what comes behind it.
fn unquoted(mut rest: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    loop {
        let at = rest.find(['"', '\\'])?;
        text.push_str(&rest[..at]);
        let doubled = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match rest.as_bytes().first() {
            Some(&next) if next == doubled => {
                text.push(char::from(doubled));
                rest = &rest[1..];
            }
            _ if doubled == b'"' => return Some((text, rest)),
            _ => return None,
        }
    }
}

fn said(text: String) -> Field {
    if text.len() > TEXT_BYTES_MAX { Field::Unknown } else { Field::Text(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Field {
        Field::Text(text.to_owned().into())
    }

    #[test]
    fn every_field_is_what_it_was() {
        for (record, expected) in [
            ("(7)", vec![text("7")]),
            ("()", vec![Field::Null]),
            ("(,)", vec![Field::Null, Field::Null]),
            ("(\"\",)", vec![text(""), Field::Null]),
            ("(7,\"Ada L.\",t)", vec![text("7"), text("Ada L."), text("t")]),
            (r#"("a ""b"" \\c","(x,y)")"#, vec![text(r#"a "b" \c"#), text("(x,y)")]),
            ("(\"é,ü\n\",ß)", vec![text("é,ü\n"), text("ß")]),
            (r#"(\?,"\\?",?)"#, vec![Field::Unknown, text("\\?"), text("?")]),
        ] {
            assert_eq!(fields(record), Some(expected), "{record}");
        }
    }

    #[test]
    fn what_is_longer_than_a_key_is_not_said() {
        let (longest, longer) = ("x".repeat(TEXT_BYTES_MAX), "x".repeat(TEXT_BYTES_MAX + 1));
        let told = fields(&format!("({longest},{longer},\"{longer}\")"));
        assert_eq!(told, Some(vec![text(&longest), Field::Unknown, Field::Unknown]));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for record in ["", "(", ")", "7", "(7", "(7)x", "(7,", "(\"7)", "(\"7\"x)", "(\"\\x\")"] {
            assert_eq!(fields(record), None, "{record}");
        }
    }
}
