//! Programs of writes with an end at any point: what was acknowledged is applied or with the dead
//! letters, once, in order.

use std::collections::HashMap;

use larder_core::Write;
use larder_core::sink::WriteFault;
use larder_test::TestJournal;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::Process;
use crate::common::{S, settle};
use crate::table::{Fails, Table};

#[derive(Clone, Debug)]
enum Step {
    Put(u64, i64),
    Add(u64, i64),
    Delete(u64),
    Turn(u32),
    Fails(Fails),
    /// The process ends, and the next one finds so much of what wasn't durable.
    End(u64),
    Hold(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let fails = prop_oneof![
        Just(Fails::Before(WriteFault::Transient)),
        Just(Fails::Before(WriteFault::Unknown)),
        Just(Fails::Committed),
        Just(Fails::Not),
    ];
    prop_oneof![
        4 => (0_u64..4, 0_i64..100).prop_map(|(key, value)| Step::Put(key, value)),
        4 => (0_u64..4, -9_i64..9).prop_map(|(key, difference)| Step::Add(key, difference)),
        1 => (0_u64..4).prop_map(Step::Delete),
        3 => (1_u32..4).prop_map(Step::Turn),
        2 => fails.prop_map(Step::Fails),
        1 => (0_u64..3).prop_map(Step::End),
        1 => any::<bool>().prop_map(Step::Hold),
    ]
}

/// What a table of numbers holds after a write.
fn apply(rows: &mut HashMap<u64, i64>, key: u64, write: &Write<i64>) {
    match write {
        Write::Store(value) => drop(rows.insert(key, *value)),
        Write::Delete => drop(rows.remove(&key)),
        Write::Add(difference) => *rows.entry(key).or_default() += difference,
    }
}

/// Writes of which nobody knows yet if they were durable at an end, in their order.
type Open = Vec<(u64, Write<i64>)>;

async fn run(steps: Vec<Step>) {
    let table = Table::default();
    let mut journal = TestJournal::default();
    let mut process = Process::start(&table, &journal).await;
    let (mut truth, mut open) = (HashMap::new(), Open::new());
    for step in steps {
        let write = match step {
            Step::Put(key, value) => (key, Write::Store(value)),
            Step::Add(key, difference) => (key, Write::Add(difference)),
            Step::Delete(key) => (key, Write::Delete),
            Step::Turn(seconds) => {
                process.turn(S * seconds).await;
                continue;
            }
            Step::Fails(fails) => {
                table.rows(|rows| rows.fails.push_back(fails));
                continue;
            }
            Step::Hold(holds) => {
                journal.hold(holds);
                if !holds {
                    open.drain(..).for_each(|(key, write)| apply(&mut truth, key, &write));
                }
                continue;
            }
            Step::End(more) => {
                journal = journal.after_the_end(more);
                open.truncate(usize::try_from(more).unwrap());
                open.drain(..).for_each(|(key, write)| apply(&mut truth, key, &write));
                table.rows(|rows| rows.fails.clear());
                process = Process::start(&table, &journal).await;
                continue;
            }
        };
        let (cache, of) = (process.cache.clone(), write.clone());
        let task = tokio::spawn(async move {
            match of {
                (key, Write::Store(value)) => cache.put(&key, value).await,
                (key, Write::Delete) => cache.delete(&key).await,
                (key, Write::Add(difference)) => cache.increment(&key, difference).await,
            }
        });
        settle().await;
        // Acknowledged, or held back before it is durable.
        if task.is_finished() {
            task.await.unwrap().unwrap();
            apply(&mut truth, write.0, &write.1);
        } else {
            open.push(write);
        }
    }
    journal.hold(false);
    open.drain(..).for_each(|(key, write)| apply(&mut truth, key, &write));
    table.rows(|rows| rows.fails.clear());
    for key in 0..4 {
        let read = process.cache.clone();
        let read = tokio::spawn(async move { read.get(&key).await });
        for _ in 0..40 {
            process.turn(S).await;
        }
        assert_eq!(read.await.unwrap().unwrap(), truth.get(&key).copied(), "read {key}");
    }
    for _ in 0..40 {
        process.turn(S).await;
    }
    assert_eq!(table.rows(|rows| rows.held.clone()), truth);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_acknowledged_is_applied_once_and_in_order(steps in vec(step(), 1..60)) {
        Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }
}
