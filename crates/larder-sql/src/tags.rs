//! The tags of a load: what the entry of a key depends on, from its key and its rows.
//!
//! A name in a tag is a parameter of the key or else a column of the result. A tag of parameters
//! alone is there whatever the database answers, an absence included; one of columns is there
//! once for each row that has them all, and a `NULL` makes none. How a database gives the text
//! of a column is not known here.

use std::collections::HashSet;

use larder_core::template::{Parameter, ParameterValue, TagPiece, TagTemplate, nearest};
use larder_core::terms::{TAG_BYTES_MAX, TAGS_MAX};
use larder_core::{Error, ErrorKind, Result};

/// The tags of a load against its key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags {
    templates: Vec<Vec<Piece>>,
    /// The columns that they name, each once.
    columns: Vec<Named>,
}

/// A column that a tag names.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    /// The first tag that names it, as it was written.
    tag: String,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// An index into the parameters of the key.
    Parameter(usize),
    /// An index into [`Tags::columns`].
    Column(usize),
}

impl Tags {
    /// The tags that `templates` make for keys with these parameters.
    pub(crate) fn new(templates: &[TagTemplate], parameters: &[Parameter]) -> Self {
        let mut columns: Vec<Named> = Vec::new();
        let mut resolve = |template: &TagTemplate| {
            let mut piece = |piece: &TagPiece| match piece {
                TagPiece::Text(text) => Piece::Text(text.clone()),
                TagPiece::Name(name) => {
                    match parameters.iter().position(|known| known.name == *name) {
                        Some(at) => Piece::Parameter(at),
                        None => Piece::Column(column(&mut columns, name, template)),
                    }
                }
            };
            template.pieces().iter().map(&mut piece).collect::<Vec<_>>()
        };
        let templates = templates.iter().map(&mut resolve).collect();
        Self { templates, columns }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// The columns that they name.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Where the columns that the tags name stand among those of the result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if one isn't there, saying what to write instead.
    pub(crate) fn find(&self, names: &[&str], parameters: &[Parameter]) -> Result<Vec<usize>> {
        let find = |Named { name, tag }: &Named| {
            names.iter().position(|known| known == name).ok_or_else(|| {
                let keys = parameters.iter().map(|parameter| parameter.name.as_str());
                let cure = match nearest(name, names.iter().copied().chain(keys)) {
                    Some(meant) => format!("did you mean {{{meant}}}?"),
                    None => format!("select it, or name one of {}", names.join(", ")),
                };
                let what = format!(
                    "the tag `{tag}` names {{{name}}}, which is neither a parameter of the key \
                     nor a column of load: {cure}"
                );
                Error::new(ErrorKind::Config, what)
            })
        };
        self.columns.iter().map(find).collect()
    }

    /// The tags that a key has whatever its rows are.
    pub(crate) fn of_key(&self, values: &[ParameterValue], into: &mut Collected) -> Result<()> {
        let is_of_key =
            |pieces: &&Vec<Piece>| !pieces.iter().any(|piece| matches!(piece, Piece::Column(_)));
        self.templates
            .iter()
            .filter(is_of_key)
            .try_for_each(|pieces| render(pieces, values, &[]).map_or(Ok(()), |tag| into.add(tag)))
    }

    /// The tags that a row adds, whose [`find`](Self::find)-ed columns have these texts; `None`
    /// is `NULL`.
    pub(crate) fn of_row(
        &self,
        values: &[ParameterValue],
        columns: &[Option<String>],
        into: &mut Collected,
    ) -> Result<()> {
        let is_of_row =
            |pieces: &&Vec<Piece>| pieces.iter().any(|piece| matches!(piece, Piece::Column(_)));
        self.templates.iter().filter(is_of_row).try_for_each(|pieces| {
            render(pieces, values, columns).map_or(Ok(()), |tag| into.add(tag))
        })
    }
}

/// The index of a column among those that are named already, or of a new one.
fn column(columns: &mut Vec<Named>, name: &str, tag: &TagTemplate) -> usize {
    columns.iter().position(|known| known.name == name).unwrap_or_else(|| {
        columns.push(Named { name: name.to_owned(), tag: tag.text().to_owned() });
        columns.len() - 1
    })
}

/// The tag, if everything that it names is there.
fn render(
    pieces: &[Piece],
    values: &[ParameterValue],
    columns: &[Option<String>],
) -> Option<String> {
    let mut tag = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => tag.push_str(text),
            Piece::Parameter(at) => tag.push_str(&values.get(*at)?.to_string()),
            Piece::Column(at) => tag.push_str(columns.get(*at)?.as_deref()?),
        }
    }
    Some(tag)
}

/// The tags of one key so far, each once, within the bounds of what an entry may have.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    tags: HashSet<Box<str>>,
    bytes: usize,
}

impl Collected {
    /// How many bytes they have.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn into_tags(self) -> Vec<Box<str>> {
        self.tags.into_iter().collect()
    }

    /// # Errors
    ///
    /// One tag too many, or one that is too long.
    fn add(&mut self, tag: String) -> Result<()> {
        if tag.len() > TAG_BYTES_MAX {
            let (bytes, start) = (tag.len(), tag.chars().take(32).collect::<String>());
            return Err(Error::new(
                ErrorKind::Loader,
                format!(
                    "the tag that begins with `{}` has {bytes} bytes or more, and {TAG_BYTES_MAX} \
                     are the most: name a shorter column",
                    start.escape_debug()
                ),
            ));
        }
        if self.tags.contains(tag.as_str()) {
            return Ok(());
        }
        if self.tags.len() == TAGS_MAX {
            return Err(Error::new(
                ErrorKind::Loader,
                format!(
                    "the rows of one key have more than {TAGS_MAX} tags together, which are the \
                     most that an entry may have: tag what the rows have in common"
                ),
            ));
        }
        self.bytes += tag.len();
        self.tags.insert(tag.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use larder_core::KeyTemplate;

    use super::*;

    fn tags(texts: &[&str]) -> (Tags, KeyTemplate) {
        let key = KeyTemplate::parse("order:{shop:text}:{no:int}").unwrap();
        let templates: Vec<_> =
            texts.iter().map(|text| TagTemplate::parse(text).unwrap()).collect();
        (Tags::new(&templates, key.parameters()), key)
    }

    fn sorted(collected: Collected) -> Vec<Box<str>> {
        let mut tags = collected.into_tags();
        tags.sort();
        tags
    }

    #[test]
    fn a_parameter_of_the_key_comes_before_a_column_of_its_name() {
        let (tags, key) = tags(&["shop:{shop}", "orders", "{no}/{who}"]);
        let values = key.matches("order:berlin:-7").unwrap();
        let mut collected = Collected::default();
        tags.of_key(&values, &mut collected).unwrap();
        tags.of_row(&values, &[Some("ada".into())], &mut collected).unwrap();
        tags.of_row(&values, &[None], &mut collected).unwrap();
        tags.of_row(&values, &[Some("ada".into())], &mut collected).unwrap();
        assert_eq!(sorted(collected), ["-7/ada", "orders", "shop:berlin"].map(Box::from));
        assert_eq!(tags.find(&["shop", "who"], key.parameters()).unwrap(), [1]);
    }

    #[test]
    fn a_name_that_is_nowhere_is_told_with_the_nearest_one() {
        let (tags, key) = tags(&["t:{tenent_id}"]);
        let error = tags.find(&["id", "tenant_id"], key.parameters()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("the tag `t:{tenent_id}` names {tenent_id}"), "{error}");
        assert!(error.to_string().contains("did you mean {tenant_id}?"), "{error}");
        let error = tags.find(&["a", "b"], key.parameters()).unwrap_err();
        assert!(error.to_string().contains("select it, or name one of a, b"), "{error}");
    }

    #[test]
    fn the_last_tag_that_fits_is_taken_and_one_more_is_not() {
        let mut collected = Collected::default();
        for at in 0..TAGS_MAX {
            collected.add(format!("{at}")).unwrap();
        }
        collected.add("0".to_owned()).unwrap();
        let error = collected.add("one more".to_owned()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert!(error.to_string().contains("more than 128 tags"), "{error}");

        let mut collected = Collected::default();
        collected.add("x".repeat(TAG_BYTES_MAX)).unwrap();
        assert_eq!(collected.len(), TAG_BYTES_MAX);
        let error = collected.add("x".repeat(TAG_BYTES_MAX + 1)).unwrap_err();
        assert!(error.to_string().contains("1025 bytes"), "{error}");
    }
}
