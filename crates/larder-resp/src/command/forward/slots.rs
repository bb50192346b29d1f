//! On which of several servers the keys of a command live, by their slots.
//!
//! As in Redis Cluster, the keys of one command are of one slot; what can be split is split before
//! it comes here. So are those of one transaction: its first key decides.

use super::refuse::crossslot;
use super::{Route, Router};
use crate::command::Call;
use crate::upstream::To;

/// The slots of several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slots {
    /// There is no key, or one server has all.
    None,
    One(u16),
    Several,
}

impl Slots {
    /// Those of all these keys.
    pub(super) fn of<'k>(call: &Call<'_>, keys: impl IntoIterator<Item = &'k [u8]>) -> Self {
        keys.into_iter().fold(Self::None, |slots, key| slots.and(call, key))
    }

    /// These, and that of one more key.
    pub(super) fn and(self, call: &Call<'_>, key: &[u8]) -> Self {
        let upstream = call.service.keyspace.upstream();
        match (self, upstream.and_then(|upstream| upstream.slot(key))) {
            (slots, None) => slots,
            (Self::None, Some(slot)) => Self::One(slot),
            (Self::One(one), Some(slot)) if one == slot => self,
            _ => Self::Several,
        }
    }

    /// Whom a command is for whose keys they are, if it is for one.
    pub(super) fn to(self) -> Option<To> {
        match self {
            Self::None => Some(To::Any),
            Self::One(slot) => Some(To::Slot(slot)),
            Self::Several => None,
        }
    }
}

impl Router<'_> {
    /// Whom a command is for, which may be one of a transaction; otherwise it is refused.
    pub(super) fn to(&self, call: &mut Call<'_>, slots: Slots) -> Result<To, Route> {
        let Some(to) = slots.to() else { return Err(crossslot(call)) };
        let watches = call.is(0, "WATCH");
        let transaction = &mut call.session.transaction;
        let belongs = transaction.queues || (watches && transaction.is_open());
        if let (To::Slot(slot), true) = (to, belongs)
            && *transaction.slot.get_or_insert(slot) != slot
        {
            return Err(crossslot(call));
        }
        Ok(to)
    }

    /// Whether the client's own connection is known to lead to another server, perhaps, than one
    /// that has this slot.
    pub(super) fn leads_elsewhere(&self, to: To) -> bool {
        let slot = if let To::Slot(slot) = to { Some(slot) } else { None };
        self.divided && self.has_connection && slot.is_some() && slot != self.leads_to
    }
}
