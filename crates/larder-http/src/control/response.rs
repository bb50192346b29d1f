//! The directives of a response (RFC 9111 section 5.2.2, RFC 5861, RFC 8246).

use http::header::{AsHeaderName, CACHE_CONTROL};
use http::{HeaderMap, HeaderName};

use super::{Argument, Lifetime, directives};
use crate::fields::split;

/// `no-cache` or `private`: of the whole response, or of some of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Fields {
    /// The directive isn't there.
    #[default]
    Absent,
    /// It concerns the whole response.
    All,
    /// It concerns these fields only.
    Named(Vec<HeaderName>),
}

impl Fields {
    /// The fields that are named; none if all or none are meant.
    #[must_use]
    pub fn named(&self) -> &[HeaderName] {
        match self {
            Self::Named(names) => names,
            Self::Absent | Self::All => &[],
        }
    }

    /// Those that a list names; all if it names none that can be read.
    pub(crate) fn listed(list: &[u8]) -> Self {
        names(list).map_or(Self::All, Self::Named)
    }

    /// Takes in one more occurrence. What names no fields in a way that can be read means all.
    fn add(&mut self, argument: &Argument<'_>) {
        let named = match argument {
            Argument::None => None,
            Argument::Some(_) => argument.value().and_then(|said| names(&said)),
        };
        match (&mut *self, named) {
            (Self::All, _) | (_, None) => *self = Self::All,
            (Self::Absent, Some(names)) => *self = Self::Named(names),
            (Self::Named(known), Some(names)) => known.extend(names),
        }
    }
}

fn names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let mut members = Vec::new();
    split(list, &mut members).ok()?;
    let names: Option<Vec<_>> =
        members.into_iter().map(|name| HeaderName::from_bytes(name).ok()).collect();
    names.filter(|names| !names.is_empty())
}

/// What a response says of how it may be cached.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ResponseControl {
    /// Not to be stored. Also set, with `no_cache`, when the field can't be read.
    pub no_store: bool,
    /// Not to be reused without validation.
    pub no_cache: Fields,
    /// Not to be stored by a shared cache.
    pub private: Fields,
    /// May be stored by a shared cache, even where it otherwise couldn't.
    pub public: bool,
    /// Not to be used stale.
    pub must_revalidate: bool,
    /// Not to be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// To be stored only by whoever understands its status; stands over `no-store` then.
    pub must_understand: bool,
    /// Won't change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// For how long it is fresh.
    pub max_age: Lifetime,
    /// For how long it is fresh in a shared cache.
    pub s_maxage: Lifetime,
    /// For how long it may be used stale while it is validated (RFC 5861 section 3).
    pub stale_while_revalidate: Lifetime,
    /// For how long it may be used stale when the origin fails (RFC 5861 section 4).
    pub stale_if_error: Lifetime,
}

impl ResponseControl {
    /// What a response's Cache-Control says.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        Self::read_field(headers, CACHE_CONTROL)
    }

    pub(crate) fn read_field(headers: &HeaderMap, name: impl AsHeaderName) -> Self {
        let mut control = Self::default();
        let read = directives(headers, name, |name, argument| control.add(name, argument));
        if read.is_err() {
            return Self { no_store: true, no_cache: Fields::All, ..Self::default() };
        }
        control
    }

    /// Takes in one directive. One that restricts counts with an argument that it doesn't have;
    /// one that permits doesn't.
    fn add(&mut self, name: &str, argument: &Argument<'_>) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache.add(argument),
            "private" => self.private.add(argument),
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "public" => self.public |= argument.is_none(),
            "must-understand" => self.must_understand |= argument.is_none(),
            "immutable" => self.immutable |= argument.is_none(),
            "max-age" => self.max_age.add(argument),
            "s-maxage" => self.s_maxage.add(argument),
            "stale-while-revalidate" => self.stale_while_revalidate.add(argument),
            "stale-if-error" => self.stale_if_error.add(argument),
            _ => {}
        }
    }
}
