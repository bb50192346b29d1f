//! What our things are called there.
//!
//! ```text
//! NS:{K}              the entry of a key
//! NS.l:{K}:L          its lease: a token, the run that granted it, and when
//! NS.l:{K}:W          the intents of its writers, by when they end
//! NS.l:{K}:O          the writer that was alone
//! NS.b:{bus}:head     where the bus stands: its run, and the number of the last announcement
//! NS.b:{bus}:stream   the announcements
//! NS.b:{bus}:marks    the marks
//! NS.j:{name}:head    who has a journal, and which records it holds
//! NS.j:{name}:log     its records
//! NS.p:…              beside plain keys: the scripts of larder-resp
//! ```
//!
//! K is the key; what would end the braces, and the sign that says so, is written `%7B`, `%7D` and
//! `%25`, and the empty key `%`. A cluster places by what is in the braces, so everything of a key
//! lives on one server, and everything of the bus on one.

use bytes::{BufMut, Bytes, BytesMut};

/// The names within a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    namespace: Box<str>,
    /// Where the bus stands.
    pub(crate) head: Bytes,
    /// The announcements.
    pub(crate) stream: Bytes,
    /// The marks.
    pub(crate) marks: Bytes,
}

impl Names {
    pub(crate) fn new(namespace: &str) -> Self {
        let bus = |what: &str| Bytes::from(format!("{namespace}.b:{{bus}}:{what}"));
        Self {
            head: bus("head"),
            stream: bus("stream"),
            marks: bus("marks"),
            namespace: namespace.into(),
        }
    }

    /// The entry of a key.
    pub(crate) fn value(&self, key: &[u8]) -> Bytes {
        self.of_key(":", key, "")
    }

    /// How the names of all entries begin, and no other name does.
    pub(crate) fn entries(&self) -> Bytes {
        format!("{}:{{", self.namespace).into()
    }

    /// The key whose entry has this name.
    pub(crate) fn key(&self, name: &[u8]) -> Option<Vec<u8>> {
        let spelt = name.strip_prefix(&self.entries()[..])?.strip_suffix(b"}")?;
        if spelt == b"%" {
            return Some(Vec::new());
        }
        let mut key = Vec::with_capacity(spelt.len());
        let mut rest = spelt;
        while let Some((&first, after)) = rest.split_first() {
            let (byte, after) = match (first, after) {
                (b'%', [b'7', b'B', after @ ..]) => (b'{', after),
                (b'%', [b'7', b'D', after @ ..]) => (b'}', after),
                (b'%', [b'2', b'5', after @ ..]) => (b'%', after),
                (b'%' | b'{' | b'}', _) => return None,
                (byte, after) => (byte, after),
            };
            key.push(byte);
            rest = after;
        }
        (!key.is_empty()).then_some(key)
    }

    /// The head and the log of a journal.
    pub(crate) fn journal(&self, name: &str) -> [Bytes; 2] {
        let of = |what: &str| format!("{}.j:{{{name}}}:{what}", self.namespace).into();
        [of("head"), of("log")]
    }

    /// The lease of a key.
    pub(crate) fn lease(&self, key: &[u8]) -> Bytes {
        self.of_key(".l:", key, ":L")
    }

    /// The intents of a key's writers.
    pub(crate) fn intents(&self, key: &[u8]) -> Bytes {
        self.of_key(".l:", key, ":W")
    }

    /// The writer of a key that was alone.
    pub(crate) fn owner(&self, key: &[u8]) -> Bytes {
        self.of_key(".l:", key, ":O")
    }

    fn of_key(&self, kind: &str, key: &[u8], end: &str) -> Bytes {
        let mut name = BytesMut::with_capacity(self.namespace.len() + key.len() + 8);
        name.put_slice(self.namespace.as_bytes());
        name.put_slice(kind.as_bytes());
        name.put_u8(b'{');
        if key.is_empty() {
            name.put_u8(b'%');
        }
        for &byte in key {
            match byte {
                b'{' => name.put_slice(b"%7B"),
                b'}' => name.put_slice(b"%7D"),
                b'%' => name.put_slice(b"%25"),
                byte => name.put_u8(byte),
            }
        }
        name.put_u8(b'}');
        name.put_slice(end.as_bytes());
        name.freeze()
    }
}

/// What a cluster places by: what is in the first braces, or everything where there are none.
pub(crate) fn tag(name: &[u8]) -> &[u8] {
    let Some(start) = name.iter().position(|&byte| byte == b'{').map(|at| at + 1) else {
        return name;
    };
    match name[start..].iter().position(|&byte| byte == b'}') {
        None | Some(0) => name,
        Some(length) => &name[start..start + length],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_as_they_are_drawn() {
        let names = Names::new("shop");
        assert_eq!(names.value(b"user:7"), "shop:{user:7}");
        assert_eq!(names.lease(b"user:7"), "shop.l:{user:7}:L");
        assert_eq!(names.intents(b"a{b}%"), "shop.l:{a%7Bb%7D%25}:W");
        assert_eq!(names.owner(b""), "shop.l:{%}:O");
        assert_eq!(names.head, "shop.b:{bus}:head");
        assert_eq!(names.journal("web-1")[1], "shop.j:{web-1}:log");
    }

    #[test]
    fn a_name_that_no_entry_has_is_no_key() {
        let names = Names::new("shop");
        assert_eq!(names.key(b"shop:{user/7}"), Some(b"user/7".to_vec()));
        for name in
            ["shop:{}", "shop:{a", "shop:{a}b", "shop:{%7C}", "shop:{a%}", "shop.b:{bus}:head"]
        {
            assert_eq!(names.key(name.as_bytes()), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn two_keys_never_get_the_same_name_and_one_key_has_one_place(
            one in prop::collection::vec(any::<u8>(), 0..6),
            other in prop::collection::vec(prop::sample::select(&b"{}%7BD25a"[..]), 0..6),
        ) {
            let names = Names::new("shop");
            prop_assert_eq!(one == other, names.value(&one) == names.value(&other));
            prop_assert_eq!(names.key(&names.value(&one)), Some(one.clone()));
            prop_assert_eq!(names.key(&names.lease(&one)), None);
            for key in [&one, &other] {
                let place = |name: Bytes| Bytes::copy_from_slice(tag(&name));
                let value = names.value(key);
                let length = value.len() - "shop:{}".len();
                let at = place(value);
                prop_assert_eq!(at.len(), length);
                prop_assert_eq!(&at, &place(names.lease(key)));
                prop_assert_eq!(&at, &place(names.intents(key)));
                prop_assert_eq!(&at, &place(names.owner(key)));
            }
        }
    }
}
