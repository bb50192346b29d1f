//! An acknowledged write as a record of the journal, and back.
//!
//! ```text
//! 0      1     2        10        18      19            19+c    21+c         21+c+k
//! +------+-----+--------+---------+-------+-------------+-------+------------+---------+
//! | 0x01 | how | epoch  | letter  | c     | cache       | k     | key        | what    |
//! +------+-----+--------+---------+-------+-------------+-------+------------+---------+
//! ```
//!
//! Numbers have their highest byte first. `how` is 1 to store, 2 to delete and 3 to add; `what` is
//! the number of the value's encoding in one byte and the value as the cache's codec writes it,
//! nothing, or the difference in eight bytes. A letter of zero is none.

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};

const VERSION: u8 = 1;
const STORE: u8 = 1;
const DELETE: u8 = 2;
const ADD: u8 = 3;

/// A write whose key and value are still bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) cache: &'a str,
    pub(crate) key: &'a str,
    pub(crate) epoch: u64,
    pub(crate) letter: Option<u64>,
    pub(crate) what: What<'a>,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What<'a> {
    Store { encoding: u8, value: &'a [u8] },
    Delete,
    Add(i64),
}

impl Entry<'_> {
    /// As a record.
    pub(crate) fn encode(&self) -> Result<Bytes> {
        let (how, head, what): (u8, &[u8], &[u8]) = match &self.what {
            What::Store { encoding, value } => (STORE, std::slice::from_ref(encoding), value),
            What::Delete => (DELETE, &[], &[]),
            What::Add(difference) => (ADD, &[], &difference.to_be_bytes()),
        };
        let too_long = |what: &str| {
            let message = format!("the {what} is too long to be written behind");
            Error::new(ErrorKind::BadKey, message).for_key(self.key)
        };
        let cache = u8::try_from(self.cache.len()).map_err(|_| too_long("name of the cache"))?;
        let key = u16::try_from(self.key.len()).map_err(|_| too_long("key"))?;
        let mut bytes = Vec::with_capacity(22 + self.cache.len() + self.key.len() + what.len());
        bytes.extend([VERSION, how]);
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.letter.unwrap_or(0).to_be_bytes());
        bytes.push(cache);
        bytes.extend(self.cache.as_bytes());
        bytes.extend(key.to_be_bytes());
        bytes.extend(self.key.as_bytes());
        bytes.extend(head);
        bytes.extend(what);
        Ok(bytes.into())
    }
}

/// What a record says.
pub(crate) fn decode(record: &[u8]) -> Result<Entry<'_>> {
    read(record).ok_or_else(|| {
        let message = match record.first() {
            Some(&VERSION) | None => "a record of the journal is damaged".to_owned(),
            Some(version) => format!(
                "a record of the journal has version {version}, which this larder doesn't know: \
                 start the version that wrote it, and let it apply what is pending"
            ),
        };
        Error::new(ErrorKind::Config, message)
    })
}

fn read(record: &[u8]) -> Option<Entry<'_>> {
    let rest = record.strip_prefix(&[VERSION])?;
    let (&how, rest) = rest.split_first()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (letter, rest) = rest.split_first_chunk()?;
    let (&length, rest) = rest.split_first()?;
    let (cache, rest) = rest.split_at_checked(length.into())?;
    let (length, rest) = rest.split_first_chunk()?;
    let (key, what) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let what = match how {
        STORE => {
            let (&encoding, value) = what.split_first()?;
            What::Store { encoding, value }
        }
        DELETE if what.is_empty() => What::Delete,
        ADD => What::Add(i64::from_be_bytes(what.try_into().ok()?)),
        _ => return None,
    };
    Some(Entry {
        cache: std::str::from_utf8(cache).ok()?,
        key: std::str::from_utf8(key).ok()?,
        epoch: u64::from_be_bytes(*epoch),
        letter: Some(u64::from_be_bytes(*letter)).filter(|&letter| letter != 0),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: What<'_>) -> Entry<'_> {
        Entry { cache: "user", key: "7", epoch: 3, letter: None, what }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let dead = Entry { letter: Some(9), ..entry(What::Delete) };
        let stored = |value| entry(What::Store { encoding: 1, value });
        for entry in [stored(b"{}"), stored(b""), entry(What::Add(-5)), dead] {
            assert_eq!(decode(&entry.encode().unwrap()).unwrap(), entry);
        }
    }

    #[test]
    fn a_record_has_these_bytes() {
        let record = entry(What::Add(2)).encode().unwrap();
        let head = [1, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 4];
        let expected = [&head[..], b"user", &[0, 1], b"7", &[0, 0, 0, 0, 0, 0, 0, 2]].concat();
        assert_eq!(record, expected);
    }

    #[test]
    fn a_record_that_is_cut_or_of_another_version_says_so() {
        let record = entry(What::Add(2)).encode().unwrap();
        for end in 0..record.len() {
            let error = decode(&record[..end]).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{error}");
        }
        let mut later = record.to_vec();
        later[0] = 2;
        assert!(decode(&later).unwrap_err().to_string().contains("version 2"));
        later[0] = 1;
        later[1] = 4;
        assert!(decode(&later).is_err());
    }

    #[test]
    fn names_are_taken_up_to_what_their_length_can_say() {
        let (cache, key) = ("c".repeat(255), "k".repeat(65_535));
        let longest = Entry { cache: &cache, key: &key, ..entry(What::Delete) };
        assert_eq!(decode(&longest.encode().unwrap()).unwrap(), longest);
        let (cache, key) = ("c".repeat(256), "k".repeat(65_536));
        assert!(Entry { cache: &cache, ..entry(What::Delete) }.encode().is_err());
        assert!(Entry { key: &key, ..entry(What::Delete) }.encode().is_err());
    }
}
