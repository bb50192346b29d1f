//! Asking a cluster for its map.

use std::sync::Arc;

use futures_util::future::select_ok;
use larder_core::{Error, Result};
use redis::{Value, pipe};
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::{Connection, Settings};
use crate::errors;

use super::slots::{SlotRange, read_ranges};

/// How many nodes are asked for the map at once, besides those that the URL names.
const ASKED_MAX: usize = 16;

/// The map, as the first node says that answers, over a connection of its own. Asked are `seeds`,
/// those that the URL names, and some of the others that are known.
pub(crate) async fn ask_for_map(
    seeds: &[Address],
    known: &[Address],
    settings: &Arc<Settings>,
) -> Result<Vec<SlotRange>> {
    let others = known.iter().filter(|address| !seeds.contains(address));
    let asked = seeds.iter().chain(others.take(ASKED_MAX));
    select_ok(asked.map(|host| Box::pin(ask_one(host, settings)))).await.map(|(ranges, _)| ranges)
}

async fn ask_one(host: &Address, settings: &Settings) -> Result<Vec<SlotRange>> {
    let asked = timeout(settings.connect_timeout, async {
        let greeted = Connection::greet(host, &settings.info, settings).await;
        let (mut wire, driver) = greeted?;
        let mut question = pipe();
        question.cmd("CLUSTER").arg("SLOTS");
        let answers = wire.send_packed_commands(&question, 0, 1).await;
        driver.abort();
        let answers = answers.map_err(|error| errors::unreachable(&settings.name, error))?;
        match answers.into_iter().next().unwrap_or_default() {
            Value::ServerError(error) => Err(errors::answered(&settings.name, &error)),
            answer => read_ranges(answer, host),
        }
    });
    let ranges = asked.await.unwrap_or_else(|_| Err(silent(settings)))?;
    // One that was not told yet knows nothing.
    if ranges.is_empty() { Err(silent(settings)) } else { Ok(ranges) }
}

fn silent(settings: &Settings) -> Error {
    errors::down(&settings.name, "has no node that answers")
}
