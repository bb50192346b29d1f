//! `${NAME}` in a text value: secrets come from the environment.
//!
//! Only `${NAME}` is special, so that passwords and SQL keep their dollars: `$`, `$1` and `$$`
//! stand for themselves, and `$${` is a literal `${`. What the environment gives is inserted
//! after the file was parsed and is not looked at again: it can't become another key, and a
//! `${` in it means nothing.

/// Looks up a variable.
pub(super) type Lookup<'e> = &'e dyn Fn(&str) -> Option<String>;

/// A text in which every `${NAME}` is replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// How many variables were used.
    pub(super) variables: usize,
}

/// Why a text can't be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// These variables are not set.
    Unset(Vec<String>),
    /// A `${` that no name and `}` follows.
    Malformed,
}

/// Replaces every `${NAME}` in `written`.
pub(super) fn expand(written: &str, lookup: Lookup<'_>) -> Result<Expanded, Fault> {
    let mut text = String::with_capacity(written.len());
    let (mut variables, mut unset) = (0, Vec::new());
    let mut rest = written;
    while let Some(at) = rest.find("${") {
        let (before, reference) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            text.push_str(before);
            text.push_str("${");
            rest = reference;
            continue;
        }
        text.push_str(before);
        let (name, after) = reference.split_once('}').ok_or(Fault::Malformed)?;
        if !is_name(name) {
            return Err(Fault::Malformed);
        }
        variables += 1;
        match lookup(name) {
            Some(value) => text.push_str(&value),
            None => unset.push(name.to_owned()),
        }
        rest = after;
    }
    text.push_str(rest);
    if unset.is_empty() { Ok(Expanded { text, variables }) } else { Err(Fault::Unset(unset)) }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::{Fault, expand};

    #[test]
    fn only_a_name_in_braces_is_special() {
        let lookup = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "_b2" => Some("${A}".to_owned()),
            _ => None,
        };
        for (written, text, variables) in [
            ("", "", 0),
            ("plain", "plain", 0),
            ("${A}", "one", 1),
            ("x${A}y${A}z", "xoneyonez", 2),
            ("${_b2}", "${A}", 1),
            ("$A $1 $$ $$body$$ cash$", "$A $1 $$ $$body$$ cash$", 0),
            ("$${A}", "${A}", 0),
            ("$$${A}", "$${A}", 0),
        ] {
            let expanded = expand(written, &lookup).unwrap();
            assert_eq!((&expanded.text[..], expanded.variables), (text, variables), "{written}");
        }
        for written in ["${", "${}", "${A", "${1}", "${A-b}", "${A:-x}", "${ A }"] {
            assert_eq!(expand(written, &lookup), Err(Fault::Malformed), "{written}");
        }
    }

    #[test]
    fn every_unset_variable_is_named() {
        let fault = expand("${X}:${Y}", &|_| None).unwrap_err();
        assert_eq!(fault, Fault::Unset(vec!["X".to_owned(), "Y".to_owned()]));
    }
}
