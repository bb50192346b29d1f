//! The bus: what carries invalidations from one process to all others, in one order.
//!
//! Everything published gets a position, and every subscriber sees everything after the point
//! where it began, in the order of positions, or is told of a **gap**. No gap is tolerated: who
//! missed one announcement doesn't know what else is old.
//!
//! A subscriber that reads its own [`Token`](Announcement::Token) back knows that everything
//! published before it has arrived: the moment at which it sent it is its *horizon*.
//!
//! What is announced is written in a few bytes, drawn in [`announcement`]. The bus itself carries
//! them unread.

pub mod announcement;
mod position;

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::shared::MarkClock;
use crate::{BoxFuture, Result};

pub use announcement::{Announcement, ProcessId};
pub use position::{NotAPosition, Position};

/// What a subscriber is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// Something was published.
    Message(Message),
    /// Something may have been missed, whatever it was; what comes next stands after this
    /// position, if that is known.
    Gap(Option<Position>),
}

/// Something that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it stands.
    pub position: Position,
    /// What was published: an [`Announcement`] in bytes.
    pub announcement: Bytes,
    /// The moment of the marks that it announces, and their incarnation, if a tier set them in the
    /// same step.
    pub marks: Option<(MarkClock, u32)>,
}

/// What a subscriber reads. It reconnects by itself and never ends.
pub type Subscription = Pin<Box<dyn Stream<Item = BusEvent> + Send>>;

/// What carries invalidations between processes.
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// What it is, for logs: the kind of server and where, without secrets.
    fn name(&self) -> &str;

    /// Publishes an announcement, behind everything that was published before. After an error it
    /// may be published or not; repeating it does no harm.
    ///
    /// `marks` is the moment of the marks that it announces, where a tier set them in a step of
    /// its own.
    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>>;

    /// Subscribes at the end: everything published after this returns is read. The position is
    /// that end.
    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>>;
}
