//! The contract of journals, held against one on a disk.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use larder_core::Journal;
use larder_journal::{Durability, JournalOptions};
use larder_test::contract::check_journal;

fn check(durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    common::wait(check_journal(100_000, || async {
        let options = JournalOptions::new(folder.path()).record_bytes_max(100_000);
        let journal: Arc<dyn Journal> = Arc::new(options.durability(durability).open()?);
        Ok(journal)
    }));
}

#[test]
fn a_journal_that_syncs_keeps_the_contract() {
    check(Durability::Fsync);
}

#[test]
fn a_journal_that_syncs_now_and_then_keeps_the_contract() {
    check(Durability::Interval(Duration::from_millis(20)));
}
