//! The modes that are compared.

use std::fmt;

use larder::WriteMode;
use larder::engine::Consistency;

/// How a write gets to the database, and the cache hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The program commits by itself, and calls `invalidate`.
    Aside,
    Around,
    Through,
    Behind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// One process, which shares nothing.
    Alone,
    Bounded,
    Guarded,
    Strict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) way: Way,
    pub(crate) level: Level,
}

impl Mode {
    /// Those of processes that share. The levels beyond bounded are about the library's own
    /// commits.
    pub(crate) const SHARING: [Self; 10] = [
        Self::new(Way::Aside, Level::Bounded),
        Self::new(Way::Around, Level::Bounded),
        Self::new(Way::Around, Level::Guarded),
        Self::new(Way::Around, Level::Strict),
        Self::new(Way::Through, Level::Bounded),
        Self::new(Way::Through, Level::Guarded),
        Self::new(Way::Through, Level::Strict),
        Self::new(Way::Behind, Level::Bounded),
        Self::new(Way::Behind, Level::Guarded),
        Self::new(Way::Behind, Level::Strict),
    ];
    /// Those of one process.
    pub(crate) const ALONE: [Self; 4] = [
        Self::new(Way::Aside, Level::Alone),
        Self::new(Way::Around, Level::Alone),
        Self::new(Way::Through, Level::Alone),
        Self::new(Way::Behind, Level::Alone),
    ];

    const fn new(way: Way, level: Level) -> Self {
        Self { way, level }
    }

    /// Its place among those that share, for keys of its own.
    pub(crate) fn number(self) -> u64 {
        Self::SHARING.iter().chain(&Self::ALONE).position(|mode| *mode == self).unwrap() as u64
    }

    pub(crate) fn numbered(number: u64) -> Self {
        let number = usize::try_from(number).unwrap();
        *Self::SHARING.iter().chain(&Self::ALONE).nth(number).unwrap()
    }

    pub(crate) fn write_mode(self) -> WriteMode {
        match self.way {
            Way::Aside | Way::Around => WriteMode::Around,
            Way::Through => WriteMode::Through,
            Way::Behind => WriteMode::Behind,
        }
    }

    pub(crate) fn consistency(self) -> Consistency {
        match self.level {
            Level::Alone | Level::Bounded => Consistency::Bounded,
            Level::Guarded => Consistency::Guarded,
            Level::Strict => Consistency::Strict,
        }
    }

    pub(crate) fn is_behind(self) -> bool {
        self.way == Way::Behind
    }

    pub(crate) fn is_guarded(self) -> bool {
        matches!(self.level, Level::Guarded | Level::Strict)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aside => "aside",
            Self::Around => "around",
            Self::Through => "through",
            Self::Behind => "behind",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone => "alone",
            Self::Bounded => "bounded",
            Self::Guarded => "guarded",
            Self::Strict => "strict",
        })
    }
}
