//! Every option, once: its section, name, kind, default, and why it is so.
//!
//! This table is data. Reading a file, the messages about unknown keys and the reference page
//! all come from it, so that none of them can contradict another. What an option *does* stands
//! elsewhere.

use std::marker::PhantomData;

use super::value::{Form, OptionValue};

pub(super) mod bloom;
pub(super) mod breaker;
pub(super) mod cache;
pub(super) mod debezium;
pub(super) mod edge;
pub(super) mod edge_rule;
pub(super) mod edge_tls;
pub(super) mod edge_webhook;
pub(super) mod feed;
pub(super) mod invalidate;
pub(super) mod journal;
pub(super) mod later;
pub(super) mod listen;
pub(super) mod memory;
pub(super) mod plain;
pub(super) mod shared;
pub(super) mod source;
pub(super) mod trace;
pub(super) mod warm;
pub(super) mod write;

/// Every section.
pub(super) static SECTIONS: [&Section; 16] = [
    &listen::SECTION,
    &memory::SECTION,
    &plain::SECTION,
    &shared::SECTION,
    &source::SECTION,
    &debezium::SECTION,
    &cache::SECTION,
    &invalidate::SECTION,
    &bloom::SECTION,
    &warm::SECTION,
    &journal::SECTION,
    &edge::SECTION,
    &edge_tls::SECTION,
    &edge_rule::SECTION,
    &edge_webhook::SECTION,
    &trace::SECTION,
];

/// A section of the file.
#[derive(Debug)]
pub(super) struct Section {
    /// `listen` for `[listen]`.
    pub(super) name: &'static str,
    pub(super) heads: Heads,
    /// What it is about, for the reference.
    pub(super) about: &'static str,
    pub(super) options: &'static [&'static About],
}

/// How often a section may stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// Once: `[listen]`.
    One,
    /// Once for each name: `[cache.NAME]`.
    Named,
    /// Once within each section of this name: `[cache.NAME.warm]`.
    Within(&'static str),
    /// Any number of times within each section of this name: `[[cache.NAME.invalidate]]`, or a list
    /// of tables.
    Each(&'static str),
}

impl Heads {
    /// The section that it stands in.
    pub(super) const fn outer(self) -> Option<&'static str> {
        match self {
            Self::One | Self::Named => None,
            Self::Within(outer) | Self::Each(outer) => Some(outer),
        }
    }
}

impl About {
    /// What kind of value it takes, and which of that kind.
    pub(super) fn value(&self) -> String {
        match (self.range)() {
            Some(range) => format!("{} {range}", self.what),
            None => self.what.to_owned(),
        }
    }
}

impl Section {
    /// Its header, as documentation writes it.
    pub(super) fn header(&self) -> String {
        match self.heads {
            Heads::One => format!("[{}]", self.name),
            Heads::Named => format!("[{}.NAME]", self.name),
            Heads::Within(outer) => format!("[{outer}.NAME.{}]", self.name),
            Heads::Each(outer) => format!("[[{outer}.NAME.{}]]", self.name),
        }
    }

    /// The section of this name that stands within it.
    pub(super) fn inner(&self, name: &str) -> Option<&'static Self> {
        let is_inner = |inner: &&Self| inner.heads.outer() == Some(self.name) && inner.name == name;
        SECTIONS.into_iter().find(is_inner)
    }

    /// The option of this name.
    pub(super) fn option(&self, name: &str) -> Option<&'static About> {
        self.options.iter().copied().find(|option| option.name == name)
    }
}

/// What is said about an option, whatever its kind.
#[derive(Debug)]
pub(super) struct About {
    pub(super) name: &'static str,
    /// What kind of value it takes.
    pub(super) what: &'static str,
    pub(super) range: fn() -> Option<String>,
    pub(super) form: Form,
    pub(super) secret: bool,
    pub(super) default: Default,
    pub(super) why: &'static str,
    /// What other systems call it.
    pub(super) elsewhere: &'static [&'static str],
}

/// What holds when an option is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    /// It must be given.
    Required,
    /// This value.
    Value(&'static str),
    /// Something that depends on other options or on the machine, or nothing, in words.
    Words(&'static str),
}

/// An option whose value is a `T`.
#[derive(Debug)]
pub(super) struct Opt<T> {
    pub(super) about: About,
    kind: PhantomData<fn() -> T>,
}

impl<T: OptionValue> Opt<T> {
    const fn new(name: &'static str, default: Default, why: &'static str) -> Self {
        let about = About {
            name,
            what: T::WHAT,
            range: T::range,
            form: T::FORM,
            secret: T::SECRET,
            default,
            why,
            elsewhere: &[],
        };
        Self { about, kind: PhantomData }
    }

    /// Adds what other systems call it.
    const fn elsewhere(mut self, names: &'static [&'static str]) -> Self {
        self.about.elsewhere = names;
        self
    }
}

/// Every option with its section.
pub(super) fn all() -> impl Iterator<Item = (&'static Section, &'static About)> {
    SECTIONS
        .into_iter()
        .flat_map(|section| section.options.iter().map(move |&about| (section, about)))
}

/// Whether `name` is the name of an option, and of none that holds a secret.
pub(super) fn is_public(name: &str) -> bool {
    let mut named = all().filter(|(_, about)| about.name == name).peekable();
    named.peek().is_some() && named.all(|(_, about)| !about.secret)
}

/// The names of the options that hold a secret.
pub(super) fn secret_names() -> impl Iterator<Item = &'static str> {
    all().filter(|(_, about)| about.secret).map(|(_, about)| about.name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{SECTIONS, all, later};

    #[test]
    fn every_name_stands_once_in_its_section() {
        for section in SECTIONS {
            let mut seen = HashSet::new();
            for about in section.options {
                for name in [about.name].iter().chain(about.elsewhere) {
                    assert!(seen.insert(*name), "{name} twice in {}", section.name);
                }
            }
        }
    }

    #[test]
    fn nothing_is_both_here_and_later() {
        for (section, about) in all() {
            assert!(later::find(Some(section.name), about.name).is_none(), "{}", about.name);
            for name in about.elsewhere {
                assert!(later::find(Some(section.name), name).is_none(), "{name}");
            }
        }
        for section in SECTIONS {
            assert!(later::find(None, section.name).is_none(), "{}", section.name);
        }
    }

    #[test]
    fn every_reason_is_a_sentence() {
        for (_, about) in all() {
            assert!(about.why.ends_with('.'), "{}", about.name);
        }
    }
}
