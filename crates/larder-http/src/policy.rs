//! What an origin says of how its response may be cached: one declaration for everybody who may.
//!
//! A response has two audiences. Browsers read Cache-Control; edges and CDNs read the field that
//! is meant for them, CDN-Cache-Control (RFC 9213) or Surrogate-Control, and strike what they hold
//! by its tags. Written by hand the fields drift apart, and outlive what they were made of: so
//! they are emitted together here, and never for longer than what is left of a window.

use std::time::Duration;

use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};
use larder_core::terms::TAGS_MAX;
use larder_core::{Error, ErrorKind, Result, Window};

use crate::{AGE_MAX, EntityTag};

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// The longest tag that is sent, in bytes: CDNs cut or drop what is longer.
const TAG_BYTES_MAX: usize = 1024;
/// All tags of a response together: a header of this length passes everywhere.
const TAGS_BYTES_MAX: usize = 8 * 1024;

/// A year, which is as good as for ever (RFC 8246 section 2 has it so).
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is left of a cache's window for an answer that was [known to be
/// current](larder_core::Answer::current) so long ago: `max_staleness - (now - max(loaded_at,
/// horizon))`, nothing where that is over.
///
/// ```
/// use larder_core::freshness::{Declared, Window};
/// use larder_http::left;
/// use std::time::Duration;
///
/// let two = Duration::from_secs(2);
/// let window = Window::resolve(Declared { max_staleness: Some(two), ..Declared::default() })?;
/// assert_eq!(left(&window, Duration::from_millis(300)), Duration::from_millis(1700));
/// assert_eq!(left(&window, Duration::from_secs(3)), Duration::ZERO);
/// # Ok::<(), larder_core::Error>(())
/// ```
#[must_use]
pub fn left(window: &Window, current: Duration) -> Duration {
    window.max_staleness.saturating_sub(current)
}

/// Who may keep a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keepers {
    Everybody,
    /// The browser of the user that it is for.
    OneUser,
    Nobody,
}

/// How a response may be cached, by browsers and by edges.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{CachePolicy, EntityTag};
/// use std::time::Duration;
///
/// let product = CachePolicy::browser(Duration::from_secs(5))
///     .edge(Duration::from_secs(3600))
///     .tag("product:7")?;
/// let content = br#"{"price":1999}"#;
/// let mut headers = HeaderMap::new();
/// let tag = EntityTag::of_content("application/json", content);
/// // The promise has two more seconds, and nobody keeps it for longer.
/// product.within(Duration::from_millis(2_900)).write(&tag, &mut headers);
/// assert_eq!(headers["cache-control"], "max-age=2, must-revalidate");
/// assert_eq!(headers["cdn-cache-control"], "max-age=2, must-revalidate");
/// assert_eq!(headers["surrogate-control"], "max-age=2, must-revalidate");
/// assert_eq!(headers["cache-tag"], "product:7");
/// assert!(headers.contains_key("etag"));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a policy says nothing until it is written"]
pub struct CachePolicy {
    keepers: Keepers,
    browser: Duration,
    edge: Option<Duration>,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    is_immutable: bool,
    left: Option<Duration>,
    tags: Vec<Box<str>>,
}

impl CachePolicy {
    /// Browsers reuse it for so long without asking, and edges too, unless they are
    /// [told](Self::edge) something else. Zero: they ask each time, and get a 304 where nothing
    /// changed.
    pub fn browser(lifetime: Duration) -> Self {
        Self {
            keepers: Keepers::Everybody,
            browser: lifetime,
            edge: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            is_immutable: false,
            left: None,
            tags: Vec::new(),
        }
    }

    /// What has a hash of its content in its name: kept for a year by everybody, and not asked for
    /// again even on a reload (RFC 8246).
    pub fn hashed_asset() -> Self {
        Self { is_immutable: true, ..Self::browser(YEAR) }
    }

    /// A page: it is kept, and asked for each time, so that a new one shows at once.
    pub fn html() -> Self {
        Self::browser(Duration::ZERO)
    }

    /// Somebody's own data: kept in their browser alone, and asked for each time.
    pub fn personal() -> Self {
        Self::browser(Duration::ZERO).private()
    }

    /// What nobody may keep.
    pub fn secret() -> Self {
        Self { keepers: Keepers::Nobody, ..Self::browser(Duration::ZERO) }
    }

    /// Edges reuse it for so long: they can be told when it changes, browsers can't. Of what is
    /// [private](Self::private) they keep nothing all the same.
    pub fn edge(self, lifetime: Duration) -> Self {
        Self { edge: Some(lifetime), ..self }
    }

    /// Edges may serve it for so long after its time, while they ask for a new one (RFC 5861
    /// section 3). A [window](Self::within) bounds that as well.
    pub fn edge_stale_while_revalidate(self, time: Duration) -> Self {
        Self { stale_while_revalidate: time, ..self }
    }

    /// Edges may serve it for so long after its time while the origin fails (RFC 5861 section 4).
    /// That goes beyond a [window](Self::within): say it only where an old answer is better than
    /// none.
    pub fn edge_stale_if_error(self, time: Duration) -> Self {
        Self { stale_if_error: time, ..self }
    }

    /// Only the browser of the user that it is for may keep it.
    pub fn private(self) -> Self {
        let keepers = match self.keepers {
            Keepers::Everybody => Keepers::OneUser,
            stricter => stricter,
        };
        Self { keepers, ..self }
    }

    /// Edges forget it when this tag is struck: it is sent as Cache-Tag and as Surrogate-Key.
    ///
    /// # Errors
    ///
    /// `Refused` when it is empty, longer than 1,024 bytes, holds a space, a comma or anything but
    /// printable ASCII, is the 129th, or makes all tags longer than 8 KiB: a CDN would cut or drop
    /// it, and never hear of what it names.
    pub fn tag(mut self, tag: impl Into<Box<str>>) -> Result<Self> {
        let tag = tag.into();
        self.fits(&tag)?;
        self.tags.push(tag);
        Ok(self)
    }

    /// The same of those of these tags that a CDN takes, each once, as far as they have room. What
    /// is left out doesn't reach it, so what has them is bounded by its lifetime alone.
    pub fn tag_what_fits<'t>(mut self, tags: impl IntoIterator<Item = &'t str>) -> Self {
        for tag in tags {
            if self.fits(tag).is_ok() && !self.tags.iter().any(|known| **known == *tag) {
                self.tags.push(tag.into());
            }
        }
        self
    }

    fn fits(&self, tag: &str) -> Result<()> {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        let bytes: usize = self.tags.iter().map(|tag| tag.len() + 1).sum();
        let fault = if tag.is_empty() || tag.len() > TAG_BYTES_MAX || !tag.bytes().all(fits) {
            "a tag that a CDN is to know has 1 to 1,024 printable ASCII characters, and neither \
             spaces nor commas"
        } else if self.tags.len() == TAGS_MAX || bytes + tag.len() > TAGS_BYTES_MAX {
            "a response has at most 128 tags, of 8 KiB together"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Refused, fault))
    }

    /// Nobody keeps it for longer than this, which is [what is left](left) of a window, in whole
    /// seconds: with less than one, everybody asks each time. Nor is it served stale behind it.
    pub fn within(self, left: Duration) -> Self {
        let left = self.left.map_or(left, |shorter| shorter.min(left));
        Self { left: Some(left), ..self }
    }

    /// Sets the fields of a response whose tag is this one: what says how it may be cached, and its
    /// ETag, without which nobody who has to ask could be told that nothing changed. Fields of
    /// these names that are there already are replaced.
    ///
    /// # Panics
    ///
    /// Never: what is set is printable.
    pub fn write(&self, tag: &EntityTag, headers: &mut HeaderMap) {
        let mut set = |name, text: &str| {
            let value = HeaderValue::from_str(text).expect("tags were checked, and numbers print");
            headers.insert(name, value);
        };
        set(CACHE_CONTROL, &self.to_browsers());
        // What may be kept by one user or nobody is said twice: who reads only the field that is
        // meant for it would otherwise find a lifetime.
        // Nor is there another field that tells an edge for how long it may serve what is stale.
        let stale = !self.stale_while_revalidate.is_zero() || !self.stale_if_error.is_zero();
        let edge = self.edge.or(stale.then_some(self.browser));
        let to_edges = match (self.keepers, edge) {
            (Keepers::Everybody, None) => None,
            (Keepers::Everybody, Some(edge)) => Some(self.to_edges(edge)),
            (Keepers::OneUser | Keepers::Nobody, _) => Some("no-store".to_owned()),
        };
        if let Some(to_edges) = to_edges {
            set(CDN_CACHE_CONTROL, &to_edges);
            set(SURROGATE_CONTROL, &to_edges);
        }
        if !self.tags.is_empty() {
            set(CACHE_TAG, &self.tags.join(","));
            set(SURROGATE_KEY, &self.tags.join(" "));
        }
        headers.insert(ETAG, tag.to_value());
    }

    fn to_browsers(&self) -> String {
        let keepers = match self.keepers {
            Keepers::Nobody => return "no-store".to_owned(),
            Keepers::OneUser => "private, ",
            Keepers::Everybody => "",
        };
        let lifetime = self.bounded(self.browser);
        let rest = match lifetime.as_secs() {
            0 => "no-cache".to_owned(),
            seconds if self.is_immutable => format!("max-age={seconds}, immutable"),
            // Browsers serve what is stale when they are offline, unless they are told not to.
            seconds if self.left.is_some() => format!("max-age={seconds}, must-revalidate"),
            seconds => format!("max-age={seconds}"),
        };
        format!("{keepers}{rest}")
    }

    fn to_edges(&self, edge: Duration) -> String {
        let lifetime = self.bounded(edge);
        let stale = self.bounded(lifetime.saturating_add(self.stale_while_revalidate));
        let stale = (stale - lifetime).as_secs();
        let on_error = self.stale_if_error.min(AGE_MAX).as_secs();
        let mut text = match lifetime.as_secs() {
            0 if stale == 0 && on_error == 0 => return "no-cache".to_owned(),
            seconds => format!("max-age={seconds}"),
        };
        if stale > 0 {
            text += &format!(", stale-while-revalidate={stale}");
        }
        if on_error > 0 {
            text += &format!(", stale-if-error={on_error}");
        } else if self.left.is_some() {
            // The stronger word would forbid what was just allowed.
            text += if stale > 0 { ", stale-if-error=0" } else { ", must-revalidate" };
        }
        text
    }

    /// In whole seconds, rounded down.
    fn bounded(&self, lifetime: Duration) -> Duration {
        let bound = self.left.unwrap_or(AGE_MAX).min(AGE_MAX);
        Duration::from_secs(lifetime.min(bound).as_secs())
    }
}
