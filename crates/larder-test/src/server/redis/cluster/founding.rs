//! How a cluster comes about: its nodes' settings, who gets which slots, and how they meet.
//!
//! It ends where they all know each other; whether they serve is asked elsewhere.

use super::RedisCluster;
use crate::server::Place;
use crate::server::redis::topology::Topology;
use crate::until;

/// How many slots there are.
const SLOTS: usize = 16_384;

/// What every node runs with besides what any Redis does.
const SETTINGS: [(&str, &str); 4] = [
    ("--cluster-enabled", "yes"),
    // A node is given up after this, and its replica takes its place.
    ("--cluster-node-timeout", "1000"),
    // However long a replica was cut off, it may take over.
    ("--cluster-replica-validity-factor", "0"),
    // A replica gets its copy at once: nobody else will ask for one in the next five seconds.
    ("--repl-diskless-sync-delay", "0"),
];

/// A node's arguments. Its second port is the one on which nodes talk to each other.
pub(in crate::server::redis) fn arguments(place: &Place) -> Vec<String> {
    let settings = SETTINGS.iter().flat_map(|(name, value)| [*name, *value]);
    let mut arguments: Vec<String> = settings.map(str::to_owned).collect();
    arguments.extend(["--cluster-port".to_owned(), place.ports()[1].to_string()]);
    arguments
}

impl RedisCluster {
    /// Makes a cluster of nodes that know nothing yet; the first ones become primaries.
    pub(super) fn found(&self, primaries: usize) {
        self.share_slots(primaries);
        self.meet();
        for (at, replica) in self.nodes().iter().enumerate().skip(primaries) {
            replica.order(&["CLUSTER", "REPLICATE", &self.id(at % primaries)]);
        }
        let replicas = |node| {
            let members = Topology::of(node).members;
            members.iter().filter(|member| member.primary.is_some()).count()
        };
        until("every node knows what each one is", || {
            self.nodes().iter().all(|node| replicas(node) == self.nodes().len() - primaries)
        });
    }

    fn share_slots(&self, primaries: usize) {
        for (at, node) in self.nodes().iter().enumerate() {
            // So that no two claims are equally old.
            node.order(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at < primaries {
                let (first, end) = (SLOTS * at / primaries, SLOTS * (at + 1) / primaries);
                let (first, last) = (first.to_string(), (end - 1).to_string());
                node.order(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            }
        }
    }

    /// Makes all known to all, which they would find out by themselves in a few seconds.
    fn meet(&self) {
        for (at, node) in self.nodes().iter().enumerate() {
            for other in &self.nodes()[at + 1..] {
                let place = other.place();
                let [port, bus] = [0, 1].map(|at| place.ports()[at].to_string());
                node.order(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        let count = self.nodes().len();
        until("all nodes know each other", || {
            self.nodes().iter().all(|node| {
                let members = Topology::of(node).members;
                members.len() == count && members.iter().all(|m| m.is_known && m.is_connected)
            })
        });
    }
}
