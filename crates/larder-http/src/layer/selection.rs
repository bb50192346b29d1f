//! Which fields of a request may select a response, and in how many ways they may be written.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::query::Query;
use crate::fields::{members, trim};

/// What tells one request from another, beside method and URI.
///
/// A cache has one, and a request may carry another in its extensions, as an
/// `Arc<Selection>`: an edge has rules by path.
///
/// ```
/// use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};
/// use larder_http::{Query, Selection};
///
/// let selection = Selection::new()
///     .query(Query::as_sent().without(["utm_*"]))
///     .vary_only([ACCEPT_ENCODING, ACCEPT_LANGUAGE])
///     .one_of(ACCEPT_ENCODING, ["br", "gzip"])
///     .one_of(ACCEPT_LANGUAGE, ["de", "en"]);
/// # let _ = selection;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub(super) query: Query,
    vary: Option<Vec<HeaderName>>,
    choices: Vec<(HeaderName, Vec<Box<str>>)>,
}

impl Selection {
    /// The query as it is sent, any field in Vary, and every field as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which parameters of the query count.
    #[must_use]
    pub fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// A response that varies by any other field isn't stored.
    #[must_use]
    pub fn vary_only(mut self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.vary = Some(fields.into_iter().collect());
        self
    }

    /// Rewrites a field whose value is a list with weights to the one of these that the client
    /// likes best; of several, to the first one here. It is removed where the client likes none.
    /// What the origin is asked for is the same, so a response is right for all who get it.
    #[must_use]
    pub fn one_of<'c>(
        mut self,
        field: HeaderName,
        choices: impl IntoIterator<Item = &'c str>,
    ) -> Self {
        self.choices.push((field, choices.into_iter().map(Box::from).collect()));
        self
    }

    /// Whether a response that varies by these fields may be stored.
    pub(super) fn permits<'n>(&self, mut names: impl Iterator<Item = &'n HeaderName>) -> bool {
        self.vary.as_ref().is_none_or(|listed| names.all(|name| listed.contains(name)))
    }

    /// Whether it leaves the fields of every request as they are.
    pub(super) fn leaves_fields(&self) -> bool {
        self.choices.is_empty()
    }

    /// Rewrites the fields of a request.
    pub(super) fn normalise(&self, headers: &mut HeaderMap) {
        for (field, choices) in &self.choices {
            if !headers.contains_key(field) {
                continue;
            }
            let value = best(headers, field, choices).map(HeaderValue::from_str);
            match value {
                Some(Ok(value)) => drop(headers.insert(field, value)),
                Some(Err(_)) | None => drop(headers.remove(field)),
            }
        }
    }
}

/// The choice that the client gives the most weight; the first of several.
fn best<'c>(headers: &HeaderMap, field: &HeaderName, choices: &'c [Box<str>]) -> Option<&'c str> {
    let members = members(headers, field).ok()?;
    let mut best: Option<(u32, &str)> = None;
    for choice in choices {
        let weights = members.iter().filter_map(|member| weight(member, choice));
        // The most exact member counts: `de-AT` before `de` before `*`.
        let Some((_, weight)) = weights.max_by_key(|(exact, _)| *exact) else { continue };
        if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, choice));
        }
    }
    best.map(|(_, choice)| choice)
}

/// How exactly a member means a choice, and with which weight, in thousandths.
fn weight(member: &[u8], choice: &str) -> Option<(usize, u32)> {
    let mut parts = member.split(|&byte| byte == b';').map(trim);
    let name = std::str::from_utf8(parts.next()?).ok()?;
    let exact = if name == "*" {
        0
    } else if name.eq_ignore_ascii_case(choice) {
        name.len() + 1
    } else {
        // A longer language tag asks for the shorter one too (RFC 4647 section 3.4).
        let (beginning, rest) = name.split_at_checked(choice.len())?;
        (beginning.eq_ignore_ascii_case(choice) && rest.starts_with('-')).then_some(choice.len())?
    };
    let mut weight = 1000;
    for part in parts {
        if let [b'q' | b'Q', b'=', rest @ ..] = part {
            weight = thousandths(rest)?;
        }
    }
    Some((exact, weight))
}

/// A weight of RFC 9110 section 12.4.2.
fn thousandths(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part = format!("{part:0<3}").parse::<u32>().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};

    use super::*;

    fn normalised(field: HeaderName, choices: &[&str], line: &str) -> Option<String> {
        let selection = Selection::new().one_of(field.clone(), choices.iter().copied());
        let mut headers = HeaderMap::new();
        headers.insert(&field, line.parse().unwrap());
        selection.normalise(&mut headers);
        headers.get(field).map(|line| line.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_field_is_rewritten_to_what_the_client_likes_best() {
        let encoding = |line| normalised(ACCEPT_ENCODING, &["br", "gzip"], line);
        assert_eq!(encoding("gzip, deflate, BR").as_deref(), Some("br"));
        assert_eq!(encoding("gzip;q=1.0, br;q=0.5").as_deref(), Some("gzip"));
        assert_eq!(encoding("*").as_deref(), Some("br"));
        assert_eq!(encoding("br;q=0, *").as_deref(), Some("gzip"));
        assert_eq!(encoding("identity"), None);
        assert_eq!(encoding("gzip;q=2"), None);
        let language = |line| normalised(ACCEPT_LANGUAGE, &["en", "de"], line);
        assert_eq!(language("de-AT, en;q=0.8").as_deref(), Some("de"));
        assert_eq!(language("fr, e"), None);
    }
}
