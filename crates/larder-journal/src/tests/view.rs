//! A journal from outside, beside those who append, truncate, die and damage.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder_core::{ErrorKind, Journal};

use super::bench::{Bench, record};
use super::simulated::Machine;
use crate::JournalView;
use crate::files::{File, Folder};
use crate::format::segment_name;

fn view(machine: &Machine) -> JournalView {
    JournalView::over(machine.folder(), "a folder".to_owned())
}

/// The numbers that are seen; each record says what it should.
fn numbers(view: &JournalView) -> Vec<u64> {
    let records = view.records().unwrap().map(|found| {
        let found = found.unwrap();
        assert_eq!(found.bytes, record(found.number, found.bytes.len()));
        found.number
    });
    records.collect()
}

#[test]
fn what_is_seen_is_what_its_owner_says() {
    let mut bench = Bench::new();
    let view = view(&bench.machine);
    let status = view.status().unwrap();
    assert_eq!((status.pending, status.first, status.next, status.segments), (0, 1, 1, 0));
    assert_eq!(numbers(&view), []);
    for round in 1..=10_u64 {
        bench.commit(&[300; 7]);
        bench.journal.truncate_below(round * 5).unwrap();
        bench.committer.turn();
        let (status, standing) = (view.status().unwrap(), bench.journal.standing());
        assert_eq!((status.first, status.next), (standing.first, standing.next));
        assert_eq!(status.pending, standing.next - standing.first);
        assert!(status.durable_below > standing.next - 7, "{status:?}");
        assert!(status.durable_below <= standing.next, "{status:?}");
        assert!(status.bytes >= standing.bytes, "{status:?}");
        assert_eq!((&*status.id, status.tail_bytes), (bench.journal.id(), 0));
        assert_eq!((&*status.opened_by, &status.damage), ("process 7", &None));
        assert_eq!(numbers(&view), bench.numbers());
    }
    // The same when its owner has ended.
    let (before, machine) = (view.status().unwrap(), bench.machine.clone());
    drop(bench);
    let after = self::view(&machine).status().unwrap();
    assert_eq!((after.pending, after.next), (before.pending, before.next));
}

#[test]
fn looking_changes_nothing_and_takes_no_lock() {
    let mut bench = Bench::new();
    bench.commit(&[300; 20]);
    bench.machine.folder().create("00000000000000000021.log.new").unwrap();
    let (writes, syncs) = (bench.machine.writes(), bench.machine.file_syncs());
    let names = bench.machine.names();
    let view = view(&bench.machine);
    assert_eq!(view.status().unwrap().pending, 20);
    assert_eq!(numbers(&view).len(), 20);
    assert_eq!((bench.machine.writes(), bench.machine.file_syncs()), (writes, syncs));
    assert_eq!(bench.machine.names(), names);
    bench.kill().unwrap();
}

#[test]
fn a_record_that_is_being_written_is_left_out() {
    let mut bench = Bench::new();
    bench.commit(&[300; 3]);
    let machine = bench.machine.clone();
    drop(bench);
    machine.folder().open("mark").unwrap().sync().unwrap();
    let end = 64 + 3 * (28 + 300);
    let whole = machine.durable(&segment_name(1));
    // As far as a record would be there that was half written.
    for cut in [1, 27, 28, 29, 200, 300] {
        machine.tamper(&segment_name(1), |bytes| {
            let from = end - 328;
            bytes[from + cut..end].fill(0);
        });
        let view = view(&machine);
        let status = view.status().unwrap();
        // Nobody vouches for the third, but for the mark, which is taken away here.
        assert_eq!(status.next, 4);
        machine.tamper("mark", |bytes| bytes.fill(0));
        let status = view.status().unwrap();
        assert_eq!((status.next, status.pending), (3, 2), "{cut}");
        assert!(status.tail_bytes > 0 && status.tail_bytes <= cut as u64, "{status:?}");
        assert!(status.damage.as_ref().is_some_and(|damage| damage.lost.is_empty()));
        assert_eq!(numbers(&view), [1, 2]);
        machine.tamper(&segment_name(1), |bytes| bytes.clone_from(&whole));
        let mark = crate::mark::Slot { identity: identity(&whole), turn: 9, first: 1, witness: 4 };
        machine.tamper("mark", |bytes| bytes[..64].copy_from_slice(&mark.encode()));
        assert_eq!(view.status().unwrap().damage, None);
    }
}

fn identity(segment: &[u8]) -> crate::format::Identity {
    crate::format::array_at(segment, 16)
}

#[test]
fn what_is_lost_is_said_and_the_rest_is_read() {
    let mut bench = Bench::new();
    bench.commit(&[300; 20]);
    bench.machine.tamper(&segment_name(1), |bytes| bytes[64 + 328 + 100] ^= 1);
    let view = view(&bench.machine);
    let status = view.status().unwrap();
    assert_eq!(status.damage.unwrap().to_string(), "lost are the records 2");
    assert_eq!((status.pending, status.next), (19, 21));
    assert_eq!(numbers(&view), [1].into_iter().chain(3..=20).collect::<Vec<_>>());

    bench.machine.lose(&segment_name(1));
    let damage = view.status().unwrap().damage.unwrap();
    assert_eq!(damage.lost.len(), 1, "{damage}");
    bench.machine.lose("mark");
    let status = view.status().unwrap();
    assert!(status.damage.unwrap().is_mark_lost);
    assert!(status.pending > 0);
}

#[test]
fn where_there_is_no_journal_it_is_said() {
    let error = view(&Machine::new(7)).status().unwrap_err();
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (ErrorKind::Config, "there is no journal in a folder")
    );
    let error = JournalView::of("/no/such/folder").records().map(drop).unwrap_err();
    assert_eq!(error.to_string(), "there is no journal in /no/such/folder");
}

/// A folder in which something happens while it is looked at.
struct Meanwhile {
    folder: Arc<dyn Folder>,
    happens: Mutex<Box<Happens>>,
}

/// When it happens.
enum Now<'a> {
    BeforeList,
    AfterList,
    Opened(&'a str),
    /// These bytes were read of a file whose name ends with `.log`.
    Read(&'a mut [u8]),
}

type Happens = dyn FnMut(Now<'_>) + Send;

#[derive(Debug)]
struct Opened {
    file: Box<dyn File>,
    folder: Arc<Meanwhile>,
    is_segment: bool,
}

/// So that what is opened can tell the folder.
#[derive(Debug)]
struct Handle(Arc<Meanwhile>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Folder for Handle {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        panic!("it was locked");
    }

    fn holder(&self) -> String {
        self.0.folder.holder()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        (self.0.happens.lock().unwrap())(Now::BeforeList);
        let names = self.0.folder.list();
        (self.0.happens.lock().unwrap())(Now::AfterList);
        names
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.0.folder.open(name)?;
        (self.0.happens.lock().unwrap())(Now::Opened(name));
        Ok(Box::new(Opened { file, folder: self.0.clone(), is_segment: name.ends_with(".log") }))
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn File>> {
        panic!("it was changed");
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        panic!("it was changed");
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        panic!("it was changed");
    }

    fn sync(&self) -> io::Result<()> {
        panic!("it was changed");
    }
}

impl File for Opened {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let read = self.file.read(bytes, at)?;
        if self.is_segment {
            (self.folder.happens.lock().unwrap())(Now::Read(bytes));
        }
        Ok(read)
    }

    fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("it was changed");
    }

    fn cut(&self, _: u64) -> io::Result<()> {
        panic!("it was changed");
    }

    fn sync(&self) -> io::Result<()> {
        panic!("it was changed");
    }
}

fn meanwhile(machine: &Machine, happens: impl FnMut(Now<'_>) + Send + 'static) -> JournalView {
    let happens: Mutex<Box<Happens>> = Mutex::new(Box::new(happens));
    let folder = Handle(Arc::new(Meanwhile { folder: machine.folder(), happens }));
    JournalView::over(Arc::new(folder), "a folder".to_owned())
}

#[test]
fn what_only_one_look_misses_is_not_lost() {
    for (times, is_lost) in [(0, false), (1, false), (2, true)] {
        let mut bench = Bench::new();
        bench.commit(&[300; 5]);
        let mut left = times;
        let view = meanwhile(&bench.machine.clone(), move |now| {
            // A page was read before record 2 was written to it.
            if let Now::Read(bytes) = now
                && left > 0
            {
                left -= 1;
                bytes[64 + 328..64 + 2 * 328].fill(0);
            }
        });
        assert_eq!(view.status().unwrap().damage.is_some(), is_lost, "{times}");
    }
}

/// Without the order in which files are read, what was truncated or appended meanwhile would look
/// lost, in every look.
#[test]
fn an_owner_that_is_busy_in_every_look_is_seen_at_the_first() {
    for moment in ["before the list", "behind it"] {
        let mut bench = Bench::new();
        bench.commit(&[300; 40]);
        let marks = Arc::new(AtomicUsize::new(0));
        let counted = marks.clone();
        let view = meanwhile(&bench.machine.clone(), move |now| match now {
            Now::BeforeList if moment == "before the list" => busy(&mut bench),
            Now::AfterList if moment == "behind it" => busy(&mut bench),
            Now::Opened("mark") => drop(counted.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        });
        let status = view.status().unwrap();
        assert_eq!(status.damage, None, "{moment}");
        assert_eq!(marks.load(Ordering::Relaxed), 2, "{moment}");
    }
}

/// Appends some segments, and truncates as many.
fn busy(bench: &mut Bench) {
    bench.commit(&[300; 20]);
    let standing = bench.journal.standing();
    bench.journal.truncate_below(standing.first + 20).unwrap();
    bench.committer.turn();
}
