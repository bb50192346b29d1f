//! The look at everything when all is quiet: each larder and Redis hold what the database does.
//!
//! It knows the envelope of an entry, and how it says which run of Redis it belongs to.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::envelope::Envelope;

use super::load::Client;
use super::stage::Stage;
use super::{Plan, Sweep};
use crate::{Reply, RespClient};

/// How long what is wrong may stay so.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a larder may take for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(super) fn sweep(plan: &Plan, stage: &Stage) -> Sweep {
    let due = versions(plan, stage);
    assert_eq!(due.len() as u64, plan.keys, "no account is ever removed");
    let mut sweep = Sweep::default();
    for (process, larder) in stage.larders.iter().enumerate() {
        let mut client = Client { larder, patience: ANSWER_PATIENCE, connection: None };
        sweep.add(&settled(|| {
            let look = |(&id, &due): (&u64, &u64)| {
                let answer = match client.ask(&["GET", &Stage::key(id)]) {
                    Ok((_, Reply::Bulk(value))) if Stage::version(&value) == Some(due) => {
                        return None;
                    }
                    Ok((_, Reply::Bulk(value))) => value.escape_ascii().to_string(),
                    Ok((_, reply)) => format!("{reply:?}"),
                    Err(kind) => kind,
                };
                Some(format!("larder {process} answers {answer} for key {id}: {due} is due"))
            };
            due.iter().filter_map(look).collect()
        }));
    }
    let mut redis = RespClient::connect(("127.0.0.1", stage.redis.port()));
    let run = run(&mut redis);
    let mut entries = 0;
    sweep.add(&settled(|| {
        entries = 0;
        let look = |(&id, &due): (&u64, &u64)| {
            let held = match redis.command(&["GET", &Stage::entry(id)]) {
                Reply::Bulk(held) => held,
                Reply::Null => return None,
                other => return Some(format!("Redis answers {other:?} for key {id}")),
            };
            match Held::of(held, run) {
                Held::Unserved => None,
                Held::Version(version) => {
                    entries += 1;
                    let wrong = format!("Redis holds version {version} of key {id}: {due} is due");
                    (version != due).then_some(wrong)
                }
                Held::Odd(what) => Some(format!("Redis holds {what} for key {id}")),
            }
        };
        due.iter().filter_map(look).collect()
    }));
    Sweep { entries, ..sweep }
}

/// The version of each account whose writers announce.
fn versions(plan: &Plan, stage: &Stage) -> BTreeMap<u64, u64> {
    let select = format!("SELECT id, version FROM accounts WHERE id <= {}", plan.keys);
    let rows = stage.postgres.psql(&select);
    let row = |row: &str| {
        let (id, version) = row.split_once('|')?;
        Some((id.parse().ok()?, version.parse().ok()?))
    };
    rows.lines().map(|line| row(line).expect("both columns are numbers")).collect()
}

/// What is wrong and stays so.
fn settled(mut look: impl FnMut() -> Vec<String>) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wrong = look();
        if wrong.is_empty() || Instant::now() >= deadline {
            return wrong;
        }
        sleep(BETWEEN_LOOKS);
    }
}

/// The run of Redis, as entries name it: the first 32 bits of its own identity, and of that of its
/// replication.
fn run(redis: &mut RespClient) -> u32 {
    let mut name = |section: &str, field: &str| {
        let info = redis.command(&["INFO", section]);
        let name = info.text().lines().find_map(|line| line.strip_prefix(field));
        let name = name.and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok());
        name.expect("Redis names its run in hexadecimal digits")
    };
    name("server", "run_id:") ^ name("replication", "master_replid:")
}

/// What Redis holds of an account.
#[derive(Debug, PartialEq)]
enum Held {
    /// Marked stale, or of an earlier run: no larder serves it.
    Unserved,
    Version(u64),
    Odd(String),
}

impl Held {
    fn of(held: Vec<u8>, run: u32) -> Self {
        let held = Bytes::from(held);
        let Some(envelope) = Envelope::decode(&held) else {
            return Self::Odd(format!("no envelope: {}", held.escape_ascii()));
        };
        if envelope.is_stale || envelope.incarnation.0 != run {
            return Self::Unserved;
        }
        let payload = envelope.payload.filter(|payload| !payload.is_compressed);
        let version = payload.as_ref().and_then(|payload| Stage::version(&payload.bytes));
        version.map_or_else(|| Self::Odd(format!("no version: {payload:?}")), Self::Version)
    }
}

#[cfg(test)]
mod tests {
    use larder_core::envelope::{Payload, encoding};
    use larder_core::shared::{Incarnation, MarkClock};

    use super::*;

    #[test]
    fn what_a_larder_would_serve_from_redis_has_a_version() {
        let fresh = Envelope {
            is_stale: false,
            stamp: 1,
            incarnation: Incarnation(7),
            marks: 0,
            clock: MarkClock(0),
            lifetime: Duration::from_secs(1),
            fresh_for: Duration::from_secs(1),
            stale_for: Duration::ZERO,
            cost: Duration::ZERO,
            weight: None,
            schema: 0,
            tags: Vec::new(),
            validator: None,
            payload: Some(Payload {
                encoding: encoding::JSON,
                is_compressed: false,
                bytes: Bytes::from_static(br#"{"id":3,"version":5}"#),
            }),
        };
        let held = |envelope: &Envelope, run| Held::of(envelope.encode().to_vec(), run);
        assert_eq!(held(&fresh, 7), Held::Version(5));
        assert_eq!(held(&fresh, 8), Held::Unserved);
        assert_eq!(held(&Envelope { is_stale: true, ..fresh.clone() }, 7), Held::Unserved);
        assert!(matches!(held(&Envelope { payload: None, ..fresh }, 7), Held::Odd(_)));
        assert!(matches!(Held::of(b"hello".to_vec(), 7), Held::Odd(_)));
    }
}
