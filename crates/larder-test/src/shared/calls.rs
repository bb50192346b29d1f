//! What was asked of a simulated server, counted: round trips and keys apart, so that a test can
//! insist on one round trip.

use std::iter::Sum;
use std::ops::Add;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`get_many`](larder_core::SharedTier::get_many).
    Get,
    /// [`lease_many`](larder_core::SharedTier::lease_many).
    Lease,
    /// [`fill`](larder_core::SharedTier::fill).
    Fill,
    /// [`extend`](larder_core::SharedTier::extend).
    Extend,
    /// [`release`](larder_core::SharedTier::release).
    Release,
    /// [`invalidate`](larder_core::SharedTier::invalidate).
    Invalidate,
    /// [`mark`](larder_core::SharedTier::mark).
    Mark,
    /// [`marks`](larder_core::SharedTier::marks).
    ReadMarks,
    /// [`begin_write`](larder_core::SharedTier::begin_write).
    BeginWrite,
    /// [`end_write`](larder_core::SharedTier::end_write).
    EndWrite,
    /// [`probe`](larder_core::SharedTier::probe).
    Probe,
    /// [`publish`](larder_core::Bus::publish).
    Publish,
    /// [`subscribe`](larder_core::Bus::subscribe).
    Subscribe,
}

/// How often something was asked, and of how many keys in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Round trips.
    pub trips: u64,
    /// Keys, or marks; one for each round trip where there are neither.
    pub keys: u64,
}

/// Everything that was asked, whether it was answered or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Plain reads.
    pub gets: Count,
    /// Questions for leases.
    pub leases: Count,
    /// Fills.
    pub fills: Count,
    /// Leases to be extended.
    pub extends: Count,
    /// Leases given back.
    pub releases: Count,
    /// Invalidations of keys.
    pub invalidations: Count,
    /// Marks set.
    pub marks: Count,
    /// Reads of all marks.
    pub mark_reads: Count,
    /// Writes announced.
    pub begins: Count,
    /// Writes ended.
    pub ends: Count,
    /// Probes.
    pub probes: Count,
    /// Announcements published by themselves.
    pub publishes: Count,
    /// Subscriptions.
    pub subscribes: Count,
}

impl Calls {
    pub(super) fn count(&mut self, call: Call, keys: usize) {
        let count = match call {
            Call::Get => &mut self.gets,
            Call::Lease => &mut self.leases,
            Call::Fill => &mut self.fills,
            Call::Extend => &mut self.extends,
            Call::Release => &mut self.releases,
            Call::Invalidate => &mut self.invalidations,
            Call::Mark => &mut self.marks,
            Call::ReadMarks => &mut self.mark_reads,
            Call::BeginWrite => &mut self.begins,
            Call::EndWrite => &mut self.ends,
            Call::Probe => &mut self.probes,
            Call::Publish => &mut self.publishes,
            Call::Subscribe => &mut self.subscribes,
        };
        count.trips += 1;
        count.keys += keys as u64;
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { trips: self.trips + other.trips, keys: self.keys + other.keys }
    }
}

impl Sum for Calls {
    fn sum<I: Iterator<Item = Self>>(calls: I) -> Self {
        calls.fold(Self::default(), |all, one| Self {
            gets: all.gets + one.gets,
            leases: all.leases + one.leases,
            fills: all.fills + one.fills,
            extends: all.extends + one.extends,
            releases: all.releases + one.releases,
            invalidations: all.invalidations + one.invalidations,
            marks: all.marks + one.marks,
            mark_reads: all.mark_reads + one.mark_reads,
            begins: all.begins + one.begins,
            ends: all.ends + one.ends,
            probes: all.probes + one.probes,
            publishes: all.publishes + one.publishes,
            subscribes: all.subscribes + one.subscribes,
        })
    }
}
