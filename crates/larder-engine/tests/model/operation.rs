//! What happens in a random run, and what is declared of the cache in it.

use std::time::Duration;

use larder_core::ErrorKind;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::{MS, S};

/// The prefix "1" is that of two.
pub(crate) const KEYS: [u64; 3] = [1, 2, 11];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Key(u64),
    Tag(u64),
    TagOfAll,
    All,
    Prefix,
}

impl Target {
    pub(crate) fn strikes(self, key: u64) -> bool {
        match self {
            Self::Key(one) | Self::Tag(one) => one == key,
            Self::TagOfAll | Self::All => true,
            Self::Prefix => key.to_string().starts_with('1'),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    Usual,
    Waiting(Duration),
    Strict(Duration),
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Ask(u64, Patience),
    AskMany,
    Set(u64),
    Remove(u64),
    /// A writer as it should be: it commits, and then invalidates.
    Change(u64),
    Strike(Target, bool),
    Advance(Duration),
    Fail(ErrorKind),
    Succeed,
    Close,
    Open,
    LetPass,
    Take(u64),
    Fill(bool),
    Settle,
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let key = || select(&KEYS[..]);
    let times = [MS, 50 * MS, 150 * MS, S, 2 * S, 4 * S, 7 * S, 11 * S, 25 * S];
    let patience = prop_oneof![
        6 => Just(Patience::Usual),
        1 => select(vec![MS, S]).prop_map(Patience::Waiting),
        1 => select(vec![Duration::ZERO, S, 4 * S]).prop_map(Patience::Strict),
    ];
    let target = prop_oneof![
        key().prop_map(Target::Key),
        key().prop_map(Target::Tag),
        Just(Target::TagOfAll),
        Just(Target::All),
        Just(Target::Prefix),
    ];
    prop_oneof![
        10 => (key(), patience).prop_map(|(key, patience)| Ask(key, patience)),
        2 => Just(AskMany),
        5 => key().prop_map(Set),
        1 => key().prop_map(Remove),
        5 => key().prop_map(Change),
        4 => (target, any::<bool>()).prop_map(|(target, hard)| Strike(target, hard)),
        6 => select(times.to_vec()).prop_map(Advance),
        1 => select(vec![ErrorKind::SourceDown, ErrorKind::BadKey]).prop_map(Fail),
        1 => Just(Succeed),
        3 => Just(Close),
        1 => Just(Open),
        3 => Just(LetPass),
        1 => key().prop_map(Take),
        1 => any::<bool>().prop_map(Fill),
        12 => Just(Settle),
    ]
}

/// A cache's declaration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    pub(crate) fresh: u32,
    pub(crate) stale: u32,
    pub(crate) max: u32,
    pub(crate) on_error: u32,
    pub(crate) gathers: bool,
}

pub(crate) const DECLARED: [Declared; 5] = [
    Declared { fresh: 10, stale: 0, max: 10, on_error: 0, gathers: false },
    Declared { fresh: 3, stale: 20, max: 15, on_error: 0, gathers: false },
    Declared { fresh: 3, stale: 3, max: 5, on_error: 20, gathers: false },
    Declared { fresh: 3, stale: 3, max: 6, on_error: 20, gathers: true },
    Declared { fresh: 0, stale: 0, max: 0, on_error: 0, gathers: false },
];
