//! How a source is asked, what its feed tells, and when it is left alone, in words.

use std::fmt;

use super::super::debezium::Beats;
use super::super::feed::{FeedConfig, FeedKind};
use super::super::source::SourceConfig;
use super::super::value::size_text;
use super::show;

pub(super) fn write(source: &SourceConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "source {}: {}", source.name, source.url)?;
    writeln!(
        out,
        "  at most {} loads at once over {} connections, each load for {} at most; connecting \
         has {}",
        source.loads_max,
        source.connections,
        show(source.load_timeout),
        show(source.connect_timeout)
    )?;
    writeln!(
        out,
        "  {} more may wait; after that a read is told at once to come back later",
        source.loads_waiting_max
    )?;
    if let Some(feed) = &source.feed {
        write_feed(feed, out)?;
    }
    match &source.breaker {
        None => writeln!(out, "  while it fails, it is asked all the same"),
        Some(bounds) => writeln!(
            out,
            "  once {} loads within {} have failed, and {} of all of them, it is left alone for \
             {}, then probed; while probes fail, for {} at most",
            bounds.errors_min,
            show(bounds.window),
            bounds.error_share,
            show(bounds.probe_after),
            show(bounds.probe_after_max)
        ),
    }
}

fn write_feed(feed: &FeedConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(out, "  feed: {}, called {} in the database", feed.kind.as_str(), feed.name)?;
    match feed.kind {
        FeedKind::Logical => {
            writeln!(
                out,
                ", which keeps {} of log for it at most; one that is further behind begins \
                 again, and everything that it covers is dropped once",
                size_text(feed.behind_max)
            )?;
            let budget = feed.wal_budget.map(size_text);
            budget.map_or(Ok(()), |budget| {
                writeln!(out, "    and {budget} while no larder runs, once it is installed")
            })
        }
        FeedKind::Triggers => writeln!(
            out,
            ", which keeps {} changes for it at most; one that is further behind begins \
             again, and everything that it covers is dropped once",
            feed.changes_max
        ),
        FeedKind::Debezium => {
            let debezium = feed.debezium.as_ref();
            let from = debezium.map(|debezium| debezium.from.shown()).unwrap_or_default();
            let beats = debezium.map(|debezium| debezium.heartbeat);
            let horizon = match beats {
                None | Some(Beats::None) => {
                    "; without a heartbeat nobody knows how far it is, so `max_staleness` \
                     bounds the age of what is held"
                }
                Some(Beats::Messages | Beats::Table) => "",
            };
            writeln!(out, ", from {from}{horizon}")
        }
        FeedKind::Binlog => writeln!(
            out,
            "; one that is further behind than the server keeps its log begins again, and \
             everything that it covers is dropped once"
        ),
    }
}
