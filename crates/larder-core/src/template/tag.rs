//! What the tags of a cache look like: `tenant:{tenant_id}`.
//!
//! A tag is text with names in braces, for each of which a loaded row has a text. Whose names they
//! are (the key's parameters, the result's columns) is not known here.

use std::fmt;

use super::parse::{Stretch, is_name, stretches};
use super::shown;
use crate::terms::TAG_BYTES_MAX;
use crate::{Error, ErrorKind, Result};

/// What the tags of a cache look like.
///
/// `{{` and `}}` are the braces themselves.
///
/// ```
/// use larder_core::template::TagTemplate;
///
/// let tenant = TagTemplate::parse("tenant:{tenant_id}")?;
/// assert_eq!(tenant.names().collect::<Vec<_>>(), ["tenant_id"]);
/// assert!(TagTemplate::parse("tenant:{tenant_id:int}").is_err());
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagTemplate {
    text: String,
    pieces: Vec<TagPiece>,
}

/// A stretch of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPiece {
    /// Itself.
    Text(String),
    /// What has this name.
    Name(String),
}

impl TagTemplate {
    /// The template that `text` spells.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], saying what to write instead.
    pub fn parse(text: &str) -> Result<Self> {
        let fault = |what: String| {
            Error::new(ErrorKind::Config, format!("the tag `{}` {what}", shown(text)))
        };
        if text.is_empty() {
            return Err(fault("is empty: write a name, for instance users".to_owned()));
        }
        if text.chars().any(char::is_control) {
            return Err(fault("holds a control character: remove it".to_owned()));
        }
        if text.len() > TAG_BYTES_MAX {
            return Err(fault(format!("is longer than {TAG_BYTES_MAX} bytes: shorten it")));
        }
        let stretches = stretches(text).map_err(fault)?;
        let pieces = stretches.into_iter().map(piece).collect::<Result<_, _>>().map_err(fault)?;
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is made of.
    #[must_use]
    pub fn pieces(&self) -> &[TagPiece] {
        &self.pieces
    }

    /// The names in it, in its order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            TagPiece::Text(_) => None,
            TagPiece::Name(name) => Some(name.as_str()),
        })
    }
}

impl fmt::Display for TagTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// On failure the rest of a sentence that begins with the template.
fn piece(stretch: Stretch<'_>) -> Result<TagPiece, String> {
    match stretch {
        Stretch::Literal(literal) => Ok(TagPiece::Text(literal)),
        Stretch::Hole(name) if is_name(name) => Ok(TagPiece::Name(name.to_owned())),
        Stretch::Hole(name) => Err(match name.split_once(':') {
            Some((name, _)) if is_name(name) => {
                format!("gives {name} a type, which it has already: write {{{name}}}")
            }
            _ => format!(
                "names `{}`: name a parameter of the key or a column, whose name is a letter or \
                 _, then letters, digits and _ (rename a column with AS)",
                shown(name)
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_text_with_names() {
        let tag = TagTemplate::parse("a{{{b}{c}:d}}").unwrap();
        let (text, name) =
            (|text: &str| TagPiece::Text(text.into()), |name: &str| TagPiece::Name(name.into()));
        assert_eq!(tag.pieces(), [text("a{"), name("b"), name("c"), text(":d}")]);
        assert_eq!(tag.names().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(TagTemplate::parse("users").unwrap().pieces(), [text("users")]);
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        let long = "x".repeat(TAG_BYTES_MAX + 1);
        for (text, cure) in [
            ("", "write a name"),
            ("a\n", "remove it"),
            ("t:{id:int}", "write {id}"),
            ("t:{}", "name a parameter of the key or a column"),
            ("t:{a b}", "rename a column with AS"),
            ("t:{a", "close it, or write {{"),
            ("t:a}", "write }} for the brace itself"),
            (&long, "shorten it"),
        ] {
            let error = TagTemplate::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(cure), "{text:?}: {error}");
        }
        assert!(TagTemplate::parse(&long[1..]).is_ok());
    }
}
