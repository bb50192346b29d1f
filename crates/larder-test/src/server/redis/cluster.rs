//! A real Redis Cluster: nodes that know each other, on one machine.
//!
//! It knows how to make one, who owns what, and how slots and primaries change; it keeps no
//! picture of its own but asks the nodes each time.

mod founding;
mod migration;

use std::ops::RangeInclusive;

use super::topology::{Member, Topology};
use super::{Kind, Redis};
use crate::{Reply, until};

pub(super) use founding::arguments;
pub use migration::Migration;

/// What a node does: its index, whom it copies, and what it serves.
type Part = (usize, Option<String>, Vec<RangeInclusive<u16>>);

/// A running cluster. Nodes are named by their index: first those that began as primaries, then
/// those that began as replicas. Each is a [`Redis`], so it can be killed, paused and restarted,
/// and then the others do what they do: after about two seconds a replica takes the place of its
/// primary, if most primaries are left to agree.
///
/// ```
/// use larder_test::RedisCluster;
///
/// let cluster = RedisCluster::start(3, 0);
/// let owner = cluster.owner_of("greeting");
/// assert_eq!(cluster.node(owner).cli(&["SET", "greeting", "hello"]), "OK");
/// let other = (owner + 1) % 3;
/// assert!(cluster.node(other).cli(&["GET", "greeting"]).starts_with("MOVED "));
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts one whose `primaries` share all slots evenly and have so many replicas each, and
    /// waits until it serves and every replica has its copy. It takes about two seconds: that is
    /// how long a new node waits before it serves.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed or a node doesn't come up, when the nodes don't find together,
    /// or when there is no primary.
    #[must_use]
    pub fn start(primaries: usize, replicas_each: usize) -> Self {
        Self::start_with(primaries, replicas_each, &[])
    }

    /// Starts one whose nodes have further arguments, such as
    /// `["--cluster-replica-no-failover", "yes"]`, which win over the kit's own.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    #[must_use]
    pub fn start_with(primaries: usize, replicas_each: usize, args: &[&str]) -> Self {
        assert!(primaries > 0, "a cluster has a primary");
        let count = primaries * (1 + replicas_each);
        let nodes = (0..count).map(|_| Redis::start_as(Kind::Node, args)).collect();
        let cluster = Self { nodes };
        cluster.found(primaries);
        cluster.wait_until_settled();
        cluster
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// One node.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    #[must_use]
    pub fn node(&self, index: usize) -> &Redis {
        &self.nodes[index]
    }

    /// `redis+cluster://127.0.0.1:PORT,127.0.0.1:PORT,…` with all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let address = |node: &Redis| format!("127.0.0.1:{}", node.port());
        let addresses: Vec<String> = self.nodes.iter().map(address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// The nodes that serve slots now, in the order of their indexes.
    ///
    /// # Panics
    ///
    /// When no node answers.
    #[must_use]
    pub fn primaries(&self) -> Vec<usize> {
        self.those(|member| member.is_primary && !member.slots.is_empty())
    }

    /// The replicas that copy node `primary` now.
    ///
    /// # Panics
    ///
    /// When no node answers.
    #[must_use]
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let id = self.id(primary);
        self.those(|member| member.primary.as_ref() == Some(&id))
    }

    /// The slot of a key; what stands in its first braces decides alone.
    ///
    /// # Panics
    ///
    /// When no node answers.
    #[must_use]
    pub fn slot_of(&self, key: &str) -> u16 {
        let reply = self.anybody().ask(&["CLUSTER", "KEYSLOT", key]);
        let slot = if let Reply::Integer(slot) = reply { u16::try_from(slot).ok() } else { None };
        slot.unwrap_or_else(|| panic!("no slot: {reply:?}"))
    }

    /// The node that serves the slot of a key.
    ///
    /// # Panics
    ///
    /// When no node answers, or nobody serves it.
    #[must_use]
    pub fn owner_of(&self, key: &str) -> usize {
        self.owner_of_slot(self.slot_of(key))
    }

    /// The node that serves a slot.
    ///
    /// # Panics
    ///
    /// When no node answers, or nobody serves it.
    #[must_use]
    pub fn owner_of_slot(&self, slot: u16) -> usize {
        let topology = Topology::of(self.anybody());
        let owner = topology.owner(slot).unwrap_or_else(|| panic!("nobody has slot {slot}"));
        self.index(owner).expect("its nodes are ours")
    }

    /// Begins to move a slot to node `to`, and stops midway; [`Migration`] says what that means.
    ///
    /// # Panics
    ///
    /// When a node refuses: the slot is there already, or on its way.
    pub fn migrate_slot(&self, slot: u16, to: usize) -> Migration<'_> {
        Migration::begin(self, slot, to)
    }

    /// Puts a replica in the place of its primary, which may be dead or paused, without asking
    /// the others (`CLUSTER FAILOVER TAKEOVER`), and waits until all that run agree. Returns which
    /// replica it is. A primary that runs becomes its replica.
    ///
    /// # Panics
    ///
    /// When the primary has no running replica, or when they don't agree within 30 seconds.
    pub fn failover(&self, primary: usize) -> usize {
        let mut replicas = self.replicas_of(primary).into_iter();
        let heir = replicas.find(|&replica| runs(self.node(replica)));
        let heir = heir.unwrap_or_else(|| panic!("node {primary} has no running replica"));
        let id = self.id(heir);
        self.node(heir).order(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
        until("all agree on the new primary", || {
            self.running().all(|node| {
                let topology = Topology::of(node);
                let mut members = topology.members.iter();
                members.any(|one| one.id == id && one.is_primary && !one.slots.is_empty())
            })
        });
        self.wait_until_settled();
        heir
    }

    /// Waits until every slot is served, all nodes that run agree on who does what, and every
    /// replica among them has its copy. Those that are killed or paused aren't asked, but if one
    /// of them is still taken for a slot's owner it isn't settled.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds.
    pub fn wait_until_settled(&self) {
        until("the cluster has settled", || {
            let views: Vec<_> = self.running().map(|node| self.view(node)).collect();
            views.first().is_some_and(|first| first.is_some() && views.iter().all(|v| v == first))
        });
    }

    /// What the nodes that run do, as `node` sees it; `None` while it sees anything amiss.
    fn view(&self, node: &Redis) -> Option<Vec<Part>> {
        if !node.ask(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok") {
            return None;
        }
        if node.replicates("role:slave") && !node.replicates("master_link_status:up") {
            return None;
        }
        let members = Topology::of(node).members;
        let mut parts = Vec::new();
        for member in &members {
            let index = self.index(member).filter(|&index| runs(self.node(index)));
            let Some(index) = index else {
                // Whoever doesn't run has no part, or nothing has settled.
                member.slots.is_empty().then_some(())?;
                continue;
            };
            if !member.is_known || !member.is_connected {
                return None;
            }
            parts.push((index, member.primary.clone(), member.slots.clone()));
        }
        parts.sort_unstable_by_key(|(index, ..)| *index);
        Some(parts)
    }

    /// The name that the nodes know one of them by.
    fn id(&self, index: usize) -> String {
        let topology = Topology::of(self.anybody());
        let member = topology.of_port(self.node(index).port());
        member.unwrap_or_else(|| panic!("nobody knows node {index}")).id.clone()
    }

    fn those(&self, wanted: impl Fn(&Member) -> bool) -> Vec<usize> {
        let topology = Topology::of(self.anybody());
        let members = topology.members.iter().filter(|member| wanted(member));
        let mut indexes: Vec<usize> = members.filter_map(|member| self.index(member)).collect();
        indexes.sort_unstable();
        indexes
    }

    fn index(&self, member: &Member) -> Option<usize> {
        self.nodes.iter().position(|node| node.port() == member.port)
    }

    fn running(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().filter(|node| runs(node))
    }

    fn anybody(&self) -> &Redis {
        self.running().next().expect("a node runs")
    }
}

impl Topology {
    fn of(node: &Redis) -> Self {
        Self::read(node.ask(&["CLUSTER", "NODES"]).text())
    }
}

/// Whether it would answer.
fn runs(node: &Redis) -> bool {
    node.is_running() && !node.is_paused()
}
