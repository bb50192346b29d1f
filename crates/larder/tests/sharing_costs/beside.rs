//! What a process hears and says beside what it is asked for.

use std::time::Duration;

use crate::page::Row;
use crate::site::{Process, Site, Wire, until};
use crate::{cost, hundred};

/// What a process hears of another's invalidations.
pub(crate) async fn of_hearing(measured: &Process, other: &Process, wire: &Wire) -> Vec<Row> {
    let theirs = &other.cache;
    let one = cost("hearing of one key", wire, async |time| {
        let heard = measured.messages();
        theirs.invalidate(&(5000 + time)).await.unwrap();
        measured.heard(heard + 1).await;
    });
    let one = one.await;
    let many = cost("hearing of 100 keys", wire, async |time| {
        let heard = measured.messages();
        theirs.invalidate_many(&hundred(time)).await.unwrap();
        measured.heard(heard + 1).await;
    });
    let many = many.await;
    let tag = cost("hearing of a tag", wire, async |_| {
        let heard = measured.messages();
        theirs.invalidate_tags(&["tenant:7"]).await.unwrap();
        measured.heard(heard + 1).await;
    });
    vec![one, many, tag.await]
}

/// What a process says and hears when nobody asks it for anything.
pub(crate) async fn of_being_there(measured: &Process, other: &Process, bus: &Wire) -> Vec<Row> {
    const TOKENS: u64 = 5;
    // One token after the other, as in a second.
    let second = async |process: &Process| {
        for _ in 0..TOKENS {
            let heard = measured.messages();
            process.turn(Duration::from_millis(200)).await;
            measured.heard(heard + 1).await;
        }
    };
    let own = cost("being there, each second", bus, async |_| second(measured).await).await;
    let others = cost("each further process, each second", bus, async |_| second(other).await);
    vec![own, others.await]
}

/// What a process says before it can serve its first read from the tier.
pub(crate) async fn of_starting(site: &Site) -> Vec<Row> {
    let wire = site.wire();
    let mut last = None;
    let start = cost("the start of a process", &wire, async |_| {
        drop(last.take());
        let process = last.insert(site.process_over(&wire, &wire).await);
        until("the horizon is known", || process.knows_horizon()).await;
    });
    vec![start.await]
}
