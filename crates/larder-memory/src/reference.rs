//! A reference to a value that is held, or was when the reference was taken.

#![expect(unsafe_code, reason = "values are read without a lock; the block has its proof")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::hazard::Hold;
use crate::shard::Read;

/// A value in the tier, without a copy: what [`Memory::get_ref`](crate::Memory::get_ref) returns.
///
/// It belongs to its thread, which has places for six at hand and makes more as it needs them.
pub struct Ref<'a, V> {
    /// Not a reference: it would have to be good as long as this is being dropped, and it isn't
    /// once nothing is held.
    value: NonNull<V>,
    of: PhantomData<&'a V>,
    _hold: Hold,
}

impl<'a, V> Ref<'a, V> {
    pub(crate) fn new<K>(read: Read<'a, K, V>) -> Self {
        let (value, hold) = read.hold();
        Self { value: NonNull::from_ref(value), of: PhantomData, _hold: hold }
    }
}

impl<V> Deref for Ref<'_, V> {
    type Target = V;

    fn deref(&self) -> &V {
        // SAFETY: the value is in the tier, which is borrowed, and it is held.
        unsafe { self.value.as_ref() }
    }
}

impl<V: fmt::Debug> fmt::Debug for Ref<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
