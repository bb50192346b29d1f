//! Which parameters of a query count.
//!
//! What doesn't count isn't sent to the origin either, when a response is fetched to be stored:
//! otherwise one client's parameter would shape what all others get.

use std::borrow::Cow;

/// What is done with the query of a request before it is part of the key.
///
/// Parameters are compared as they are written, without decoding them. A name that ends with `*`
/// stands for all that begin so.
///
/// ```
/// use larder_http::Query;
///
/// let query = Query::as_sent().without(["utm_*", "fbclid"]).sorted();
/// assert_eq!(query.apply(Some("b=2&utm_source=x&a=1")).as_deref(), Some("a=1&b=2"));
/// assert_eq!(Query::only(["page"]).apply(Some("page=3&x=1")).as_deref(), Some("page=3"));
/// assert_eq!(Query::only(["page"]).apply(Some("x=1")), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    only: Option<Vec<Box<str>>>,
    without: Vec<Box<str>>,
    sorted: bool,
}

impl Query {
    /// The query counts as it is.
    #[must_use]
    pub fn as_sent() -> Self {
        Self::default()
    }

    /// Only these parameters count; without names, none does.
    #[must_use]
    pub fn only<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self { only: Some(names.into_iter().map(Box::from).collect()), ..Self::default() }
    }

    /// These don't count.
    #[must_use]
    pub fn without<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.without.extend(names.into_iter().map(Box::from));
        self
    }

    /// Their order doesn't count; that of several with one name does.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }

    /// Whether it changes no query.
    #[must_use]
    pub fn is_as_sent(&self) -> bool {
        self.only.is_none() && self.without.is_empty() && !self.sorted
    }

    /// The query that counts; `None` when there is none, or nothing is left of it.
    #[must_use]
    pub fn apply<'q>(&self, query: Option<&'q str>) -> Option<Cow<'q, str>> {
        let query = query?;
        if self.is_as_sent() {
            return Some(Cow::Borrowed(query));
        }
        let mut kept: Vec<&str> = query.split('&').filter(|one| self.counts(one)).collect();
        if self.sorted {
            kept.sort_by_key(|parameter| name(parameter));
        }
        (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
    }

    fn counts(&self, parameter: &str) -> bool {
        let name = name(parameter);
        let named = |names: &[Box<str>]| names.iter().any(|pattern| matches(pattern, name));
        let restricts = self.only.is_some() || !self.without.is_empty();
        let empty = parameter.is_empty() && restricts;
        !empty && self.only.as_deref().is_none_or(named) && !named(&self.without)
    }
}

fn name(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}
