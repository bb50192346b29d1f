//! Keys of every shape, with every lint that warns turned into an error.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications)]

use larder::{CacheKey, KeyText};

/// A key whose fields have the names that the expansion uses itself.
#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
pub struct Names<T: Ord> {
    text: String,
    parts: u64,
    key: T,
}

/// A key that is a choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, CacheKey)]
pub enum Choice {
    /// One.
    One,
    /// The other.
    Other(bool),
}

fn main() {
    let key = Names { text: "a".to_owned(), parts: 1, key: 2_u8 };
    assert_eq!(KeyText::of(&key).as_deref(), Ok("a:1:2"));
    assert_eq!(KeyText::of(&(Choice::One, Choice::Other(true))).as_deref(), Ok(r"One:Other\:true"));
}
