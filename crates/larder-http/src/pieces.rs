//! The bytes of a body that are held, if not all of them are.
//!
//! It knows no head. Pieces aren't copied together: a body is sent as the pieces that it came in.

use bytes::Bytes;

use crate::Part;

/// The pieces of one body; one that would make more isn't taken in.
const PIECES_MAX: usize = 1024;

/// Some bytes of a body of a known length.
///
/// ```
/// use larder_http::{Part, Pieces};
///
/// let mut pieces = Pieces::new(10);
/// assert!(pieces.add(0, &"01234".into()) && pieces.add(7, &"789".into()));
/// assert_eq!(pieces.missing(Part { first: 3, last: 9 }), [Part { first: 5, last: 6 }]);
/// assert_eq!(pieces.slices(Part { first: 8, last: 9 }).unwrap(), ["89"]);
/// assert_eq!(pieces.slices(Part { first: 4, last: 5 }), None);
/// pieces.add(4, &"456".into());
/// assert!(pieces.is_complete());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    length: u64,
    /// In order, apart, and none of them empty.
    held: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    first: u64,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.first + self.bytes.len() as u64
    }
}

impl Pieces {
    /// Nothing yet of a body of `length` bytes.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self { length, held: Vec::new() }
    }

    /// The length of the whole body, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes are held. At most twice as many are kept of what was given.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.iter().map(|piece| piece.bytes.len() as u64).sum()
    }

    /// Whether all of it is held.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.held() == self.length
    }

    /// Takes in the bytes from `first` on, as far as they aren't held yet: both are the same, or
    /// they weren't parts of one representation. Returns whether they are all held now. Bytes
    /// beyond the end are not taken in, nor is what would make more than 1,024 pieces.
    pub fn add(&mut self, first: u64, bytes: &Bytes) -> bool {
        let Some(part) = Part::of(first, bytes.len() as u64) else { return true };
        let missing = self.missing(part);
        if part.last >= self.length || self.held.len() + missing.len() > PIECES_MAX {
            return false;
        }
        for gap in missing {
            let from = (gap.first - first) as usize;
            let mut slice = bytes.slice(from..from + gap.bytes() as usize);
            if slice.len() < bytes.len() - slice.len() {
                // A slice keeps all that it was cut from.
                slice = Bytes::copy_from_slice(&slice);
            }
            let at = self.held.partition_point(|piece| piece.first < gap.first);
            self.held.insert(at, Piece { first: gap.first, bytes: slice });
        }
        true
    }

    /// What they take on the heap, if nothing else holds what they were cut from.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bytes: usize = self.held.iter().map(|piece| piece.bytes.len() + 64).sum();
        bytes + self.held.capacity() * size_of::<Piece>()
    }

    /// The parts that are held, in order, apart from each other.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for piece in &self.held {
            match parts.last_mut() {
                Some(before) if before.last + 1 == piece.first => before.last = piece.end() - 1,
                _ => parts.push(Part { first: piece.first, last: piece.end() - 1 }),
            }
        }
        parts
    }

    /// What of a part isn't held, in order.
    #[must_use]
    pub fn missing(&self, of: Part) -> Vec<Part> {
        let (mut from, mut gaps) = (of.first, Vec::new());
        for piece in self.held.iter().filter(|piece| piece.end() > of.first) {
            if piece.first > of.last {
                break;
            }
            if from < piece.first {
                gaps.push(Part { first: from, last: piece.first - 1 });
            }
            from = piece.end();
        }
        if from <= of.last {
            gaps.push(Part { first: from, last: of.last });
        }
        gaps
    }

    /// The bytes of a part, in order; none if they aren't all held. Nothing is copied.
    #[must_use]
    pub fn slices(&self, of: Part) -> Option<Vec<Bytes>> {
        if of.last >= self.length || !self.missing(of).is_empty() {
            return None;
        }
        let within = |piece: &&Piece| piece.end() > of.first && piece.first <= of.last;
        let slice = |piece: &Piece| {
            let from = of.first.saturating_sub(piece.first) as usize;
            let to = (of.last + 1).min(piece.end()) - piece.first;
            piece.bytes.slice(from..to as usize)
        };
        Some(self.held.iter().filter(within).map(slice).collect())
    }
}
