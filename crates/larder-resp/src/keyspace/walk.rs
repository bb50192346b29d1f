//! Plain keys that a command doesn't name one by one: pages of them, one by chance, several at
//! once, and one that becomes another.
//!
//! No walk shows a declared key: what a cache holds is a part of what there is, and a list of it
//! would say nothing of the rest. Pages are no reads: the key log has nothing of them.

use larder_core::{Key, Moment, Result, Value};
use larder_engine::{Moved, Moving, Occupant, Plain};
use larder_memory::Cursor;

use super::Keyspace;
use crate::key_log::{Op, size};

impl Keyspace {
    /// Shows plain keys: see [`Plain::page`]. Without plain keys there are none.
    pub(crate) fn page(
        &self,
        from: Cursor,
        max: usize,
        now: Moment,
        mut visit: impl FnMut(&Key),
    ) -> Option<Cursor> {
        self.plain.as_ref()?.page(from, max, now, |key, _| visit(key))
    }

    /// A plain key by chance: see [`Plain::random`].
    pub(crate) fn random(&self, now: Moment) -> Option<Key> {
        self.plain.as_ref()?.random(now)
    }

    /// Puts several plain keys: see [`Plain::put_all`].
    pub(crate) fn put_all(
        &self,
        plain: &Plain<Key, Value>,
        pairs: &[(Key, Value)],
        occupant: Occupant,
        now: Moment,
    ) -> Result<bool> {
        let put = plain.put_all(pairs, occupant, now)?;
        if let (Some(log), true) = (&self.key_log, put) {
            for (key, value) in pairs {
                log.plain(Op::Write, key.as_bytes(), size(value), Moment::MAX, now);
            }
        }
        Ok(put)
    }

    /// Gives the value of one plain key to another: see [`Plain::relocate`].
    pub(crate) fn relocate(
        &self,
        plain: &Plain<Key, Value>,
        (from, to): (&Key, &Key),
        moving: Moving,
        occupant: Occupant,
        now: Moment,
    ) -> Result<Moved<Value>> {
        let moved = plain.relocate((from, to), moving, occupant, now)?;
        if let (Some(log), Moved::Done { value, expires_at }) = (&self.key_log, &moved) {
            log.plain(Op::Write, to.as_bytes(), size(value), *expires_at, now);
            if moving == Moving::Rename {
                log.removed(from.as_bytes());
            }
        }
        Ok(moved)
    }
}
