//! In which way each of Redis's commands goes to a Redis that is the upstream: what the table of
//! those commands says of them, in words.
//!
//! It knows neither connections nor sessions: who goes these ways is in `forward`.

/// How a command goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// On a connection that others use too.
    Shared,
    /// On one of its own, since it keeps the connection waiting.
    Blocks,
    /// The same, if it says BLOCK.
    MayBlock,
    /// As far as its keys are plain; the declared ones are answered here.
    Split,
    /// Its reply names keys or channels, of which larder's own are left out.
    Names(Shown),
    /// It begins or ends a transaction.
    Transaction(Transacts),
    /// It subscribes, or ends subscriptions.
    Subscribes(Subscribes),
    /// As [`Shared`](Way::Shared); its first argument is a channel.
    Publishes,
    /// Only where the connection is in a state in which Redis is to answer it.
    Answers,
    /// Only these of its subcommands.
    Only(&'static [&'static str]),
    /// Not at all, with or without an upstream, for this reason.
    Refused(&'static str),
}

/// Which part of a reply names keys or channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All of it, an array.
    All,
    /// The array behind a cursor.
    BehindCursor,
    /// All of it, one name.
    Random,
    /// That of the subcommands CHANNELS and SHARDCHANNELS.
    Channels,
}

/// What a command does to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transacts {
    Watch,
    Unwatch,
    Multi,
    Exec,
    Discard,
}

/// What a command does to subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscribes {
    /// To what.
    pub(crate) to: Topic,
    /// Whether it ends subscriptions.
    pub(crate) ends: bool,
}

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Channels,
    Patterns,
    Shards,
}
