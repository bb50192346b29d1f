//! What is known of a cluster: its nodes, and which of them has which slot.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::address::Address;
use crate::connection::Settings;
use crate::node::Node;

use super::slots::{Range, SLOTS};

/// The most nodes that are remembered: as many as a cluster can have.
const NODES_MAX: usize = 1_000;

/// How long a map that was just drawn is taken for the best there is.
const REST: Duration = Duration::from_millis(250);

/// A map. What it says may be old; the nodes themselves say so then.
#[derive(Debug)]
pub(super) struct Map {
    nodes: Vec<(Address, Node)>,
    /// The node of each slot, by its index.
    owners: Vec<Option<u16>>,
    /// How often it was drawn anew.
    pub(super) version: u64,
    /// When that was tried last.
    tried: Option<Instant>,
}

impl Map {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), owners: vec![None; SLOTS], version: 0, tried: None }
    }

    /// Whether it is still of that version, and hasn't just been drawn, or tried to be.
    pub(super) fn is_worth_drawing(&self, version: u64) -> bool {
        self.version == version && self.tried.is_none_or(|tried| tried.elapsed() >= REST)
    }

    /// It was tried to draw it anew.
    pub(super) fn tried(&mut self) {
        self.tried = Some(Instant::now());
    }

    /// Who has a slot.
    pub(super) fn owner(&self, slot: usize) -> Option<(Address, Node)> {
        let index = usize::from((*self.owners.get(slot)?)?);
        self.nodes.get(index).cloned()
    }

    /// Every node that has slots.
    pub(super) fn with_slots(&self) -> Vec<Node> {
        let mut indexes: Vec<u16> = self.owners.iter().copied().flatten().collect();
        indexes.sort_unstable();
        indexes.dedup();
        let nodes = indexes.into_iter().filter_map(|index| self.nodes.get(usize::from(index)));
        nodes.map(|(_, node)| node.clone()).collect()
    }

    /// Every address that is known.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.nodes.iter().map(|(address, _)| address)
    }

    /// The node at an address. One more than can be remembered is not.
    pub(super) fn node(&mut self, address: &Address, settings: &Arc<Settings>) -> Node {
        if let Some((_, node)) = self.nodes.iter().find(|(known, _)| known == address) {
            return node.clone();
        }
        let node = Node::new(address.clone(), settings);
        if self.nodes.len() < NODES_MAX {
            self.nodes.push((address.clone(), node.clone()));
        }
        node
    }

    /// Learns that a slot has moved.
    pub(super) fn moved(&mut self, slot: usize, address: &Address, settings: &Arc<Settings>) {
        self.node(address, settings);
        let index = self.nodes.iter().position(|(known, _)| known == address);
        if let Some(owner) = self.owners.get_mut(slot) {
            *owner = index.and_then(|index| u16::try_from(index).ok());
        }
    }

    /// Draws it anew. Nodes that are still there keep their connections.
    pub(super) fn redraw(&mut self, ranges: &[Range], settings: &Arc<Settings>) {
        let before = std::mem::take(&mut self.nodes);
        let is_there = |address: &Address| ranges.iter().any(|(.., there)| there == address);
        self.nodes = before.into_iter().filter(|(address, _)| is_there(address)).collect();
        self.owners.fill(None);
        for (first, last, address) in ranges {
            for slot in *first..=*last {
                if slot == *first {
                    self.moved(slot, address, settings);
                } else {
                    self.owners[slot] = self.owners[*first];
                }
            }
        }
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::options::RedisOptions;

    fn at(port: u16) -> Address {
        Address::Tcp { host: "localhost".into(), port }
    }

    fn owner(map: &Map, slot: usize) -> Option<Address> {
        map.owner(slot).map(|(address, _)| address)
    }

    #[test]
    fn slots_are_looked_up_moved_and_drawn_anew() {
        let client = Client::new(&RedisOptions::new("redis://localhost")).unwrap();
        let settings = &client.settings;
        let mut map = Map::new();
        assert_eq!(owner(&map, 0), None);
        map.redraw(&[(0, 99, at(1)), (100, 16_383, at(2))], settings);
        assert_eq!((owner(&map, 99), owner(&map, 100)), (Some(at(1)), Some(at(2))));
        map.moved(99, &at(3), settings);
        assert_eq!((owner(&map, 98), owner(&map, 99)), (Some(at(1)), Some(at(3))));
        assert_eq!(owner(&map, SLOTS), None);
        map.redraw(&[(0, 99, at(3))], settings);
        assert_eq!((owner(&map, 0), owner(&map, 100)), (Some(at(3)), None));
        assert_eq!(map.addresses().count(), 1);
        assert_eq!(map.version, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_map_is_drawn_four_times_a_second_at_most() {
        let mut map = Map::new();
        assert!(map.is_worth_drawing(0));
        map.tried();
        assert!(!map.is_worth_drawing(0));
        tokio::time::advance(REST).await;
        assert!(map.is_worth_drawing(0) && !map.is_worth_drawing(1));
    }

    #[test]
    fn no_more_nodes_are_remembered_than_a_cluster_can_have() {
        let client = Client::new(&RedisOptions::new("redis://localhost")).unwrap();
        let mut map = Map::new();
        for port in 0..2_000 {
            map.moved(7, &at(port), &client.settings);
        }
        assert_eq!(map.addresses().count(), NODES_MAX);
        assert_eq!(owner(&map, 7), None);
    }
}
