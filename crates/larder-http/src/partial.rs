//! A stored response of which only some parts are held (RFC 9111 sections 3.3 and 3.4): what
//! it answers, what to ask the origin for, and how further parts are taken in.
//!
//! It is kept as if it were a 200 that isn't complete, with the fields of one: its status and
//! Content-Length are those of the whole. It never answers as one.

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::validator::{EntityTag, is_modified_strong};
use crate::{
    ContentRange, Evaluated, Freshened, Part, Pieces, Ranges, Received, Rules, Stored, evaluate,
    freshen_by_part, ranges,
};

/// The head of a response and the parts of its body that are held. It isn't changed but made anew,
/// so that who reads one reads one state.
///
/// ```
/// use http::{HeaderMap, Method};
/// use larder_core::Moment;
/// use larder_http::{Date, Held, Part, Partial, Received, Rules, storable_part};
///
/// let (mut asked, mut headers) = (HeaderMap::new(), HeaderMap::new());
/// asked.insert("range", "bytes=0-4".parse().unwrap());
/// headers.insert("content-range", "bytes 0-4/10".parse().unwrap());
/// headers.insert("cache-control", "max-age=60".parse().unwrap());
/// headers.insert("etag", "\"1\"".parse().unwrap());
/// let rules = Rules::shared();
/// let range = storable_part(&Method::GET, &asked, &headers, &rules).unwrap();
///
/// let now = Moment::from_nanos(0);
/// let received = Received { asked: now, came: now, wall: Date::from_unix(0) };
/// let partial = Partial::new(&asked, &headers, range, received, &rules);
/// let partial = partial.with(0, ["01234".into()]).unwrap();
///
/// asked.insert("range", "bytes=1-2".parse().unwrap());
/// let within = vec![Part { first: 1, last: 2 }];
/// assert_eq!(partial.answers(&Method::GET, &asked), Held::Parts(within));
/// asked.remove("range");
/// let Held::Missing(gap) = partial.answers(&Method::GET, &asked) else { unreachable!() };
/// partial.ask(gap, &mut asked);
/// assert_eq!(asked["range"], "bytes=5-");
/// assert_eq!(asked["if-range"], "\"1\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    head: Stored,
    pieces: Pieces,
}

/// What a partial response has for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of the body is held: the answer is that of a whole response.
    Whole,
    /// These parts, with 206 and [`partial_content`](crate::partial_content).
    Parts(Vec<Part>),
    /// The client has it: 304 with [`not_modified`](crate::not_modified).
    NotModified,
    /// This is missing, and can be asked for with [`Partial::ask`].
    Missing(Part),
    /// Nothing: the request goes to the origin as it came.
    Forward,
}

impl Partial {
    /// A response of which nothing is held yet, made of a 206 to a request with the fields
    /// `request`, for which [`storable_part`](crate::storable_part) gave `range`.
    #[must_use]
    pub fn new(
        request: &HeaderMap,
        headers: &HeaderMap,
        range: ContentRange,
        received: Received,
        rules: &Rules,
    ) -> Self {
        let mut headers = headers.clone();
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.length));
        let head = Stored::new(request, StatusCode::OK, &headers, received, rules);
        Self { head, pieces: Pieces::new(range.length) }
    }

    /// What is held of a response with this head, as of a 200.
    pub(crate) fn of(head: Stored, pieces: Pieces) -> Self {
        Self { head, pieces }
    }

    /// A 200 that broke off, of which the beginning came; none if it doesn't say how long it is, or
    /// if it has no strong validator, with which the rest could be asked for.
    #[must_use]
    pub fn broken_off(head: Stored, came: impl IntoIterator<Item = Bytes>) -> Option<Self> {
        let mut told = head.headers.get_all(CONTENT_LENGTH).iter();
        let length = told.next().filter(|_| told.next().is_none())?.to_str().ok()?.parse().ok()?;
        strong(&head).filter(|_| head.status == StatusCode::OK)?;
        Self { head, pieces: Pieces::new(length) }.with(0, came)
    }

    /// The head, as of a 200 that has all of the body.
    #[must_use]
    pub fn head(&self) -> &Stored {
        &self.head
    }

    /// What is held of the body.
    #[must_use]
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// The same with these bytes, which follow each other from `first` on; none if they can't all
    /// be taken in: see [`Pieces::add`].
    #[must_use]
    pub fn with(&self, first: u64, bytes: impl IntoIterator<Item = Bytes>) -> Option<Self> {
        let (mut pieces, mut first) = (self.pieces.clone(), first);
        for bytes in bytes {
            let length = bytes.len() as u64;
            if !pieces.add(first, &bytes) {
                return None;
            }
            first += length;
        }
        Some(Self { head: self.head.clone(), pieces })
    }

    /// The same with another head, after [`freshen`](crate::freshen).
    #[must_use]
    pub fn with_head(&self, head: Stored) -> Self {
        Self { head, pieces: self.pieces.clone() }
    }

    /// What it has for a request that it may answer: it is fresh, or [`reuse`](crate::reuse)
    /// permits it all the same.
    ///
    /// It answers a GET for ranges that are all held, and nothing else (RFC 9111 section 3.3): not
    /// with a 416, and no conditions but of a request that it could answer.
    #[must_use]
    pub fn answers(&self, method: &Method, request: &HeaderMap) -> Held {
        if self.pieces.is_complete() {
            return Held::Whole;
        }
        let judged = evaluate(method, request, &self.head);
        if judged == Evaluated::Forward || method != Method::GET {
            return Held::Forward;
        }
        let asked = match judged {
            Evaluated::SendWhole => Ranges::Whole,
            _ => ranges(request, self.pieces.length()),
        };
        let whole = Part::of(0, self.pieces.length());
        let wanted = match &asked {
            Ranges::Parts(parts) => parts.as_slice(),
            Ranges::Whole => whole.as_slice(),
            Ranges::Unsatisfiable => return Held::Forward,
        };
        let gaps: Vec<Part> = wanted.iter().flat_map(|&part| self.pieces.missing(part)).collect();
        let first = gaps.iter().map(|gap| gap.first).min();
        let last = gaps.iter().map(|gap| gap.last).max();
        let unchanged = judged == Evaluated::NotModified;
        // Who has it already is told so by the origin sooner than after the rest came.
        let can_ask = strong(&self.head).is_some() && !unchanged;
        match (first, last) {
            // One range, though it may span what is held: several come as a multipart body.
            (Some(first), Some(last)) if can_ask => Held::Missing(Part { first, last }),
            (Some(_), _) | (_, Some(_)) => Held::Forward,
            (None, None) if unchanged => Held::NotModified,
            (None, None) => Held::Parts(wanted.to_vec()),
        }
    }

    /// Makes a client's request one for the part that is missing, if this is still the
    /// representation, and for the whole if it isn't: If-Range validates what is held, too, so a
    /// stale one needs nothing else. The client's conditions are removed, as by
    /// [`condition`](crate::condition).
    ///
    /// # Panics
    ///
    /// Never: a range is a word, digits and marks.
    pub fn ask(&self, missing: Part, request: &mut HeaderMap) {
        for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
            request.remove(name);
        }
        let Some(validator) = strong(&self.head) else {
            // What comes couldn't be combined.
            request.remove(RANGE);
            return;
        };
        let last = missing.last + 1;
        let last =
            if last < self.pieces.length() { missing.last.to_string() } else { String::new() };
        let range = format!("bytes={}-{last}", missing.first);
        request.insert(RANGE, HeaderValue::try_from(range).expect("a word, digits and marks"));
        request.insert(IF_RANGE, validator);
    }

    /// The same with the head that a further part of it brings, for its bytes to be added; none if
    /// it isn't a part of this representation: both need the same strong validator and length.
    /// Whether it may be stored is asked with [`storable_part`](crate::storable_part), which also
    /// says which part it is.
    #[must_use]
    pub fn take(
        &self,
        request: &HeaderMap,
        headers: &HeaderMap,
        received: Received,
        rules: &Rules,
    ) -> Option<Self> {
        match freshen_by_part(&self.head, request, headers, received, rules) {
            Freshened::Updated(head) => Some(self.with_head(*head)),
            Freshened::NotThis | Freshened::Outdated => None,
        }
    }
}

/// What If-Range may hold: a strong tag, or else a date of modification that is strong (RFC 9110
/// section 13.1.5).
fn strong(head: &Stored) -> Option<HeaderValue> {
    match EntityTag::of(&head.headers) {
        Some(tag) => (!tag.is_weak()).then(|| tag.to_value()),
        None if head.headers.contains_key(ETAG) => None,
        None if is_modified_strong(head) => head.headers.get(LAST_MODIFIED).cloned(),
        None => None,
    }
}
