//! `[[edge.NAME.rules]]` resolved: what holds for some paths and types.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::document::{Document, Written};
use super::findings::Reported;
use super::glob::Glob;
use super::inner;
use super::options::About;
use super::options::edge_rule as options;
use super::scope::Scope;
use super::value::{Fault, OptionValue};

/// What never changes is fresh for so long: RFC 2616 asked for no more, and browsers know it.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The statuses that a lifetime without statuses is for: those that a cache may keep without
/// being told, of what isn't an error that passes.
const USUAL: [u16; 8] = [200, 203, 204, 300, 301, 308, 404, 410];

/// What holds for some paths and types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRule {
    /// Which paths.
    pub path: Glob,
    /// Which types of content; all of them when it is empty.
    pub types: Vec<MediaRange>,
    /// Whether the cache is passed by.
    pub bypass: bool,
    /// For how long it is fresh here; `None`: what the origin says.
    pub edge: Option<Duration>,
    /// For how long a client may take it as fresh; `None`: what the origin says.
    pub browser: Option<Duration>,
    /// Whether it never changes while it is fresh.
    pub immutable: bool,
    /// Lifetimes of single statuses; without any, `edge` is for the usual ones.
    pub statuses: Vec<StatusLifetime>,
    /// For how long it may be sent stale while it is validated.
    pub stale_while_revalidate: Option<Duration>,
    /// For how long it may be sent stale while the origin fails.
    pub stale_on_error: Option<Duration>,
    /// Whether the lifetime holds although the origin forbids it.
    pub overrides: bool,
    /// The parameters of the query that count; `None`: all.
    pub query: Option<Vec<ParameterName>>,
    /// The parameters of the query that are dropped.
    pub query_ignored: Vec<ParameterName>,
    /// The fields that a response may vary by to be stored; `None`: any.
    pub vary: Option<Vec<HeaderName>>,
}

/// A type of content, or all of one kind: `image/png`, `image/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange(String);

/// A status and its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLifetime {
    /// The status.
    pub status: StatusCode,
    /// For how long it is fresh.
    pub fresh_for: Duration,
}

/// The name of a parameter of a query, or with a `*` at its end of all that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterName(Box<str>);

/// The name of a field of a request.
#[derive(Clone, Debug)]
pub(super) struct FieldName(HeaderName);

/// A pattern of paths.
#[derive(Clone, Debug)]
pub(super) struct PathPattern(Glob);

impl EdgeRule {
    /// For how long a response with this status is fresh; `None`: what the origin says.
    #[must_use]
    pub fn fresh_for(&self, status: StatusCode) -> Option<Duration> {
        let own = self.statuses.iter().find(|one| one.status == status);
        match own {
            Some(own) => Some(own.fresh_for),
            None if !self.statuses.is_empty() && status != StatusCode::OK => None,
            None => self.edge.filter(|_| USUAL.contains(&status.as_u16())),
        }
    }

    /// Whether it says anything of what is sent to the origin and how.
    #[must_use]
    pub fn is_about_requests(&self) -> bool {
        let of_query = self.query.is_some() || !self.query_ignored.is_empty();
        self.bypass || of_query || self.vary.is_some()
    }

    /// What all of `document` say, each with the place of its edge.
    pub(super) fn resolve_all(
        document: &Document,
        edges: &[&Written],
        scope: &mut Scope<'_, '_>,
    ) -> Result<Vec<(usize, Self)>, Reported> {
        let resolved: Vec<_> = inner::sections(document, &options::SECTION, edges)
            .map(|(written, edge)| Self::resolve(written, scope).map(|rule| (edge, rule)))
            .collect();
        resolved.into_iter().collect()
    }

    fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let path = scope.required(written, &options::PATH);
        let types = scope.list(written, &options::TYPES);
        let bypass = scope.or_default(written, &options::BYPASS);
        let edge = scope.get(written, &options::EDGE);
        let browser = scope.get(written, &options::BROWSER);
        let immutable = scope.or_default(written, &options::IMMUTABLE);
        let statuses = scope.list(written, &options::STATUSES);
        let stale_while_revalidate = scope.get(written, &options::STALE_WHILE_REVALIDATE);
        let stale_on_error = scope.get(written, &options::STALE_ON_ERROR);
        let overrides = scope.or_default(written, &options::OVERRIDE);
        let query = scope.list(written, &options::QUERY);
        let query_ignored = scope.list(written, &options::QUERY_IGNORED);
        let vary = scope.list(written, &options::VARY);
        let has_vary = written.entry(&options::VARY.about).is_some();
        let has_query = written.entry(&options::QUERY.about).is_some();
        let names = |names: Vec<(ParameterName, _)>| -> Vec<_> {
            names.into_iter().map(|(name, _)| name).collect()
        };
        let immutable = immutable?;
        let year = immutable.then_some(A_YEAR);
        let rule = Self {
            path: path?.0,
            types: types?.into_iter().map(|(one, _)| one).collect(),
            bypass: bypass?,
            edge: edge?.or(year),
            browser: browser?.or(year),
            immutable,
            statuses: statuses?.into_iter().map(|(one, _)| one).collect(),
            stale_while_revalidate: stale_while_revalidate?,
            stale_on_error: stale_on_error?,
            overrides: overrides?,
            query: has_query.then_some(names(query?)),
            query_ignored: names(query_ignored?),
            vary: Some(vary?.into_iter().map(|(name, _)| name.0).collect()).filter(|_| has_vary),
        };
        rule.check(written, scope)?;
        Ok(rule)
    }

    fn check(&self, written: &Written, scope: &mut Scope<'_, '_>) -> Result<(), Reported> {
        let mut refuse = |option: &About, what: &str, cure: &str| {
            Err(scope.findings.error(&written.place(option), what, cure))
        };
        if !self.types.is_empty() && self.is_about_requests() {
            return refuse(
                &options::TYPES.about,
                "a rule with `types` says nothing of what is asked: the type is known when the \
                 answer has come",
                "put `bypass`, `query`, `query_ignored` and `vary` into a rule without `types`",
            );
        }
        let gives = self.edge.is_some() || !self.statuses.is_empty();
        let stale = self.stale_while_revalidate.is_some() || self.stale_on_error.is_some();
        if self.bypass && (gives || stale || self.overrides) {
            return refuse(
                &options::BYPASS.about,
                "a rule with `bypass` stores nothing, and gives a lifetime here",
                "leave one of the two out",
            );
        }
        if self.overrides && !gives {
            return refuse(
                &options::OVERRIDE.about,
                "`override` needs a lifetime that holds in the place of what the origin says",
                "add `edge = \"10m\"`",
            );
        }
        if self.query.is_some() && !self.query_ignored.is_empty() {
            return refuse(
                &options::QUERY_IGNORED.about,
                "`query` says already which parameters count",
                "leave one of the two out",
            );
        }
        let says = gives || stale || self.browser.is_some() || self.is_about_requests();
        if !says {
            return refuse(
                &options::PATH.about,
                "this rule says nothing",
                "give it a lifetime (`edge`, `browser`), `bypass = true` or `query`; a rule that \
                 keeps others from its paths says `query_ignored = [\"\"]`",
            );
        }
        Ok(())
    }
}

impl MediaRange {
    /// Whether the value of a Content-Type is of it.
    #[must_use]
    pub fn matches(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii();
        match self.0.strip_suffix('*') {
            None => essence.eq_ignore_ascii_case(self.0.as_bytes()),
            Some(kind) => essence
                .get(..kind.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(kind.as_bytes())),
        }
    }
}

impl ParameterName {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OptionValue for PathPattern {
    const WHAT: &'static str = "a pattern of paths";

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "begin it with `/` or `*`: \"/assets/**\", \"**.css\"";
        if !text.starts_with(['/', '*']) || text.contains(['?', '#']) {
            return Err(Fault::new("is no pattern of paths", CURE));
        }
        Glob::new(text).map(Self).ok_or_else(|| Fault::new("is too long", "1,024 bytes at most"))
    }
}

impl OptionValue for MediaRange {
    const WHAT: &'static str = "a type of content";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        let is_token = |text: &str| !text.is_empty() && text.chars().all(token);
        match text.split_once('/') {
            Some((kind, rest)) if is_token(kind) && (rest == "*" || is_token(rest)) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            _ => Err(Fault::new("is no type of content", "write \"text/css\" or \"image/*\"")),
        }
    }
}

impl OptionValue for StatusLifetime {
    const WHAT: &'static str = "a status and a duration";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fault =
            || Fault::new("is no status and a duration", "write the two with a blank: \"404 10s\"");
        let (status, fresh_for) = text.split_once(' ').ok_or_else(fault)?;
        let status: StatusCode = status.parse().map_err(|_| fault())?;
        if status.is_informational() || matches!(status.as_u16(), 206 | 304 | 416) {
            return Err(Fault::new("names a status that is no answer by itself", "leave it out"));
        }
        Ok(Self { status, fresh_for: Duration::from_text(fresh_for.trim_start())? })
    }
}

impl OptionValue for ParameterName {
    const WHAT: &'static str = "the name of a parameter";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let body = text.strip_suffix('*').unwrap_or(text);
        if body.contains(['&', '=', '#', '/', '*']) {
            return Err(Fault::new(
                "is no name of a parameter",
                "write the name alone: \"page\", or \"utm_*\" for all that begin so",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl OptionValue for FieldName {
    const WHAT: &'static str = "the name of a field";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let name = HeaderName::from_bytes(text.as_bytes());
        name.map(Self).map_err(|_| Fault::new("is no name of a field", "write \"accept-language\""))
    }
}

#[cfg(test)]
mod tests {
    use super::{MediaRange, OptionValue, StatusLifetime};

    #[test]
    fn a_type_counts_without_its_parameters_and_case() {
        let matches =
            |range, value: &str| MediaRange::from_text(range).unwrap().matches(value.as_bytes());
        assert!(matches("text/css", "Text/CSS; charset=utf-8") && matches("image/*", "image/png"));
        assert!(!matches("text/css", "text/cssx") && !matches("image/*", "imagex/png"));
        assert!(!matches("image/*", ""));
        for text in ["text", "*/*", "/css", "text/", "text/c ss"] {
            assert!(MediaRange::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_status_stands_before_its_lifetime() {
        let read = StatusLifetime::from_text("404 10s").unwrap();
        assert_eq!((read.status.as_u16(), read.fresh_for.as_secs()), (404, 10));
        for text in ["404", "10s", "99 1s", "206 1s", "304 1s", "100 1s", "404 10"] {
            assert!(StatusLifetime::from_text(text).is_err(), "{text}");
        }
    }
}
