//! What a record of the journal says, for whoever looks at a journal from outside.
//!
//! It reads bytes and nothing else: no journal, no sink, no cache. Whether a record was applied
//! only the sink knows.

use larder_core::Result;

use super::record::{self, decode};

/// An acknowledged write, as its record in the journal says it. It borrows from the record, and
/// allocates nothing.
///
/// ```
/// use larder_engine::behind::{DescribedWrite, describe};
///
/// # let record = [&[1, 3, 0, 0, 0, 0, 0, 0, 0, 3][..], &[0; 8], &[4], b"user", &[0, 6],
/// #     b"user:7", &[0, 0, 0, 0, 0, 0, 0, 2]].concat();
/// let described = describe(&record)?;
/// assert_eq!((described.cache, described.key, described.epoch), ("user", "user:7", 3));
/// assert_eq!(described.write, DescribedWrite::Add(2));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described<'a> {
    /// The cache that it is written through.
    pub cache: &'a str,
    /// The text of its key.
    pub key: &'a str,
    /// Under whose ownership it was acknowledged. With the record's number it is the write's
    /// [`Sequence`](larder_core::sink::Sequence).
    pub epoch: u64,
    /// The dead letter that is tried again, if it is one.
    pub letter: Option<u64>,
    /// What is written.
    pub write: DescribedWrite<'a>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescribedWrite<'a> {
    /// A value is stored.
    Store {
        /// How its bytes are to be read: a number of
        /// [`encoding`](larder_core::envelope::encoding).
        encoding: u8,
        /// The value, as the cache's codec has written it.
        value: &'a [u8],
    },
    /// The key is deleted.
    Delete,
    /// So much is added.
    Add(i64),
}

/// What a record says.
///
/// # Errors
///
/// `Config` when it is damaged, or was written by a later version.
pub fn describe(record: &[u8]) -> Result<Described<'_>> {
    let record::Entry { cache, key, epoch, letter, what } = decode(record)?;
    let write = match what {
        record::What::Store { encoding, value } => DescribedWrite::Store { encoding, value },
        record::What::Delete => DescribedWrite::Delete,
        record::What::Add(difference) => DescribedWrite::Add(difference),
    };
    Ok(Described { cache, key, epoch, letter, write })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_described() {
        let entry =
            |what| record::Entry { cache: "user", key: "user:7", epoch: 3, letter: Some(9), what };
        for (what, write) in [
            (
                record::What::Store { encoding: 1, value: b"{}" },
                DescribedWrite::Store { encoding: 1, value: b"{}" },
            ),
            (record::What::Delete, DescribedWrite::Delete),
            (record::What::Add(-5), DescribedWrite::Add(-5)),
        ] {
            let bytes = entry(what).encode().unwrap();
            let expected =
                Described { cache: "user", key: "user:7", epoch: 3, letter: Some(9), write };
            assert_eq!(describe(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_record_says_so() {
        let bytes = record::Entry {
            cache: "user",
            key: "user:7",
            epoch: 3,
            letter: None,
            what: record::What::Add(1),
        };
        let bytes = bytes.encode().unwrap();
        for end in 0..bytes.len() {
            assert!(describe(&bytes[..end]).unwrap_err().to_string().contains("damaged"));
        }
        assert!(describe(&[9]).unwrap_err().to_string().contains("version 9"));
    }
}
