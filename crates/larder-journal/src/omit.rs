//! The protective steps that a test leaves out, to show that they are needed.

/// A step that keeps something from being lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    /// What was written is synced before it counts as durable.
    SyncOfData,
    /// A new segment's name is synced before anything in it counts as durable.
    SyncOfName,
    /// A segment is synced before the next one is made.
    SyncBeforeNextSegment,
    /// The mark is synced before a segment below it is removed.
    SyncOfMark,
    /// Checksums are compared.
    Checksums,
    /// What was found and isn't proven to be durable is written once more.
    Rewrite,
    /// What stands behind the last good record is cut off before anything is appended.
    Cut,
    /// Records of which a later one says that they were durable are missed.
    Witness,
    /// Who waits is woken.
    Wake,
}
