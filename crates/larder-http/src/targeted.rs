//! Which field governs a response: the first targeted one that is meant for this cache and is
//! valid (RFC 9213 section 2.2), or else Cache-Control.

use http::{HeaderMap, HeaderName};

use crate::structured::{Item, Unstructured, dictionary};
use crate::{Fields, Lifetime, ResponseControl, Rules};

/// Where a response's directives come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Cache-Control, and Expires beside it.
    CacheControl,
    /// This targeted field alone: neither Cache-Control nor Expires counts.
    Targeted(HeaderName),
}

/// The directives that hold for a response in a cache with these rules.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{Lifetime, Rules, effective};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-control", "no-store".parse().unwrap());
/// headers.insert("cdn-cache-control", "max-age=60".parse().unwrap());
/// let (control, _) = effective(&headers, &Rules::shared());
/// assert!(!control.no_store && control.max_age == Lifetime::from_secs(60));
/// let (control, _) = effective(&headers, &Rules::private());
/// assert!(control.no_store && control.max_age == Lifetime::Absent);
/// ```
#[must_use]
pub fn effective(headers: &HeaderMap, rules: &Rules) -> (ResponseControl, Origin) {
    for name in &rules.targets {
        if let Ok(Some(control)) = targeted(headers, name) {
            return (control, Origin::Targeted(name.clone()));
        }
    }
    (ResponseControl::read(headers), Origin::CacheControl)
}

/// What a targeted field says; none if it is absent or empty.
fn targeted(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<ResponseControl>, Unstructured> {
    let members = dictionary(headers, name)?;
    if members.is_empty() {
        return Ok(None);
    }
    let mut control = ResponseControl::default();
    for (key, item) in &members {
        add(&mut control, key, item)?;
    }
    Ok(Some(control))
}

/// Takes in one directive. One with a value of another type makes the field invalid; one that
/// this cache doesn't know may have any.
fn add(control: &mut ResponseControl, key: &str, item: &Item) -> Result<(), Unstructured> {
    let flag = || match item {
        Item::Boolean(value) => Ok(*value),
        _ => Err(Unstructured::Malformed),
    };
    let time = || match item {
        Item::Integer(seconds) => {
            Ok(u64::try_from(*seconds).map_or(Lifetime::Invalid, Lifetime::from_secs))
        }
        _ => Err(Unstructured::Malformed),
    };
    let fields = || match item {
        Item::Boolean(false) => Fields::Absent,
        Item::String(list) => Fields::listed(list.as_bytes()),
        // What names fields in another way means all of them, which is stricter.
        _ => Fields::All,
    };
    match key {
        "no-store" => control.no_store = flag()?,
        "no-cache" => control.no_cache = fields(),
        "private" => control.private = fields(),
        "public" => control.public = flag()?,
        "must-revalidate" => control.must_revalidate = flag()?,
        "proxy-revalidate" => control.proxy_revalidate = flag()?,
        "must-understand" => control.must_understand = flag()?,
        "immutable" => control.immutable = flag()?,
        "max-age" => control.max_age = time()?,
        "s-maxage" => control.s_maxage = time()?,
        "stale-while-revalidate" => control.stale_while_revalidate = time()?,
        "stale-if-error" => control.stale_if_error = time()?,
        _ => {}
    }
    Ok(())
}
