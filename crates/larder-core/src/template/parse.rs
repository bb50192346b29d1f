//! From the text of a template to its segments, or to an error that says what to write.
//!
//! Whatever could make a key match in two ways is refused here, so that matching never has to
//! search.

use super::canonical::UUID_CHARS;
use super::{KeyTemplate, PARAMETERS_MAX, Parameter, ParameterKind, Segment, nearest, shown};
use crate::key::KEY_BYTES_MAX;
use crate::{Error, ErrorKind, Result};

/// The longest name of a parameter, in bytes: what Postgres allows a column.
const NAME_BYTES_MAX: usize = 63;

/// Words that people use for the types of parameters.
const SYNONYMS: [(&str, ParameterKind); 16] = [
    ("integer", ParameterKind::Int),
    ("bigint", ParameterKind::Int),
    ("int4", ParameterKind::Int),
    ("int8", ParameterKind::Int),
    ("i32", ParameterKind::Int),
    ("i64", ParameterKind::Int),
    ("u64", ParameterKind::Int),
    ("number", ParameterKind::Int),
    ("string", ParameterKind::Text),
    ("str", ParameterKind::Text),
    ("varchar", ParameterKind::Text),
    ("char", ParameterKind::Text),
    ("guid", ParameterKind::Uuid),
    ("boolean", ParameterKind::Bool),
    ("revision", ParameterKind::Version),
    ("rev", ParameterKind::Version),
];

/// The template that `text` spells.
pub(super) fn parse(text: &str) -> Result<KeyTemplate> {
    let fault = |what: String| {
        Error::new(ErrorKind::Config, format!("the key template `{}` {what}", shown(text)))
    };
    let (segments, parameters) = split(text).map_err(fault)?;
    let template = KeyTemplate { text: text.to_owned(), segments, parameters };
    match check(&template) {
        Some(what) => Err(fault(what)),
        None => Ok(template),
    }
}

/// Takes the text apart; on failure the rest of a sentence that begins with the template.
fn split(text: &str) -> Result<(Vec<Segment>, Vec<Parameter>), String> {
    let mut segments = Vec::new();
    let mut parameters: Vec<Parameter> = Vec::new();
    for stretch in stretches(text)? {
        let inside = match stretch {
            Stretch::Literal(literal) => {
                segments.push(Segment::Literal(literal));
                continue;
            }
            Stretch::Hole(inside) => inside,
        };
        if let (Some(Segment::Parameter(_)), Some(previous)) = (segments.last(), parameters.last())
        {
            return Err(format!(
                "has nothing between {{{}}} and {{{inside}}}: put a character between them",
                previous.name
            ));
        }
        let parameter = read_parameter(inside)?;
        if parameters.iter().any(|known| known.name == parameter.name) {
            return Err(format!("has two parameters named {}: rename one", parameter.name));
        }
        segments.push(Segment::Parameter(parameters.len()));
        parameters.push(parameter);
    }
    Ok((segments, parameters))
}

/// A piece of text with holes in braces.
pub(super) enum Stretch<'t> {
    /// Never empty, and no two in a row.
    Literal(String),
    /// What stands between the braces.
    Hole(&'t str),
}

/// Takes text with holes apart; on failure the rest of a sentence that begins with the text.
pub(super) fn stretches(text: &str) -> Result<Vec<Stretch<'_>>, String> {
    let mut stretches = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push(first);
            rest = &rest[2..];
        } else if first == '}' {
            return Err("has a } without a {: write }} for the brace itself".to_owned());
        } else if first == '{' {
            let end = rest
                .find('}')
                .ok_or("has a { without a }: close it, or write {{ for the brace itself")?;
            if !literal.is_empty() {
                stretches.push(Stretch::Literal(std::mem::take(&mut literal)));
            }
            stretches.push(Stretch::Hole(&rest[1..end]));
            rest = &rest[end + 1..];
        } else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        stretches.push(Stretch::Literal(literal));
    }
    Ok(stretches)
}

/// Reads `name:type`.
fn read_parameter(inside: &str) -> Result<Parameter, String> {
    let Some((name, kind)) = inside.split_once(':') else {
        let name = if inside.is_empty() { "id" } else { inside };
        return Err(format!(
            "has a parameter without a type: write {{{name}:int}} ({})",
            kinds_in_words()
        ));
    };
    if !is_name(name) {
        return Err(format!(
            "has a parameter named `{}`: a name is a letter or _, then letters, digits and _, at \
             most {NAME_BYTES_MAX} of them",
            shown(name)
        ));
    }
    match ParameterKind::ALL.into_iter().find(|known| known.as_str() == kind) {
        Some(kind) => Ok(Parameter { name: name.to_owned(), kind }),
        None => Err(unknown_kind(name, kind)),
    }
}

/// Whether a hole may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && name.len() <= NAME_BYTES_MAX
}

fn unknown_kind(name: &str, kind: &str) -> String {
    let synonym = SYNONYMS.iter().find(|(word, _)| word.eq_ignore_ascii_case(kind));
    let meant = synonym
        .map(|(_, kind)| kind.as_str())
        .or_else(|| nearest(kind, ParameterKind::ALL.map(ParameterKind::as_str)));
    let cure = match meant {
        Some(meant) => format!("did you mean {{{name}:{meant}}}?"),
        None => kinds_in_words(),
    };
    format!("gives {name} the unknown type `{}`: {cure}", shown(kind))
}

fn kinds_in_words() -> String {
    "the types are int, text, uuid, bool and version".to_owned()
}

/// What is wrong with a template as a whole, as the rest of a sentence that begins with it.
fn check(template: &KeyTemplate) -> Option<String> {
    if template.text.chars().any(char::is_control) {
        return Some("holds a control character, which no key may: remove it".to_owned());
    }
    if template.prefix().is_empty() {
        let what = "has no text before its first parameter: begin it with a name of its own, \
                    like user:{id:int}, which claims that namespace";
        return Some(what.to_owned());
    }
    if template.parameters.len() > PARAMETERS_MAX {
        return Some(format!("has more than {PARAMETERS_MAX} parameters"));
    }
    let shortest: usize = template.segments.iter().map(|part| template.bytes_min(part)).sum();
    if shortest > KEY_BYTES_MAX {
        return Some(format!("asks for keys longer than {KEY_BYTES_MAX} bytes: shorten it"));
    }
    for (at, segment) in template.segments.iter().enumerate() {
        if let Segment::Parameter(index) = segment
            && let Parameter { name, kind } = &template.parameters[*index]
            && matches!(kind, ParameterKind::Int | ParameterKind::Version)
            && template.stop(at).is_some_and(|stop| stop.is_ascii_digit())
        {
            return Some(format!(
                "has a digit right after {{{name}:{kind}}}, which could belong to either: put \
                 another character between them"
            ));
        }
    }
    None
}

impl KeyTemplate {
    fn bytes_min(&self, segment: &Segment) -> usize {
        match segment {
            Segment::Literal(literal) => literal.len(),
            Segment::Parameter(index) => match self.parameters[*index].kind {
                ParameterKind::Int | ParameterKind::Text | ParameterKind::Version => 1,
                ParameterKind::Uuid => UUID_CHARS,
                ParameterKind::Bool => "true".len(),
            },
        }
    }
}
