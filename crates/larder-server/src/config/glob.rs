//! Patterns of paths and names: `*` is any text without a `/`, `**` any text.
//!
//! Matching takes at most the length of the text times that of the pattern, whatever both are.

use std::fmt;

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;

/// A pattern.
///
/// ```
/// use larder_server::config::Glob;
///
/// let assets = Glob::new("/assets/**.css").unwrap();
/// assert!(assets.matches(b"/assets/a/b.css") && !assets.matches(b"/assets/a.js"));
/// let flat = Glob::new("/assets/*.css").unwrap();
/// assert!(flat.matches(b"/assets/a.css") && !flat.matches(b"/assets/a/b.css"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(Box<[Piece]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// This byte.
    Byte(u8),
    /// Any bytes but `/`.
    Some,
    /// Any bytes.
    Any,
}

/// Where to go on when what follows a star doesn't fit: one byte more for the star.
#[derive(Clone, Copy)]
struct Retry {
    piece: usize,
    at: usize,
}

impl Glob {
    /// Reads a pattern; `None` when it is longer than 1,024 bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.len() > PATTERN_BYTES_MAX {
            return None;
        }
        let mut pieces: Vec<Piece> = Vec::with_capacity(text.len());
        for &byte in text.as_bytes() {
            match (byte, pieces.last_mut()) {
                (b'*', Some(last @ (Piece::Some | Piece::Any))) => *last = Piece::Any,
                (b'*', _) => pieces.push(Piece::Some),
                (byte, _) => pieces.push(Piece::Byte(byte)),
            }
        }
        Some(Self(pieces.into()))
    }

    /// Whether all of `text` fits.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let pieces = &self.0;
        let (mut piece, mut at) = (0, 0);
        let (mut some, mut any): (Option<Retry>, Option<Retry>) = (None, None);
        loop {
            match (pieces.get(piece), text.get(at)) {
                (Some(Piece::Any), _) => {
                    piece += 1;
                    // What a star before it took needs no second try: this one takes anything.
                    (any, some) = (Some(Retry { piece, at }), None);
                    continue;
                }
                (Some(Piece::Some), _) => {
                    piece += 1;
                    some = Some(Retry { piece, at });
                    continue;
                }
                (Some(Piece::Byte(wanted)), Some(found)) if wanted == found => {
                    (piece, at) = (piece + 1, at + 1);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            if let Some(retry) = &mut some
                && text.get(retry.at).is_some_and(|byte| *byte != b'/')
            {
                retry.at += 1;
                (piece, at) = (retry.piece, retry.at);
            } else if let Some(retry) = &mut any
                && retry.at < text.len()
            {
                retry.at += 1;
                (piece, at, some) = (retry.piece, retry.at, None);
            } else {
                return false;
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Byte(byte) => text.push(*byte),
                Piece::Some => text.push(b'*'),
                Piece::Any => text.extend_from_slice(b"**"),
            }
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_star_stays_within_a_folder_and_two_do_not() {
        for (pattern, text, fits) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("**", "", true),
            ("/*/c", "/b/c", true),
            ("/*/c", "/b/b/c", false),
            ("/**/c", "/b/b/c", true),
            ("**.css", "/x/y.css", true),
            ("**/*.css", "/x/y.css", true),
            ("**/*.css", "/x/y.css/z", false),
            ("**/*-*.js", "/x-y/app-0123.js", true),
            ("**/*-*.js", "/x-y/app.js", false),
            ("**b/*c", "/ab/b/xc", true),
            ("utm_*", "utm_source", true),
            ("utm_*", "a_utm_source", false),
        ] {
            assert_eq!(
                Glob::new(pattern).unwrap().matches(text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
            assert_eq!(Glob::new(pattern).unwrap().to_string(), pattern);
        }
        assert_eq!(Glob::new("a***b").unwrap().to_string(), "a**b");
        assert!(Glob::new(&"a".repeat(1025)).is_none());
    }

    #[test]
    fn a_pattern_of_stars_takes_no_longer_than_the_product_of_both() {
        let pattern = Glob::new(&"*a".repeat(200)).unwrap();
        assert!(!pattern.matches(&vec![b'b'; 64 << 10]));
        assert!(!Glob::new(&"**a".repeat(200)).unwrap().matches(&[b'a'; 199]));
    }

    /// Against the definition, with all the ways to divide the text.
    #[test]
    fn it_says_what_its_definition_says() {
        fn defined(pattern: &[u8], text: &[u8]) -> bool {
            match pattern {
                [] => text.is_empty(),
                [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| defined(rest, &text[at..])),
                [b'*', rest @ ..] => (0..=text.len())
                    .take_while(|at| !text[..*at].contains(&b'/'))
                    .any(|at| defined(rest, &text[at..])),
                [byte, rest @ ..] => text.first() == Some(byte) && defined(rest, &text[1..]),
            }
        }
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(pattern, text)| {
            let of = |bytes: &[u8]| -> Vec<u8> {
                bytes.iter().take(10).map(|byte| b"*/ab"[usize::from(byte % 4)]).collect()
            };
            let (pattern, text) = (of(pattern), of(text));
            // Three stars are two.
            let pattern = String::from_utf8(pattern).unwrap().replace("***", "**");
            let pattern = pattern.replace("***", "**");
            let found = Glob::new(&pattern).unwrap().matches(&text);
            assert_eq!(found, defined(pattern.as_bytes(), &text), "{pattern} {text:?}");
        });
    }
}
