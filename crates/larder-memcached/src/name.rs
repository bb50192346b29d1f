//! What a key is called on the server.
//!
//! Memcached takes names of at most 250 bytes without spaces and control characters.
//!
//! ```text
//! NAMESPACE ':' key        as it is, where the server takes it
//! NAMESPACE ':' key        in Base64 with the flag b, where it has other bytes; the server
//!                          decodes it
//! NAMESPACE '#' 32 digits  a hash of 128 bits, where either is too long
//! ```
//!
//! A namespace has neither `:` nor `#`, so two keys get one name only where hashes collide, and
//! somebody who wants to can find such keys. So what is stored under a hash begins with the whole
//! key, which is compared at each read: a collision costs loads and is never a wrong answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use rapidhash::v3::{RapidSecrets, rapidhash_v3, rapidhash_v3_seeded};

/// The longest name, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 250;
/// The longest key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 64 << 10;
/// The longest namespace, in bytes.
pub(crate) const NAMESPACE_BYTES_MAX: usize = 64;

/// What makes the second half of a hash another one than the first.
const SECOND_HALF: RapidSecrets = RapidSecrets::seed_cpp(0x6c61_7264_6572);

/// The name of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    wire: Bytes,
    form: Form,
    hash: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Base64,
    /// The length of the key in four bytes, and the key: what the data begins with.
    Hashed(Bytes),
}

impl Name {
    /// The name of `key`, which has at most [`KEY_BYTES_MAX`] bytes.
    pub(crate) fn new(namespace: &str, key: &[u8]) -> Self {
        let whole = [namespace.as_bytes(), b":", key].concat();
        let is_plain = whole.iter().all(u8::is_ascii_graphic);
        let wire_bytes = if is_plain { whole.len() } else { whole.len().div_ceil(3) * 4 };
        if wire_bytes > NAME_BYTES_MAX {
            return Self::hashed(namespace, key);
        }
        let hash = rapidhash_v3(&whole);
        if is_plain {
            return Self { wire: whole.into(), form: Form::Plain, hash };
        }
        Self { wire: STANDARD.encode(&whole).into(), form: Form::Base64, hash }
    }

    fn hashed(namespace: &str, key: &[u8]) -> Self {
        let halves = (rapidhash_v3(key), rapidhash_v3_seeded(key, &SECOND_HALF));
        let wire = format!("{namespace}#{:016x}{:016x}", halves.0, halves.1);
        let hash = rapidhash_v3(wire.as_bytes());
        let mut head = BytesMut::with_capacity(4 + key.len());
        head.put_u32(u32::try_from(key.len()).expect("a key has at most 64 KiB"));
        head.put_slice(key);
        Self { wire: wire.into(), form: Form::Hashed(head.freeze()), hash }
    }

    /// As it is sent.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether the server is to decode it.
    pub(crate) fn is_base64(&self) -> bool {
        self.form == Form::Base64
    }

    /// The same in every process and version: it decides which server has the key.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// What the data of the item begins with, before the envelope.
    pub(crate) fn head(&self) -> Bytes {
        match &self.form {
            Form::Plain | Form::Base64 => Bytes::new(),
            Form::Hashed(head) => head.clone(),
        }
    }

    /// The envelope in the data of the item; `None` when it is another key's.
    pub(crate) fn open(&self, data: &Bytes) -> Option<Bytes> {
        match &self.form {
            Form::Plain | Form::Base64 => Some(data.clone()),
            Form::Hashed(head) => data.starts_with(head).then(|| data.slice(head.len()..)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_as_plain_as_the_server_takes_it() {
        let plain = Name::new("shop", b"user:42");
        assert_eq!((plain.wire(), plain.is_base64()), (&b"shop:user:42"[..], false));
        let spaced = Name::new("shop", b"a key");
        assert_eq!((spaced.wire(), spaced.is_base64()), (&b"c2hvcDphIGtleQ=="[..], true));
        let fits = Name::new("shop", &[b'k'; 245]);
        assert_eq!(fits.wire().len(), NAME_BYTES_MAX);
        let long = Name::new("shop", &[b'k'; 246]);
        assert!(long.wire().starts_with(b"shop#") && long.wire().len() == 37);
        let long = Name::new("shop", &[0; 200]);
        assert!(long.wire().starts_with(b"shop#") && !long.is_base64());
    }

    /// Other processes, and later versions, must find what this one stored.
    #[test]
    fn names_and_their_hashes_stay_as_they_are() {
        let long = Name::new("shop", &[b'k'; 300]);
        assert_eq!(long.wire(), b"shop#36bcc013fe887f0e72a58fe7b9469856");
        assert_eq!(Name::new("shop", b"user:42").hash(), 1_744_622_102_384_554_627);
    }

    #[test]
    fn data_of_another_key_with_the_same_hash_is_not_opened() {
        let (name, other) = (Name::new("n", &[b'a'; 300]), Name::new("n", &[b'b'; 300]));
        let data = |name: &Name| Bytes::from([&name.head()[..], b"envelope"].concat());
        assert_eq!(name.open(&data(&name)).as_deref(), Some(&b"envelope"[..]));
        assert_eq!(name.open(&data(&other)), None);
        assert_eq!(name.open(&Bytes::from_static(b"envelope")), None);
        // The length stands before the key, so that one that begins like the other is another.
        let longer = Name::new("n", &[b'a'; 301]);
        assert_eq!(name.open(&data(&longer)), None);
    }

    proptest! {
        #[test]
        fn a_name_is_what_the_server_takes_and_no_other_keys(
            one in prop::collection::vec(any::<u8>(), 0..400),
            other in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let (name, others) = (Name::new("n", &one), Name::new("n", &other));
            prop_assert!(name.wire().len() <= NAME_BYTES_MAX);
            prop_assert!(name.wire().iter().all(u8::is_ascii_graphic));
            prop_assert_eq!(one == other, name == others);
        }
    }
}
