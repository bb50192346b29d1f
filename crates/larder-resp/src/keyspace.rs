//! The keyspace: which keys are declared, which are plain, and which are neither.
//!
//! The literal prefix of a template claims a namespace. A key in it matches exactly one template
//! or is a bad key, never a plain one: a misspelt `user:4 2` must not become a value of its own
//! that no database knows. Everything outside the namespaces is plain, as in Redis.

use larder_core::{Error, ErrorKind, Key, KeyTemplate, Moment, Result, Value};
use larder_engine::{Cache, Plain};

/// The longest plain key, in bytes. Declared keys are shorter.
pub const PLAIN_KEY_BYTES_MAX: usize = 64 * 1024;

/// A cache and the keys that belong to it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// What its keys look like.
    pub template: KeyTemplate,
    /// The cache, whose keys are the whole texts.
    pub cache: Cache<Key, Value>,
}

/// Where a key belongs.
#[derive(Clone, Debug)]
pub(crate) enum Home<'a> {
    /// It belongs to this cache, under this key: the one spelling of what was asked for.
    Declared(&'a Declared, Key),
    Plain(&'a Plain<Key, Value>),
}

/// What reading a key without waiting came to.
#[derive(Debug)]
pub(crate) enum Found<'a, R> {
    /// It was read.
    Held(R),
    /// This cache is to be asked for it, under this key.
    Missing(&'a Declared, Key),
}

/// All keys that this server answers for.
#[derive(Debug)]
pub struct Keyspace {
    declared: Vec<Declared>,
    /// For each first byte, where the templates whose prefix begins with it stand.
    by_first_byte: Vec<(u16, u16)>,
    plain: Option<Plain<Key, Value>>,
}

impl Keyspace {
    /// A keyspace of these caches; `plain` keeps the keys outside their namespaces, if any may
    /// be kept.
    ///
    /// # Errors
    ///
    /// `Config` when two templates could match one key, or when there are more than 65,535.
    pub fn new(mut declared: Vec<Declared>, plain: Option<Plain<Key, Value>>) -> Result<Self> {
        refuse_overlaps(&declared)?;
        declared.sort_by(|a, b| a.template.prefix().cmp(b.template.prefix()));
        let at = |byte: u8| {
            let first = |entry: &Declared| entry.template.prefix().as_bytes().first().copied();
            let start = declared.partition_point(|entry| first(entry) < Some(byte));
            let end = declared.partition_point(|entry| first(entry) <= Some(byte));
            let narrow = |at: usize| u16::try_from(at).ok();
            Some((narrow(start)?, narrow(end)?))
        };
        let by_first_byte = (0..=u8::MAX).map(at).collect::<Option<Vec<_>>>();
        let Some(by_first_byte) = by_first_byte else {
            return Err(Error::new(ErrorKind::Config, "more than 65,535 caches are declared"));
        };
        Ok(Self { declared, by_first_byte, plain })
    }

    /// The declared caches.
    #[must_use]
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// The plain keys, if there may be any.
    #[must_use]
    pub fn plain(&self) -> Option<&Plain<Key, Value>> {
        self.plain.as_ref()
    }

    /// Where `key` belongs.
    pub(crate) fn home(&self, key: &[u8]) -> Result<Home<'_>> {
        let mut claims = self.claims(key).peekable();
        if claims.peek().is_none() {
            return self.plain_home(key);
        }
        let Ok(text) = std::str::from_utf8(key) else {
            return Err(bad_key(key, "a declared key is UTF-8".to_owned()));
        };
        let mut reasons = Vec::new();
        for declared in claims {
            match declared.template.matches(text) {
                Ok(_) => return Ok(Home::Declared(declared, Key::new(key))),
                Err(mismatch) => reasons.push(mismatch.to_string()),
            }
        }
        // A tool that pads numbers means the number, which has one key however it is asked for.
        let unpadded = |declared: &'_ Declared| declared.template.unpadded(text);
        let meant = self.claims(key).find_map(|declared| Some((declared, unpadded(declared)?)));
        meant
            .map(|(declared, key)| Home::Declared(declared, Key::from(key.as_str())))
            .ok_or_else(|| bad_key(key, reasons.join("; ")))
    }

    /// Reads `key` as far as that needs no waiting: a plain key, or a fresh entry of a cache.
    /// `read` gets `None` for an absence. What must be waited for comes back as the cache to ask,
    /// and the key to ask it for.
    ///
    /// What is held under a key was checked when it was filled, so where only one cache claims
    /// the namespace a hit doesn't look at the template.
    #[inline]
    pub(crate) fn read<R>(
        &self,
        key: &[u8],
        now: Moment,
        mut read: impl FnMut(Option<&Value>) -> R,
    ) -> Result<Found<'_, R>> {
        let mut claims = self.claims(key);
        let only = match (claims.next(), claims.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        };
        if let Some(held) = only.and_then(|only| only.cache.fresh(key, now, &mut read)) {
            return Ok(Found::Held(held));
        }
        match self.home(key)? {
            Home::Plain(plain) => {
                let held = plain.get(key, now, |value, _| read(Some(value)));
                Ok(Found::Held(held.unwrap_or_else(|| read(None))))
            }
            Home::Declared(declared, meant) => {
                let looked = only.is_some() && meant.as_bytes() == key;
                let look = || declared.cache.fresh(meant.as_bytes(), now, read);
                match (!looked).then(look).flatten() {
                    Some(held) => Ok(Found::Held(held)),
                    None => Ok(Found::Missing(declared, meant)),
                }
            }
        }
    }

    /// The caches whose namespace `key` is in.
    #[inline]
    fn claims<'a, 'k>(&'a self, key: &'k [u8]) -> impl Iterator<Item = &'a Declared> + use<'a, 'k> {
        let (start, end) =
            key.first().map_or((0, 0), |&first| self.by_first_byte[usize::from(first)]);
        self.declared[usize::from(start)..usize::from(end)]
            .iter()
            .filter(move |declared| key.starts_with(declared.template.prefix().as_bytes()))
    }

    fn plain_home(&self, key: &[u8]) -> Result<Home<'_>> {
        if key.len() > PLAIN_KEY_BYTES_MAX {
            let reason = format!("a plain key has at most {PLAIN_KEY_BYTES_MAX} bytes");
            return Err(bad_key(key, reason));
        }
        self.plain.as_ref().map(Home::Plain).ok_or_else(|| {
            let message = "no declared cache claims this key, and plain keys are switched off";
            Error::new(ErrorKind::BadKey, message).for_key(shown(key))
        })
    }
}

fn refuse_overlaps(declared: &[Declared]) -> Result<()> {
    for (at, one) in declared.iter().enumerate() {
        for other in &declared[at + 1..] {
            if let Some(example) = one.template.overlaps(&other.template) {
                let message = format!(
                    "{} of the cache {} and {} of the cache {} could both match {example}: \
                     one key must belong to one cache",
                    one.template.text(),
                    one.cache.name(),
                    other.template.text(),
                    other.cache.name(),
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
    }
    Ok(())
}

fn bad_key(key: &[u8], reason: String) -> Error {
    Error::new(ErrorKind::BadKey, reason).for_key(shown(key))
}

/// The beginning of a key, for people.
fn shown(key: &[u8]) -> String {
    key[..key.len().min(128)].escape_ascii().to_string()
}
