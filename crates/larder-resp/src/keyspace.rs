//! The keyspace: which keys are declared, which are plain, and which are neither.
//!
//! The literal prefix of a template claims a namespace. A key in it matches exactly one template
//! or is a bad key, never a plain one: a misspelt `user:4 2` must not become a value of its own
//! that no database knows. Everything outside the namespaces is plain, as in Redis.
//!
//! Commands reach keys through here, so here it is noted for the key log what they do; only what
//! must be waited for is noted where it is awaited (`reads`).

mod sweep;
mod walk;

use std::sync::Arc;

use larder_core::{
    Answer, Error, ErrorKind, Key, KeyTemplate, Moment, Result, Terms, Value, Written,
};
use larder_engine::{Cache, Fill, Lookup, Plain, PlainChange, PlainHeld, Token};

use crate::companion::Companions;
use crate::key_log::{KeyLog, Op, size};
use crate::upstream::Upstream;

/// The longest plain key, in bytes. Declared keys are shorter.
pub const PLAIN_KEY_BYTES_MAX: usize = 64 * 1024;

/// A cache and the keys that belong to it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// What its keys look like.
    pub template: KeyTemplate,
    /// The cache, whose keys are the whole texts.
    pub cache: Cache<Key, Value>,
    /// In which column of its values the number stands that INCR and its kin count in; `None` where
    /// it is the whole value, or the only column beside those of the key.
    pub counter: Option<Box<str>>,
}

/// Where a key belongs.
#[derive(Clone, Debug)]
pub(crate) enum Home<'a> {
    /// It belongs to this cache, under this key: the one spelling of what was asked for.
    Declared(&'a Declared, Key),
    Plain(&'a Plain<Key, Value>),
}

/// Whose a key is, where plain keys live upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose<'a> {
    /// It is in the namespace of this cache, whether it fits the template or not.
    Cache(&'a Declared),
    /// It is a plain key.
    Upstream,
    /// It names what larder itself keeps upstream.
    Larder,
}

/// Whether this names what larder itself keeps upstream: keys and channels.
pub(crate) fn is_larders(name: &[u8]) -> bool {
    LARDERS.iter().any(|prefix| name.starts_with(prefix))
}

/// What the names begin with under which larder itself keeps something upstream.
pub(crate) const LARDERS: [&[u8]; 2] = [b"larder:", b"larder."];

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
    upstream: Option<Arc<dyn Upstream>>,
    companions: Option<Companions>,
    key_log: Option<Arc<KeyLog>>,
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
        Ok(Self { declared, by_first_byte, plain, upstream: None, companions: None, key_log: None })
    }

    /// Plain keys live in this Redis, under their own names, and none are held here: commands on
    /// them are passed through. They are not noted in the key log.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Arc<dyn Upstream>) -> Self {
        self.plain = None;
        self.upstream = Some(upstream);
        self
    }

    /// Plain keys upstream may have tags and leases, beside them in this namespace, which is that
    /// of the engine's shared tier: the same Redis. It must be one server, or the master of one: a
    /// script looks at the keys and at the marks of that tier together.
    #[must_use]
    pub fn with_companions(mut self, namespace: &str) -> Self {
        self.companions = Some(Companions::new(namespace));
        self
    }

    /// Where the companions of plain keys are, if they may have any.
    pub(crate) fn companions(&self) -> Option<&Companions> {
        self.companions.as_ref()
    }

    /// Where plain keys live, if not here.
    #[must_use]
    pub fn upstream(&self) -> Option<&Arc<dyn Upstream>> {
        self.upstream.as_ref()
    }

    /// Whose `key` is, where plain keys live upstream.
    #[inline]
    pub(crate) fn whose(&self, key: &[u8]) -> Whose<'_> {
        match self.claims(key).next() {
            Some(declared) => Whose::Cache(declared),
            None if is_larders(key) => Whose::Larder,
            None => Whose::Upstream,
        }
    }

    /// Whether keys of a cache may begin so, or keys that begin so may be of a cache or larder's.
    pub(crate) fn may_reach(&self, beginning: &[u8]) -> bool {
        let meets = |prefix: &[u8]| prefix.starts_with(beginning) || beginning.starts_with(prefix);
        let of_caches = self.declared.iter().map(|cache| cache.template.prefix().as_bytes());
        of_caches.chain(LARDERS).any(meets)
    }

    /// Notes in this log what is done with the keys.
    #[must_use]
    pub fn with_key_log(mut self, log: KeyLog) -> Self {
        self.key_log = Some(Arc::new(log));
        self
    }

    /// Where it is noted what is done with the keys, if it is.
    #[must_use]
    pub fn key_log(&self) -> Option<&Arc<KeyLog>> {
        self.key_log.as_ref()
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
        if let Some(held) = only.and_then(|only| self.fresh(only, key, now, &mut read)) {
            return Ok(Found::Held(held));
        }
        match self.home(key)? {
            Home::Plain(plain) => {
                let mut found = (0, Moment::MAX);
                let held = plain.get(key, now, |value, until| {
                    found = (size(value), until);
                    read(Some(value))
                });
                if let Some(log) = &self.key_log {
                    log.plain(Op::Read, key, found.0, found.1, now);
                }
                Ok(Found::Held(held.unwrap_or_else(|| read(None))))
            }
            Home::Declared(declared, meant) => {
                let looked = only.is_some() && meant.as_bytes() == key;
                let look = || self.fresh(declared, meant.as_bytes(), now, &mut read);
                match (!looked).then(look).flatten() {
                    Some(held) => Ok(Found::Held(held)),
                    None => Ok(Found::Missing(declared, meant)),
                }
            }
        }
    }

    /// Reads a fresh entry of a cache.
    #[inline]
    fn fresh<R>(
        &self,
        declared: &Declared,
        key: &[u8],
        now: Moment,
        read: &mut impl FnMut(Option<&Value>) -> R,
    ) -> Option<R> {
        let mut found = None;
        let held = declared.cache.fresh(key, now, |value| {
            found = value.map(size);
            read(value)
        })?;
        if let Some(log) = &self.key_log {
            log.loaded(Op::Read, key, declared.cache.window(), found);
        }
        Some(held)
    }

    /// Looks up a key of a cache: see [`Cache::lookup_here`].
    pub(crate) fn lookup(&self, declared: &Declared, key: &Key) -> Lookup<Key, Value> {
        let found = declared.cache.lookup_here(key);
        if let Some(log) = &self.key_log {
            let size = match &found {
                Lookup::Hit(answer) => answer.value.as_ref().map(size),
                Lookup::Miss(_) => None,
            };
            log.loaded(Op::Read, key.as_bytes(), declared.cache.window(), size);
        }
        found
    }

    /// Looks up a plain key: see [`Plain::lookup`].
    pub(crate) fn lookup_plain(
        &self,
        plain: &Plain<Key, Value>,
        key: &Key,
        now: Moment,
    ) -> Result<Answer<Value>, Token> {
        let found = plain.lookup(key);
        if let Some(log) = &self.key_log {
            let value = found.as_ref().ok().and_then(|answer| answer.value.as_ref());
            // The answer doesn't tell when it expires.
            log.plain(Op::Read, key.as_bytes(), value.map_or(0, size), Moment::MAX, now);
        }
        found
    }

    /// Fills a key of a cache with what its client loaded, on these terms; `None` when the token
    /// isn't the key's.
    pub(crate) fn fill(
        &self,
        declared: &Declared,
        key: &Key,
        token: Token,
        value: Value,
        terms: &Terms,
    ) -> Option<Fill> {
        let size = size(&value);
        let filled = declared.cache.redeem(key, token)?.fill_on(Some(value), terms);
        if let (Some(log), Fill::Stored) = (&self.key_log, filled) {
            log.loaded(Op::Write, key.as_bytes(), declared.cache.window(), Some(size));
        }
        Some(filled)
    }

    /// Fills a plain key: see [`Plain::fill`].
    pub(crate) fn fill_plain(
        &self,
        plain: &Plain<Key, Value>,
        key: &Key,
        token: Token,
        (value, until): (Value, Moment),
        now: Moment,
    ) -> Option<Fill> {
        let size = size(&value);
        let filled = plain.fill(key, token, value, until)?;
        if let (Some(log), Fill::Stored) = (&self.key_log, filled) {
            log.plain(Op::Write, key.as_bytes(), size, until, now);
        }
        Some(filled)
    }

    /// Notes what the write of a row has left in memory: what was written, or nothing.
    pub(crate) fn note_written(
        &self,
        cache: &Cache<Key, Value>,
        key: &Key,
        written: &Written<Value>,
    ) {
        let Some(log) = &self.key_log else { return };
        match written {
            Written::Value(value) if cache.held_until(key).is_some() => {
                log.loaded(Op::Write, key.as_bytes(), cache.window(), Some(size(value)));
            }
            _ => log.removed(key.as_bytes()),
        }
    }

    /// Changes a plain key: see [`Plain::update`].
    pub(crate) fn update<R>(
        &self,
        plain: &Plain<Key, Value>,
        key: &Key,
        now: Moment,
        change: impl FnOnce(Option<PlainHeld<'_, Value>>) -> (PlainChange<Value>, R),
    ) -> Result<R> {
        let mut put = None;
        let mut removed = false;
        let result = plain.update(key, now, |held| {
            let (change, result) = change(held);
            match &change {
                PlainChange::Keep => {}
                PlainChange::Put { value, expires_at }
                | PlainChange::PutTagged { value, expires_at, .. }
                | PlainChange::Revise { value, expires_at } => {
                    put = Some((size(value), *expires_at));
                }
                PlainChange::Remove => removed = true,
            }
            (change, result)
        })?;
        if let Some(log) = &self.key_log {
            if let Some((size, until)) = put {
                log.plain(Op::Write, key.as_bytes(), size, until, now);
            } else if removed {
                log.removed(key.as_bytes());
            }
        }
        Ok(result)
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
        if let Some(upstream) = &self.upstream {
            let message = match upstream.is_divided() {
                true => {
                    "plain keys live in the shared Redis, which is a cluster: this command is \
                     about tags and leases, and those need one server that has keys and marks alike"
                }
                false => "plain keys live in the shared Redis, which knows nothing of this command",
            };
            return Err(Error::new(ErrorKind::Refused, message).for_key(shown(key)));
        }
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
pub(crate) fn shown(key: &[u8]) -> String {
    key[..key.len().min(128)].escape_ascii().to_string()
}
