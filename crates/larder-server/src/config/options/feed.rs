//! The options of `[source.NAME]` that say who tells of the changes of its data.

use super::super::feed::FeedKind;
use super::super::value::{Count, Line, Size};
use super::{Default, Opt};

/// The least that a feed may be behind: one segment of Postgres's log.
pub(in super::super) const BEHIND_MIN: u64 = 16 << 20;

pub(in super::super) static FEED: Opt<FeedKind> = Opt::new(
    "feed",
    Default::Words("none: `changes` says who may change the data"),
    "What tells of every change, whoever makes it; `max_staleness` then counts from the commit, \
     and entries may live for longer (`fresh_for`). `logical`: the log of a Postgres, over logical \
     replication. `triggers`: triggers in a Postgres without the right to replicate, or in a \
     SQLite. `binlog`: the binary log of a MySQL or MariaDB. `debezium`: what Debezium tells, as \
     `[source.NAME.debezium]` says. `larder feed install` prepares the database, or says what to \
     change.",
)
.elsewhere(&["cdc", "changefeed", "replication"]);

pub(in super::super) static FEED_NAME: Opt<Line> = Opt::new(
    "feed_name",
    Default::Value("larder"),
    "What the feed is called in the database: its publication and slot, its schema, or its lock. \
     Larders that share a bus have the same one; others have another.",
)
.elsewhere(&["slot", "slot_name", "publication"]);

pub(in super::super) static FEED_BEHIND_MAX: Opt<Size<BEHIND_MIN>> = Opt::new(
    "feed_behind_max",
    Default::Value("1GiB"),
    "How much log the database keeps for a feed that is behind. Only with `logical`. Beyond it the \
     feed begins again, and everything that it covers is dropped once.",
);

pub(in super::super) static FEED_WAL_BUDGET: Opt<Size<BEHIND_MIN>> = Opt::new(
    "feed_wal_budget",
    Default::Words("what `max_slot_wal_keep_size` of the server says"),
    "How much log the server may keep while no larder runs, which only the server can see to: \
     `larder feed install` sets `max_slot_wal_keep_size`, for all slots, where it is larger, or \
     says the SQL where the user may not. Only with `logical`.",
)
.elsewhere(&["wal_budget", "max_slot_wal_keep_size"]);

pub(in super::super) static FEED_CHANGES_MAX: Opt<Count<1, 1_000_000_000>> = Opt::new(
    "feed_changes_max",
    Default::Value("1000000"),
    "How many changes the table that triggers write into keeps for a feed that is behind, each a \
     row with what the changed row was and is. Only with `triggers`. Beyond it nothing is written \
     down until the feed begins again, and everything that it covers is dropped once. It counts \
     from the next `larder feed install` on.",
)
.elsewhere(&["rows_max", "outbox_max"]);
