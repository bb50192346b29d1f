//! Who reads what a transport delivers.
#![allow(dead_code, reason = "no transport needs all of it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use larder_feed::debezium::records::{Batch, Reading, Record, Records};
use tokio::time::timeout;

/// Whatever is waited for comes much earlier; nothing waits for all of it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Opens them as often as it is refused.
pub(crate) async fn open(records: &impl Records) -> Box<dyn Reading> {
    let mut refused = String::new();
    let opening = async {
        loop {
            match records.open().await {
                Ok(reading) => return reading,
                Err(error) => {
                    let is_passing =
                        matches!(error.kind(), ErrorKind::Refused | ErrorKind::SourceDown);
                    assert!(is_passing, "{}", error.chain());
                    refused = error.chain();
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(LONG, opening).await {
        Ok(reading) => reading,
        Err(_) => panic!("it isn't opened: {refused}"),
    }
}

/// Who reads, and what was read.
pub(crate) struct Reader {
    pub(crate) reading: Box<dyn Reading>,
    /// The number of the last batch.
    pub(crate) number: u64,
    pub(crate) batches: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) lanes: BTreeMap<u32, Vec<String>>,
}

impl Reader {
    pub(crate) async fn open(records: &impl Records) -> Self {
        let reading = open(records).await;
        Self { reading, number: 0, batches: 0, lost: Vec::new(), lanes: BTreeMap::new() }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>> {
        match timeout(LONG, self.reading.next()).await.expect("it always says something")? {
            Batch::Records { number, records } => {
                assert!(number > self.number && number < 1 << 56 && !records.is_empty());
                self.number = number;
                self.batches += 1;
                for record in &records {
                    let text = record.value.as_ref().map_or("-".to_owned(), text);
                    self.lanes.entry(record.lane).or_default().push(text);
                }
                Ok(Some(records))
            }
            Batch::Lost { reason } => {
                self.lost.push(reason);
                Ok(None)
            }
            Batch::Nothing => Ok(None),
        }
    }

    /// Reads until so many records have come, and returns them.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        let reading = async {
            while texts.len() < count {
                texts.extend(self.read_some().await);
            }
        };
        timeout(LONG, reading).await.expect("all of them come");
        assert_eq!(texts.len(), count, "{texts:?}");
        texts
    }

    /// Reads what comes next, or nothing.
    pub(crate) async fn read_some(&mut self) -> Vec<String> {
        let records = self.next().await.unwrap().unwrap_or_default();
        let values = records.iter().map(|record| record.value.as_ref());
        values.map(|value| value.map_or("-".to_owned(), text)).collect()
    }

    /// Reads until this has come, and returns what did.
    pub(crate) async fn read_until(&mut self, last: &str) -> Vec<String> {
        let mut texts = Vec::new();
        let reading = async {
            while texts.last().is_none_or(|text| text != last) {
                texts.extend(self.read_some().await);
            }
        };
        timeout(LONG, reading).await.expect("it comes");
        texts
    }

    /// Reads until something is lost, and says why.
    pub(crate) async fn lost(&mut self) -> String {
        let losing = async {
            while self.lost.is_empty() {
                self.next().await.unwrap();
            }
        };
        timeout(LONG, losing).await.expect("it is lost");
        self.lost.remove(0)
    }

    /// Reads until it can't be read any more, and says why.
    pub(crate) async fn ended(&mut self) -> Error {
        let ending = async {
            loop {
                if let Err(error) = self.next().await {
                    return error;
                }
            }
        };
        timeout(LONG, ending).await.expect("it ends")
    }

    /// Nothing more comes.
    pub(crate) async fn silence(&mut self) {
        for _ in 0..5 {
            assert_eq!(self.next().await.unwrap(), None);
        }
        assert!(self.lost.is_empty(), "{:?}", self.lost);
    }

    pub(crate) fn acknowledge(&mut self) {
        self.reading.acknowledge(self.number);
    }

    pub(crate) async fn catch_up(&mut self) {
        let catching = async {
            while !self.reading.caught_up().await.unwrap() {
                self.next().await.unwrap();
            }
        };
        timeout(LONG, catching).await.expect("it catches up");
    }
}

pub(crate) fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const READ_AND_DIE: &str = "LARDER_READ_AND_DIE";

/// Where who is to be killed reads from; without it there is nothing to do.
pub(crate) fn told_to_read() -> Option<String> {
    std::env::var(READ_AND_DIE).ok()
}

/// What is run in a process of its own, and killed.
pub(crate) async fn reads_until_it_is_killed(records: &impl Records) {
    let mut reader = Reader::open(records).await;
    println!("\nreading");
    loop {
        reader.next().await.unwrap();
        reader.acknowledge();
    }
}

/// Lets this test of this program read there, and kills it when it does.
pub(crate) fn kill_who_reads(test: &str, at: &str) {
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(READ_AND_DIE, at)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "reading"));
    killed.kill().unwrap();
    killed.wait().unwrap();
}
