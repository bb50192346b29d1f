//! No-Vary-Search: which parts of a query make no difference to a response
//! (draft-ietf-httpbis-no-vary-search-10).
//!
//! It reads the field and gives queries with the same meaning the same text. Which responses are
//! looked for under it is the store's to say (see `searches` in the layer): the field comes with a
//! response, and a key is made of a request.

use std::fmt::{self, Write};

use http::{HeaderMap, HeaderName};

use crate::structured::{Item, dictionary};

const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// The parameters of a query that are looked at; a query with more is compared as it is.
const PARAMETERS_MAX: usize = 1024;

/// What of a query a response depends on.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::SearchVariance;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("no-vary-search", "key-order, params=(\"utm_source\")".parse().unwrap());
/// let variance = SearchVariance::of(&headers);
/// let query = variance.normal(Some("b=2&utm_source=x&a=1"));
/// assert_eq!(query.unwrap(), "a=1&b=2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SearchVariance {
    parameters: Parameters,
    /// The order of parameters with different names makes no difference.
    any_order: bool,
}

/// Names, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parameters {
    /// All make a difference but these.
    AllBut(Vec<String>),
    /// Only these do.
    Only(Vec<String>),
}

impl Default for Parameters {
    fn default() -> Self {
        Self::AllBut(Vec::new())
    }
}

impl SearchVariance {
    /// What a response's No-Vary-Search says. One that can't be read, or isn't there, says that the
    /// whole query makes a difference.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        dictionary(headers, NO_VARY_SEARCH).ok().and_then(|said| read(&said)).unwrap_or_default()
    }

    /// Whether the whole query makes a difference, to the byte.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// The query in a form that is the same for all that make no difference. One that can't be told
    /// from none is none.
    #[must_use]
    pub fn normal(&self, query: Option<&str>) -> Option<String> {
        let query = query?;
        let separators = query.bytes().filter(|&byte| byte == b'&').count();
        if self.is_exact() || separators >= PARAMETERS_MAX {
            return Some(query.to_owned());
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        let mut pairs: Vec<_> = pairs.filter(|(name, _)| self.depends_on(name)).collect();
        if self.any_order {
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        let texts = pairs.iter().map(|(name, value)| format!("{}={}", coded(name), coded(value)));
        let texts: Vec<String> = texts.collect();
        (!texts.is_empty()).then(|| texts.join("&"))
    }

    fn depends_on(&self, name: &String) -> bool {
        match &self.parameters {
            Parameters::AllBut(names) => names.binary_search(name).is_err(),
            Parameters::Only(names) => names.binary_search(name).is_ok(),
        }
    }

    /// What its names take on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let (Parameters::AllBut(names) | Parameters::Only(names)) = &self.parameters;
        names.iter().map(|name| size_of::<String>() + name.capacity()).sum()
    }
}

/// As the value of a field that says the same; empty where the whole query makes a difference.
impl fmt::Display for SearchVariance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| {
            let names: Vec<String> =
                names.iter().map(|name| format!("\"{}\"", coded(name))).collect();
            names.join(" ")
        };
        let mut members = Vec::new();
        if self.any_order {
            members.push("key-order".to_owned());
        }
        match &self.parameters {
            Parameters::AllBut(names) if names.is_empty() => {}
            Parameters::AllBut(names) => members.push(format!("params=({})", list(names))),
            Parameters::Only(names) if names.is_empty() => members.push("params".to_owned()),
            Parameters::Only(names) => members.push(format!("params, except=({})", list(names))),
        }
        f.write_str(&members.join(", "))
    }
}

/// What the members say; none if one of them is of another type, or if they contradict each other.
/// Others than these three mean nothing.
fn read(members: &[(String, Item)]) -> Option<SearchVariance> {
    let member = |key: &str| members.iter().find(|(known, _)| known == key).map(|(_, item)| item);
    let any_order = match member("key-order") {
        None => false,
        Some(Item::Boolean(any)) => *any,
        Some(_) => return None,
    };
    let parameters = match (member("params"), member("except")) {
        (None | Some(Item::Boolean(false)), None) => Parameters::default(),
        (Some(Item::Inner(but)), None) => Parameters::AllBut(names(but)?),
        (Some(Item::Boolean(true)), None) => Parameters::Only(Vec::new()),
        (Some(Item::Boolean(true)), Some(Item::Inner(only))) => Parameters::Only(names(only)?),
        _ => return None,
    };
    Some(SearchVariance { parameters, any_order })
}

fn names(items: &[Item]) -> Option<Vec<String>> {
    let name = |item: &Item| match item {
        Item::String(name) => Some(decoded(name)),
        _ => None,
    };
    let mut names: Vec<String> = items.iter().map(name).collect::<Option<_>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// What a part of a form says: spaces for plus signs, and what is written in percent.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(16 * high + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// A text as a part of a form, each in one way.
fn coded(text: &str) -> String {
    let mut coded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            coded.push(char::from(byte));
        } else {
            write!(coded, "%{byte:02X}").expect("a string takes all that is written");
        }
    }
    coded
}
