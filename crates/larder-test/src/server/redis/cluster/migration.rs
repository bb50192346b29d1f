//! A slot on its way from one node to another.
//!
//! It knows the steps that an operator's tool takes; when each is taken is the test's business.

use super::RedisCluster;
use crate::{Reply, until};

/// How many keys are moved at once.
const KEYS_AT_ONCE: &str = "100";
/// How long moving them may take, in milliseconds.
const MOVE_MS_MAX: &str = "5000";

/// A slot midway: its owner is `MIGRATING`, the other `IMPORTING`. For a key that is there the
/// owner still answers; for one that isn't (any more) it answers `ASK`, and the other serves it to
/// who says `ASKING`. Commands with several keys, some here and some there, get `TRYAGAIN`.
///
/// It stays like that until [`finish`](Self::finish), also when this is dropped: as with an
/// operator who walked away.
///
/// ```
/// use larder_test::RedisCluster;
///
/// let cluster = RedisCluster::start(2, 0);
/// let (from, to) = (cluster.node(0), cluster.node(1));
/// let slot = cluster.slot_of("{a}1");
/// assert_eq!(cluster.owner_of_slot(slot), 1);
/// to.cli(&["SET", "{a}1", "x"]);
///
/// let migration = cluster.migrate_slot(slot, 0);
/// assert_eq!(to.cli(&["GET", "{a}1"]), "x");
/// migration.move_key("{a}1");
/// assert!(to.cli(&["GET", "{a}1"]).starts_with("ASK "));
/// migration.finish();
/// assert_eq!(from.cli(&["GET", "{a}1"]), "x");
/// ```
#[derive(Debug)]
#[must_use = "a migration that isn't finished leaves the slot midway"]
pub struct Migration<'c> {
    cluster: &'c RedisCluster,
    slot: u16,
    from: usize,
    to: usize,
}

impl<'c> Migration<'c> {
    pub(super) fn begin(cluster: &'c RedisCluster, slot: u16, to: usize) -> Self {
        let migration = Self { cluster, slot, from: cluster.owner_of_slot(slot), to };
        // In this order: an owner that sends clients on must not send them to one who refuses.
        migration.set(to, "IMPORTING", migration.from);
        migration.set(migration.from, "MIGRATING", to);
        migration
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// The node that it leaves.
    #[must_use]
    pub fn from(&self) -> usize {
        self.from
    }

    /// The node that it goes to.
    #[must_use]
    pub fn to(&self) -> usize {
        self.to
    }

    /// Moves one key of the slot. Returns whether it was there.
    ///
    /// # Panics
    ///
    /// When a node refuses.
    pub fn move_key(&self, key: &str) -> bool {
        self.move_keys(&[key])
    }

    /// Moves the keys that are left, and makes the other node the slot's owner in everybody's
    /// eyes.
    ///
    /// # Panics
    ///
    /// When a node refuses, or the nodes don't agree within 30 seconds.
    pub fn finish(self) {
        let (from, slot) = (self.cluster.node(self.from), self.slot.to_string());
        loop {
            let keys = match from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, KEYS_AT_ONCE]) {
                Reply::Array(keys) => keys,
                other => panic!("no keys: {other:?}"),
            };
            if keys.is_empty() {
                break;
            }
            self.move_keys(&keys.iter().map(Reply::text).collect::<Vec<_>>());
        }
        // The new owner first: a slot without an owner stops the cluster.
        self.set(self.to, "NODE", self.to);
        self.set(self.from, "NODE", self.to);
        until("all agree on the slot's owner", || {
            let owners = self.cluster.running().map(super::Topology::of);
            let port = self.cluster.node(self.to).port();
            let owns =
                |view: super::Topology| view.owner(self.slot).is_some_and(|o| o.port == port);
            owners.into_iter().all(owns)
        });
        self.cluster.wait_until_settled();
    }

    fn move_keys(&self, keys: &[&str]) -> bool {
        let port = self.cluster.node(self.to).port().to_string();
        let order = ["MIGRATE", "127.0.0.1", &port, "", "0", MOVE_MS_MAX, "KEYS"];
        let reply = self.cluster.node(self.from).ask(&[&order[..], keys].concat());
        match reply.text() {
            "OK" => true,
            "NOKEY" => false,
            refusal => panic!("the keys weren't moved: {refusal}"),
        }
    }

    /// Tells `node` what to think of the slot and of node `about`.
    fn set(&self, node: usize, what: &str, about: usize) {
        let (slot, id) = (self.slot.to_string(), self.cluster.id(about));
        self.cluster.node(node).order(&["CLUSTER", "SETSLOT", &slot, what, &id]);
    }
}
