//! From text to sections: which options are written where, and what is written that isn't one.
//!
//! This file checks names and shapes against the table of options. What the values mean is asked
//! one option at a time, by [`Scope`](super::scope::Scope).

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::findings::Findings;
use super::options::{About, Heads, SECTIONS, Section};
use super::text::Span;
use super::unknown;

/// All sections of a file, in its order.
#[derive(Debug)]
pub(super) struct Document {
    sections: Vec<Written>,
}

/// One section as it was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) section: &'static Section,
    /// `NAME` of `[cache.NAME]` and `[cache.NAME.warm]`; the section's own name where there is only
    /// one.
    pub(super) name: String,
    /// Where its name stands; `None` when the section wasn't written.
    pub(super) at: Option<Span>,
    entries: BTreeMap<&'static str, Entry>,
}

/// An option as it was written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Span,
    pub(super) value: Span,
    pub(super) raw: Raw,
}

/// A value before anybody asked what it means.
#[derive(Debug)]
pub(super) enum Raw {
    Text(String),
    /// In decimal.
    Integer(String),
    /// As it was written.
    Float(String),
    Flag(bool),
    /// Each with the key of the whole.
    List(Vec<Entry>),
    /// Of a type that no option has.
    Other,
}

impl Document {
    /// Sorts what stands in `root` by the table of options; everything else is a finding.
    pub(super) fn read(root: &DeTable<'_>, findings: &mut Findings<'_>) -> Self {
        let mut sections: Vec<Written> = SECTIONS
            .into_iter()
            .filter(|section| section.heads == Heads::One && !root.contains_key(section.name))
            .map(Written::absent)
            .collect();
        for (key, value) in root {
            let name: &str = key.get_ref();
            let Some(section) = SECTIONS
                .into_iter()
                .find(|section| section.name == name && section.heads.outer().is_none())
            else {
                unknown::section(name, &key.span(), findings);
                continue;
            };
            match (section.heads, value.get_ref()) {
                (Heads::One, DeValue::Table(table)) => {
                    sections.push(Written::read(
                        section,
                        key.get_ref(),
                        key.span(),
                        table,
                        findings,
                    ));
                }
                (Heads::Named, DeValue::Table(tables)) => {
                    sections.extend(read_named(section, tables, findings));
                }
                _ => {
                    sections
                        .extend((section.heads == Heads::One).then(|| Written::absent(section)));
                    unknown::not_a_section(section, &key.span(), findings);
                }
            }
        }
        sections.sort_by_key(|written| written.at.as_ref().map(|at| at.start));
        Self { sections }
    }

    /// The section that stands once, written or not.
    pub(super) fn one(&self, section: &'static Section) -> &Written {
        self.named(section).next().expect("`read` adds every section that stands once")
    }

    /// The sections of this kind that were written.
    pub(super) fn named(&self, section: &'static Section) -> impl Iterator<Item = &Written> {
        self.sections.iter().filter(|written| written.section.name == section.name)
    }
}

impl Written {
    fn absent(section: &'static Section) -> Self {
        Self { section, name: section.name.to_owned(), at: None, entries: BTreeMap::new() }
    }

    fn read(
        section: &'static Section,
        name: &str,
        at: Span,
        table: &DeTable<'_>,
        findings: &mut Findings<'_>,
    ) -> Self {
        let mut written =
            Self { section, name: name.to_owned(), at: Some(at), entries: BTreeMap::new() };
        for (key, value) in table {
            if let Some(inner) = section.inner(key.get_ref()) {
                if inner_tables(inner, value).is_none() {
                    unknown::not_a_section(inner, &key.span(), findings);
                }
                continue;
            }
            match section.option(key.get_ref()) {
                Some(option) => {
                    written.entries.insert(option.name, Entry::new(key.span(), value));
                }
                None => unknown::option(&written, key.get_ref(), &key.span(), findings),
            }
        }
        written
    }

    /// Its header, for a message.
    pub(super) fn header(&self) -> String {
        let name = unknown::plain(&self.name);
        match self.section.heads {
            Heads::One => format!("[{name}]"),
            Heads::Named => format!("[{}.{name}]", self.section.name),
            Heads::Within(outer) => format!("[{outer}.{name}.{}]", self.section.name),
            Heads::Each(outer) => format!("[[{outer}.{name}.{}]]", self.section.name),
        }
    }

    /// What was written for `option`.
    pub(super) fn entry(&self, option: &About) -> Option<&Entry> {
        self.entries.get(option.name)
    }

    /// Where the value of `option` was written.
    pub(super) fn value(&self, option: &About) -> Option<Span> {
        self.entry(option).map(|entry| entry.value.clone())
    }

    /// Where `option` was written, or else the section's name.
    pub(super) fn place(&self, option: &About) -> Option<Span> {
        self.entry(option).map(|entry| entry.key.clone()).or_else(|| self.at.clone())
    }
}

/// The tables that are written for a section within another one, each with where it stands if that
/// isn't where the section's name does; `None` where something else is.
fn inner_tables<'t, 's>(
    inner: &Section,
    value: &'t Spanned<DeValue<'s>>,
) -> Option<Vec<(Option<Span>, &'t DeTable<'s>)>> {
    match (inner.heads, value.get_ref()) {
        (Heads::Within(_), DeValue::Table(table)) => Some(vec![(None, table)]),
        (Heads::Each(_), DeValue::Array(items)) => {
            let table = |item: &'t Spanned<DeValue<'s>>| match item.get_ref() {
                DeValue::Table(table) => Some((Some(item.span()), table)),
                _ => None,
            };
            items.iter().map(table).collect()
        }
        _ => None,
    }
}

fn read_named(
    section: &'static Section,
    tables: &DeTable<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Written> {
    let mut found = Vec::new();
    for (name, value) in tables {
        match value.get_ref() {
            DeValue::Table(table) => {
                let text = name.get_ref();
                let written = Written::read(section, text, name.span(), table, findings);
                if !is_name(&written.name) {
                    unknown::bad_name(section, &name.span(), findings);
                }
                found.push(written);
                for (key, value) in table {
                    let Some(inner) = section.inner(key.get_ref()) else { continue };
                    for (at, table) in inner_tables(inner, value).unwrap_or_default() {
                        let at = at.unwrap_or_else(|| key.span());
                        found.push(Written::read(inner, text, at, table, findings));
                    }
                }
            }
            _ => unknown::nameless(section, &name.span(), findings),
        }
    }
    found
}

/// Whether metrics, logs and URLs can all carry it as it is.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}

impl Entry {
    fn new(key: Span, value: &Spanned<DeValue<'_>>) -> Self {
        let raw = match value.get_ref() {
            DeValue::Array(items) => {
                let item = |item: &Spanned<DeValue<'_>>| Self {
                    key: key.clone(),
                    value: item.span(),
                    raw: Raw::new(item.get_ref()),
                };
                Raw::List(items.iter().map(item).collect())
            }
            value => Raw::new(value),
        };
        Self { key, value: value.span(), raw }
    }
}

impl Raw {
    fn new(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => Self::Integer(decimal(number)),
            DeValue::Float(number) => Self::Float(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            _ => Self::Other,
        }
    }
}

/// A number in decimal, whatever it was written in. What is beyond every option's range may stay
/// as it is: it is refused either way.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string())
}
