//! What is known of a cluster: its nodes, and which of them has which slot. What a node is to
//! whoever has the map, it doesn't know.

use std::time::Duration;

use tokio::time::Instant;

use crate::address::Address;

use super::slots::{SLOTS, SlotRange};

/// The most nodes that are remembered: as many as a cluster can have.
const NODES_MAX: usize = 1_000;

/// How long a map that was just drawn is taken for the best there is.
const REST: Duration = Duration::from_millis(250);

/// Which node of a cluster has which slot, and what a node is to us. What it says may be old; the
/// nodes themselves say so then. At most 1,000 nodes are remembered.
///
/// ```
/// use larder_redis::{Address, SlotMap, SlotRange};
///
/// let at = |port| Address::Tcp { host: "localhost".into(), port };
/// let range = |first, last, port| SlotRange { first, last, at: at(port) };
/// let mut map = SlotMap::new();
/// map.redraw(&[range(0, 99, 7000), range(100, 16_383, 7001)], |_| ());
/// map.moved(99, &at(7001), |_| ());
/// assert_eq!(map.owner(99), Some((at(7001), ())));
/// assert_eq!(map.next_first(0), Some(99));
/// ```
#[derive(Debug)]
pub struct SlotMap<N> {
    nodes: Vec<(Address, N)>,
    /// The node of each slot, by its index.
    owners: Vec<Option<u16>>,
    version: u64,
    /// When that was tried last.
    tried: Option<Instant>,
}

impl<N> Default for SlotMap<N> {
    fn default() -> Self {
        Self { nodes: Vec::new(), owners: vec![None; SLOTS], version: 0, tried: None }
    }
}

impl<N: Clone> SlotMap<N> {
    /// One that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How often it was drawn anew.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether it is still of that version, and hasn't just been drawn, or tried to be.
    #[must_use]
    pub fn is_worth_drawing(&self, version: u64) -> bool {
        self.version == version && self.tried.is_none_or(|tried| tried.elapsed() >= REST)
    }

    /// It was tried to draw it anew.
    pub fn tried(&mut self) {
        self.tried = Some(Instant::now());
    }

    /// Who has a slot.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<(Address, N)> {
        let index = usize::from((*self.owners.get(usize::from(slot))?)?);
        self.nodes.get(index).cloned()
    }

    /// Every address that is known.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.nodes.iter().map(|(address, _)| address)
    }

    /// Those that have slots, in the order of the first slot of each.
    pub fn owners(&self) -> impl Iterator<Item = (Address, N)> {
        let nodes = self.firsts().into_iter().map(|(_, index)| usize::from(index));
        nodes.filter_map(|index| self.nodes.get(index).cloned())
    }

    /// Of those that have slots each one's first: the lowest that is beyond this one.
    #[must_use]
    pub fn next_first(&self, slot: u16) -> Option<u16> {
        self.firsts().into_iter().map(|(first, _)| first).find(|&first| first > slot)
    }

    /// The first slot of each node that has any, and where the node stands.
    fn firsts(&self) -> Vec<(u16, u16)> {
        let mut firsts: Vec<(u16, u16)> = Vec::new();
        let mut last = None;
        for (slot, &owner) in (0..).zip(&self.owners) {
            if let Some(index) = owner.filter(|_| owner != last)
                && !firsts.iter().any(|&(_, known)| known == index)
            {
                firsts.push((slot, index));
            }
            last = owner;
        }
        firsts
    }

    /// The node at an address, made if it is new. One more than can be remembered is not.
    pub fn node(&mut self, address: &Address, make: impl FnOnce(&Address) -> N) -> N {
        if let Some((_, node)) = self.nodes.iter().find(|(known, _)| known == address) {
            return node.clone();
        }
        let node = make(address);
        if self.nodes.len() < NODES_MAX {
            self.nodes.push((address.clone(), node.clone()));
        }
        node
    }

    /// Learns that a slot has moved.
    pub fn moved(&mut self, slot: u16, address: &Address, make: impl FnOnce(&Address) -> N) {
        self.node(address, make);
        let index = self.nodes.iter().position(|(known, _)| known == address);
        if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
            *owner = index.and_then(|index| u16::try_from(index).ok());
        }
    }

    /// Draws it anew. Nodes that are still there keep their connections.
    pub fn redraw(&mut self, ranges: &[SlotRange], make: impl Fn(&Address) -> N) {
        let before = std::mem::take(&mut self.nodes);
        let is_there = |address: &Address| ranges.iter().any(|range| range.at == *address);
        self.nodes = before.into_iter().filter(|(address, _)| is_there(address)).collect();
        self.owners.fill(None);
        for SlotRange { first, last, at } in ranges {
            self.moved(*first, at, &make);
            let owner = self.owners.get(usize::from(*first)).copied().flatten();
            if let Some(others) = self.owners.get_mut(usize::from(*first)..=usize::from(*last)) {
                others.fill(owner);
            }
        }
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Address {
        Address::Tcp { host: "localhost".into(), port }
    }

    fn range(first: u16, last: u16, port: u16) -> SlotRange {
        SlotRange { first, last, at: at(port) }
    }

    fn owner(map: &SlotMap<()>, slot: u16) -> Option<Address> {
        map.owner(slot).map(|(address, ())| address)
    }

    #[test]
    fn slots_are_looked_up_moved_and_drawn_anew() {
        let mut map = SlotMap::new();
        assert_eq!(owner(&map, 0), None);
        map.redraw(&[range(0, 99, 1), range(100, 16_383, 2)], |_| ());
        assert_eq!((owner(&map, 99), owner(&map, 100)), (Some(at(1)), Some(at(2))));
        map.moved(99, &at(3), |_| ());
        assert_eq!((owner(&map, 98), owner(&map, 99)), (Some(at(1)), Some(at(3))));
        assert_eq!(owner(&map, 16_384), None);
        map.redraw(&[range(0, 99, 3)], |_| ());
        assert_eq!((owner(&map, 0), owner(&map, 100)), (Some(at(3)), None));
        assert_eq!(map.addresses().count(), 1);
        assert_eq!(map.version(), 2);
    }

    #[test]
    fn owners_are_told_in_the_order_of_their_first_slots() {
        let mut map = SlotMap::new();
        assert_eq!((map.owners().count(), map.next_first(0)), (0, None));
        let ranges =
            [range(500, 599, 1), range(0, 9, 2), range(700, 16_383, 3), range(600, 650, 2)];
        map.redraw(&ranges, |_| ());
        let ports: Vec<_> = map.owners().map(|(address, ())| address).collect();
        assert_eq!(ports, [at(2), at(1), at(3)]);
        let firsts = [0, 9, 499, 500, 650, 699, 700].map(|slot| map.next_first(slot));
        let expected = [Some(500), Some(500), Some(500), Some(700), Some(700), Some(700), None];
        assert_eq!(firsts, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_map_is_drawn_four_times_a_second_at_most() {
        let mut map = SlotMap::<()>::new();
        assert!(map.is_worth_drawing(0));
        map.tried();
        assert!(!map.is_worth_drawing(0));
        tokio::time::advance(REST).await;
        assert!(map.is_worth_drawing(0) && !map.is_worth_drawing(1));
    }

    #[test]
    fn no_more_nodes_are_remembered_than_a_cluster_can_have() {
        let mut map = SlotMap::new();
        for port in 0..2_000 {
            map.moved(7, &at(port), |_| ());
        }
        assert_eq!(map.addresses().count(), NODES_MAX);
        assert_eq!(owner(&map, 7), None);
    }
}
