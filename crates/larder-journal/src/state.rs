//! What the lock of a journal protects: numbers, what has gathered, and who waits.
//!
//! It knows neither files nor threads.

use std::collections::VecDeque;

use larder_core::Error;

use crate::format::{FRAME_BYTES, HEADER_BYTES, Header, Identity};
use crate::log::Chunk;
use crate::options::Durability;
use crate::waiters::Waiters;

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Records below this number are needed no more.
    pub(crate) first: u64,
    pub(crate) next: u64,
    /// Everything below this number was handed to the operating system.
    pub(crate) written: u64,
    /// Everything below this number was synced.
    pub(crate) synced: u64,
    /// The segments, in order. Records are appended to the last one.
    pub(crate) segments: VecDeque<Segment>,
    /// What all segments take.
    pub(crate) bytes: u64,
    /// What is to be written next.
    pub(crate) gathered: VecDeque<Chunk>,
    /// What is gathered or being written.
    pub(crate) waiting_bytes: u64,
    /// A buffer for the next chunk.
    pub(crate) spare: Vec<u8>,
    pub(crate) waiters: Waiters,
    /// Why nothing is written any more.
    pub(crate) failed: Option<Error>,
    /// Why nothing is removed any more.
    pub(crate) mark_failed: bool,
    /// Up to where segments were removed.
    pub(crate) cleared: u64,
    pub(crate) is_closing: bool,
}

/// A segment, there or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    /// The number behind the last. That of the next segment is greater where a loss was accepted.
    pub(crate) below: u64,
    pub(crate) bytes: u64,
}

impl State {
    /// Everything below this number is durable, as durability was chosen.
    pub(crate) fn durable_below(&self, durability: Durability) -> u64 {
        match durability {
            Durability::Fsync => self.synced,
            Durability::Interval(_) => self.written,
            Durability::Memory if self.failed.is_some() => self.written,
            Durability::Memory => self.next,
        }
    }

    /// Whether the thread that writes has something to do.
    pub(crate) fn has_work(&self) -> bool {
        !self.gathered.is_empty() || (self.first > self.cleared && !self.mark_failed)
    }

    /// Records that are appended from now on stand in a new segment.
    pub(crate) fn begin_segment(&mut self, identity: Identity) {
        let (first, bytes) = (self.next, HEADER_BYTES as u64);
        self.segments.push_back(Segment { first, below: first, bytes });
        self.bytes += bytes;
        self.waiting_bytes += bytes;
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.extend_from_slice(&Header { identity, first, behind: first }.encode());
        self.gathered.push_back(Chunk { segment: first, at: 0, bytes: buffer, below: first });
    }

    /// Puts a record behind all others, into the last segment.
    pub(crate) fn put(&mut self, frame: &[u8; FRAME_BYTES], record: &[u8]) {
        let Some(segment) = self.segments.back_mut() else { return };
        if self.gathered.back().is_none_or(|chunk| chunk.segment != segment.first) {
            let bytes = std::mem::take(&mut self.spare);
            let (first, at) = (segment.first, segment.bytes);
            self.gathered.push_back(Chunk { segment: first, at, bytes, below: self.next });
        }
        let bytes = (frame.len() + record.len()) as u64;
        self.bytes += bytes;
        self.waiting_bytes += bytes;
        self.next += 1;
        segment.bytes += bytes;
        segment.below = self.next;
        if let Some(chunk) = self.gathered.back_mut() {
            chunk.bytes.extend_from_slice(frame);
            chunk.bytes.extend_from_slice(record);
            chunk.below = self.next;
        }
    }
}
