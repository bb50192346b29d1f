//! How every journal behaves.

use std::sync::Arc;

use larder_core::journal::Record;
use larder_core::{ErrorKind, Journal, Result};

/// Checks that a journal keeps its contract. `open` opens the same one, which is new, again and
/// again; each is dropped before the next is asked for. The longest record has `record_bytes_max`
/// bytes.
///
/// # Panics
///
/// When it doesn't.
pub async fn check_journal<F>(record_bytes_max: usize, mut open: impl FnMut() -> F)
where
    F: Future<Output = Result<Arc<dyn Journal>>>,
{
    let mut open = async || open().await.expect("it opens");
    let journal = open().await;
    numbers_follow_each_other(&*journal).await;
    who_waits_is_told(&*journal, record_bytes_max).await;
    it_is_read_from_any_number(&*journal).await;
    let id = journal.id().to_owned();
    let (before, records) = (journal.standing(), all(&*journal));
    drop(journal);

    let journal = open().await;
    assert_eq!(journal.id(), id, "it is the same one");
    let after = journal.standing();
    assert_eq!((after.first, after.next), (before.first, before.next), "its numbers stay");
    assert_eq!(all(&*journal), records, "its records stay");
    what_is_needed_no_more_goes(&*journal).await;
    let next = journal.standing().next;
    drop(journal);

    let journal = open().await;
    let number = append(&*journal, b"after").await;
    assert_eq!(number, next, "numbers go on when nothing is left");
    // Appended and not waited for: what was appended becomes durable.
    let last = journal.append(b"dropped").expect("there is room");
    drop(journal.durable(last));
    drop(journal);
    let journal = open().await;
    assert_eq!(all(&*journal).last().map(|record| record.number), Some(last));
    journal.truncate_below(u64::MAX).expect("it can be truncated");
    assert_eq!(all(&*journal), []);
    let standing = journal.standing();
    assert_eq!((standing.first, standing.next), (last + 1, last + 1), "no further than its end");
}

async fn append(journal: &dyn Journal, record: &[u8]) -> u64 {
    let number = journal.append(record).expect("there is room");
    journal.durable(number).await.expect("it becomes durable");
    assert!(journal.durable_below() > number, "what is durable counts as durable");
    number
}

fn read(journal: &dyn Journal, from: u64) -> Vec<Record> {
    let records = journal.read_from(from).expect("it can be read");
    records.collect::<Result<_>>().expect("it can be read to its end")
}

fn all(journal: &dyn Journal) -> Vec<Record> {
    read(journal, 0)
}

async fn numbers_follow_each_other(journal: &dyn Journal) {
    let empty = journal.standing();
    assert_eq!((empty.first, all(journal)), (empty.next, vec![]), "a new one is empty");
    let first = append(journal, b"").await;
    assert_eq!(first, empty.next, "it says which number comes next");
    let numbers: Vec<u64> = (0..200_u32)
        .map(|count| journal.append(&count.to_be_bytes()).expect("there is room"))
        .collect();
    assert!(numbers.iter().copied().eq(first + 1..first + 201), "one after the other");
    journal.durable(first + 200).await.expect("it becomes durable");
    assert!(journal.durable_below() > first + 200, "with all before it");
    let records = all(journal);
    assert_eq!(records.len(), 201);
    for (count, record) in (0_u32..).zip(&records[1..]) {
        assert_eq!(record.bytes[..], count.to_be_bytes(), "the record {}", record.number);
    }
    assert!(journal.standing().bytes >= 800, "it says what it takes");
}

async fn who_waits_is_told(journal: &dyn Journal, record_bytes_max: usize) {
    let next = journal.standing().next;
    let never = journal.durable(next).await.expect_err("it was never appended");
    assert_eq!(never.kind(), ErrorKind::Refused);
    let error = journal.append(&vec![7; record_bytes_max + 1]).expect_err("it is too long");
    assert_eq!((error.kind(), journal.standing().next), (ErrorKind::Refused, next));
    append(journal, &vec![7; record_bytes_max]).await;
    journal.durable(0).await.expect("what was long ago is durable");
}

async fn it_is_read_from_any_number(journal: &dyn Journal) {
    let records = all(journal);
    let middle = records[77].number;
    assert_eq!(read(journal, middle), records[77..]);
    let next = journal.standing().next;
    assert_eq!(read(journal, next), [], "behind its end is nothing");
    // A reader ends where it ended when it was asked for.
    let mut reader = journal.read_from(next - 1).expect("it can be read");
    append(journal, b"later").await;
    assert_eq!(reader.next().map(|read| read.expect("it is there").number), Some(next - 1));
    assert!(reader.next().is_none());
}

async fn what_is_needed_no_more_goes(journal: &dyn Journal) {
    let records = all(journal);
    let middle = records[100].number;
    journal.truncate_below(middle).expect("it can be truncated");
    assert_eq!(journal.standing().first, middle);
    assert_eq!(all(journal), records[100..]);
    journal.truncate_below(middle - 50).expect("what is gone can be named again");
    assert_eq!(journal.standing().first, middle, "it never comes back");
    let number = append(journal, b"more").await;
    journal.truncate_below(number + 1).expect("it can be truncated");
    assert_eq!(all(journal), []);
}
