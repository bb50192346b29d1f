//! The store of bodies by itself: what it evicts, what stays, and what the disk says to it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use larder_core::{Key, LoadError};
use larder_http::{BodyReader, BodyStore, StoredBody};
use larder_server::config::StoreConfig;
use larder_server::edge::{FileStore, StoreCounts};
use tempfile::TempDir;

use crate::support::PATIENCE;

const BLOCK: u64 = 4096;

/// A store with room for so many blocks, in a folder of its own.
struct Bench {
    store: FileStore,
    folder: TempDir,
}

impl Bench {
    fn new(blocks: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let config =
            StoreConfig { folder: folder.path().into(), bytes_max: blocks * BLOCK, from: 0 };
        Self { store: FileStore::open(&config).unwrap(), folder }
    }

    fn counts(&self) -> StoreCounts {
        self.store.counts()
    }

    /// Stores so many blocks of a letter.
    async fn put(&self, name: &str, blocks: usize) -> Result<Arc<dyn StoredBody>, LoadError> {
        let mut writer = self.store.create(&Key::from(name), None).await?;
        let body = writer.body();
        for _ in 0..blocks {
            writer.write(vec![name.as_bytes()[0]; 4096].into()).await?;
        }
        writer.finish().await?;
        Ok(body)
    }

    /// What the files take, and how many they are.
    fn on_disk(&self) -> (u64, usize) {
        let files: Vec<u64> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "body"))
            // One may go meanwhile.
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .collect();
        (files.iter().map(|bytes| bytes.max(&1).div_ceil(BLOCK) * BLOCK).sum(), files.len())
    }

    /// Waits until there are so many files, and what they take is what is counted.
    async fn has_files(&self, files: usize) {
        let has = async {
            while self.on_disk() != (self.counts().bytes, files) {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, has).await;
        assert!(in_time.is_ok(), "{:?} on disk, {:?}", self.on_disk(), self.counts());
    }
}

/// All of a body.
async fn whole(reader: &Arc<dyn BodyReader>) -> Result<Vec<u8>, LoadError> {
    let mut all = Vec::new();
    loop {
        let bytes = reader.read(all.len() as u64, 1000).await?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&bytes);
    }
}

/// Counts how often it is told that a body was evicted.
fn told(body: &Arc<dyn StoredBody>) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    body.when_evicted(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    count
}

#[tokio::test]
async fn what_is_read_isnt_evicted_and_what_isnt_is() {
    let bench = Bench::new(4);
    let (a, b) = (bench.put("a", 2).await.unwrap(), bench.put("b", 2).await.unwrap());
    let (of_a, of_b) = (told(&a), told(&b));
    let (reads_a, reads_b) = (a.reader().unwrap(), b.reader().unwrap());
    for length in [1, 3] {
        assert!(bench.put("c", length).await.is_err());
    }
    assert_eq!((bench.counts().failed, bench.counts().evicted), (2, 0));
    drop(reads_a);
    let c = bench.put("c", 1).await.unwrap();
    assert!(a.reader().is_none() && a.is_evicted());
    assert_eq!((of_a.load(Ordering::Relaxed), of_b.load(Ordering::Relaxed)), (1, 0));
    // Who is told late is told at once.
    assert_eq!(told(&a).load(Ordering::Relaxed), 1);
    assert_eq!(whole(&reads_b).await.unwrap(), [b'b'; 8192]);
    assert!(c.reader().is_some());
    bench.has_files(2).await;
    let counts = bench.counts();
    assert_eq!((counts.bytes, counts.evicted, counts.evicted_bytes), (3 * BLOCK, 1, 2 * BLOCK));
}

#[tokio::test]
async fn what_nobody_holds_is_read_to_its_end_and_counts_until_then() {
    let bench = Bench::new(4);
    let body = bench.put("a", 3).await.unwrap();
    let reader = body.reader().unwrap();
    drop(body);
    // It can't be evicted any more, and has its room.
    assert!(bench.put("b", 2).await.is_err());
    assert_eq!(whole(&reader).await.unwrap(), [b'a'; 3 * 4096]);
    bench.has_files(1).await;
    assert_eq!(bench.counts().bytes, 3 * BLOCK);
    drop(reader);
    bench.has_files(0).await;
    assert_eq!((bench.counts().bytes, bench.counts().evicted), (0, 0));
}

#[tokio::test]
async fn what_comes_once_drives_out_nothing_that_is_asked_for() {
    let bench = Bench::new(20);
    let mut often = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let body = bench.put(name, 2).await.unwrap();
        (0..3).for_each(|_| drop(body.reader()));
        often.push(body);
    }
    let mut once = Vec::new();
    for at in 0..200 {
        once.push(bench.put(&at.to_string(), 1).await.unwrap());
    }
    assert!(often.iter().all(|body| !body.is_evicted()));
    let left = once.iter().filter(|body| !body.is_evicted()).count();
    assert_eq!((left, bench.counts().evicted), (12, 188));
    // What isn't asked for any more goes in time.
    drop(once);
    for name in ["e", "f", "g", "h", "i", "j", "k", "l", "m", "n"] {
        let body = bench.put(name, 2).await.unwrap();
        (0..3).for_each(|_| drop(body.reader()));
        often.push(body);
    }
    assert!(often[..4].iter().any(|body| body.is_evicted()));
}

/// What came back soon after it had been evicted is known.
#[tokio::test]
async fn what_comes_back_is_no_newcomer() {
    let bench = Bench::new(10);
    let mut held = Vec::new();
    for at in 0..10 {
        held.push(bench.put(&at.to_string(), 1).await.unwrap());
    }
    assert!(bench.put("x", 1).await.is_ok());
    assert!(held[0].is_evicted());
    let back = bench.put("0", 1).await.unwrap();
    for at in 0..50 {
        held.push(bench.put(&format!("new {at}"), 1).await.unwrap());
    }
    assert!(!back.is_evicted());
}

#[tokio::test]
async fn a_body_longer_than_the_store_evicts_nothing_where_it_says_so() {
    let bench = Bench::new(4);
    let body = bench.put("a", 1).await.unwrap();
    for length in [4 * BLOCK + 1, u64::MAX] {
        assert!(bench.store.create(&Key::from("b"), Some(length)).await.is_err());
    }
    assert!(!body.is_evicted());
    // Of one that doesn't say so as much is written as there is room.
    assert!(bench.put("b", 5).await.is_err());
    bench.has_files(0).await;
    assert_eq!(bench.counts().failed, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_together_keep_the_bound() {
    let bench = Arc::new(Bench::new(64));
    let writes = |task: u64| {
        let bench = Arc::clone(&bench);
        async move {
            let mut held = Vec::new();
            let mut passed = 0;
            for at in 0..60 {
                // From a byte to ten blocks, some of which say so.
                let length = 1 + (task * 7919 + at * 104_729) % (10 * BLOCK);
                let says = (at % 3 != 0).then_some(length);
                let text = vec![b'a' + (task % 26) as u8; usize::try_from(length).unwrap()];
                let key = Key::from(format!("{task} {at}").as_str());
                let written = async {
                    let mut writer = bench.store.create(&key, says).await?;
                    let body = writer.body();
                    for chunk in text.chunks(3000) {
                        writer.write(Bytes::copy_from_slice(chunk)).await?;
                        assert!(bench.counts().bytes <= 64 * BLOCK);
                    }
                    writer.finish().await?;
                    Ok::<_, LoadError>(body)
                };
                match written.await {
                    Ok(body) => held.push((body, text)),
                    Err(_) => passed += 1,
                }
                if let Some((body, text)) = held.get(held.len() / 2)
                    && let Some(reader) = body.reader()
                {
                    assert!(whole(&reader).await.unwrap() == *text);
                }
                if at % 5 == 0 && !held.is_empty() {
                    held.swap_remove(0);
                }
            }
            (held, passed)
        }
    };
    let tasks: Vec<_> = (0..16).map(|task| tokio::spawn(writes(task))).collect();
    let (mut held, mut passed) = (Vec::new(), 0);
    for task in tasks {
        let (of_task, so_many) = task.await.unwrap();
        held.extend(of_task);
        passed += so_many;
    }
    bench.has_files(held.iter().filter(|(body, _)| !body.is_evicted()).count()).await;
    let counts = bench.counts();
    assert!(counts.evicted > 100 && counts.failed == passed && counts.stuck == 0, "{counts:?}");
    drop(held);
    bench.has_files(0).await;
}

#[tokio::test]
async fn a_file_that_cant_be_removed_keeps_its_room_until_it_can() {
    let bench = Bench::new(4);
    let first = bench.put("a", 2).await.unwrap();
    let second = bench.put("b", 2).await.unwrap();
    // What isn't a file can't be removed as one.
    let file = bench.folder.path().join("0.body");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(bench.put("c", 1).await.is_err());
    assert!(first.is_evicted() && !second.is_evicted());
    let counts = bench.counts();
    assert_eq!((counts.stuck, counts.bytes, counts.failed), (1, 4 * BLOCK, 1));
    fs::remove_dir(&file).unwrap();
    let third = bench.put("c", 2).await.unwrap();
    assert!(!second.is_evicted() && !third.is_evicted());
    bench.has_files(2).await;
    assert_eq!((bench.counts().stuck, bench.counts().bytes), (0, 4 * BLOCK));
}

#[tokio::test]
async fn a_body_that_cant_be_read_isnt_there_any_more() {
    let bench = Bench::new(4);
    let body = bench.put("a", 2).await.unwrap();
    let told = told(&body);
    let reader = body.reader().unwrap();
    fs::remove_file(bench.folder.path().join("0.body")).unwrap();
    assert!(reader.read(0, 1000).await.is_err());
    assert!(body.reader().is_none() && body.is_evicted());
    assert_eq!((told.load(Ordering::Relaxed), bench.counts().failed), (1, 1));
    assert!(reader.read(0, 1000).await.is_err());
    assert_eq!((told.load(Ordering::Relaxed), bench.counts().failed), (1, 1));
    drop(reader);
    bench.has_files(0).await;
    assert_eq!((bench.counts().bytes, bench.counts().evicted), (0, 0));
}

#[tokio::test]
async fn a_folder_that_takes_no_file_loses_none() {
    let bench = Bench::new(4);
    let body = bench.put("a", 4).await.unwrap();
    fs::write(bench.folder.path().join("1.body"), "in the way").unwrap();
    assert!(bench.put("b", 1).await.is_err());
    assert!(!body.is_evicted());
    assert_eq!((bench.counts().failed, bench.counts().bytes), (1, 4 * BLOCK));
    assert!(bench.put("b", 1).await.is_ok() && body.is_evicted());
}
