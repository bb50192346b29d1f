//! The key log in its file: what [`KeyLog`] notes, written by a thread of its own.
//!
//! The format is described in `docs/simulator.md`. The thread looks for notes now and then and
//! writes what there is, so nobody who notes has to wake it, or waits for the disk. What can't be
//! written is counted as lost; the file never ends with half a line of it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use larder_core::sync::{AtomicBool, Ordering};
use larder_core::{Error, ErrorKind, Result};
use larder_resp::key_log::{Note, Op};
use larder_resp::{KeyLog, Service};
use tokio::sync::oneshot;

/// How often the thread looks for notes.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// How often it writes how many reads of all keys there were.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How often it says at most that requests were left out.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How many notes are written at once.
const NOTES_AT_ONCE: usize = 4096;
/// How many logs there may be beside each other.
const FILES_MAX: u32 = 1000;

/// A key log that has been begun.
#[derive(Debug)]
pub struct KeyLogFile {
    path: PathBuf,
    file: File,
    notes: Receiver<Note>,
}

impl KeyLogFile {
    /// Begins a file for `notes`. Where `path` exists already it is `path.1`, or the first
    /// number that is free: the hashes of one start mean nothing to another.
    ///
    /// # Errors
    ///
    /// `Config` when no file can be written there.
    pub fn create(path: &Path, notes: Receiver<Note>) -> Result<Self> {
        let fault = |error: io::Error| {
            let message = format!(
                "can't write the key log {}: name a file in a folder that larder may write to as \
                 `file` in [trace], or leave [trace] out",
                path.display()
            );
            Error::new(ErrorKind::Config, message).caused_by(error)
        };
        if path.is_dir() {
            return Err(fault(io::ErrorKind::IsADirectory.into()));
        }
        for number in 0..FILES_MAX {
            let path = numbered(path, number);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file, notes }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fault(error)),
            }
        }
        let message = format!(
            "there are {FILES_MAX} key logs beginning with {}: remove those that nobody needs",
            path.display()
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    /// Writes what the log of `service` notes, until it is told to end.
    ///
    /// # Errors
    ///
    /// `Config` when not even the first line can be written, `Internal` when there is no thread
    /// for it.
    pub fn start(self, log: &Arc<KeyLog>, service: &Arc<Service>) -> Result<Writing> {
        let Self { path, file, notes } = self;
        let mut writer = Writer::new(file, notes, Arc::clone(log));
        writer.begin().map_err(|error| {
            let message = format!("can't write the key log {}", path.display());
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        tracing::info!(file = %path.display(), sample = log.sample(), "the key log is written");
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = oneshot::channel();
        let (stopped, service) = (Arc::clone(&stop), Arc::clone(service));
        let spawned = thread::Builder::new().name("key-log".to_owned()).spawn(move || {
            let reads = || {
                let (hits, misses) = service.hits_and_misses();
                hits + misses
            };
            writer.run(&stopped, reads);
            // Nobody may be waiting any more.
            let _ = end.send(());
        });
        let thread = spawned.map_err(|error| {
            Error::new(ErrorKind::Internal, "can't start the thread of the key log")
                .caused_by(error)
        })?;
        Ok(Writing { stop, thread: thread.thread().clone(), ended })
    }
}

/// `path`, or `path.number`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

/// A key log that is being written. Dropping it ends it, without waiting for the end.
#[derive(Debug)]
pub struct Writing {
    stop: Arc<AtomicBool>,
    thread: Thread,
    ended: oneshot::Receiver<()>,
}

impl Writing {
    /// Writes what was noted so far and ends, within this time.
    pub async fn end(mut self, within: Duration) {
        self.tell();
        if tokio::time::timeout(within, &mut self.ended).await.is_err() {
            tracing::warn!("the end of the key log couldn't be written in time");
        }
    }

    fn tell(&self) {
        self.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.tell();
    }
}

/// What the log is written to.
trait Output: Write {
    /// Leaves only the first `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Output for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Whether writing works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Going,
    /// The last attempt failed; the next one may not.
    Failing,
    /// Half a line stands at the end, and can't be removed.
    Over,
}

/// From notes to lines.
struct Writer<O> {
    output: O,
    notes: Receiver<Note>,
    log: Arc<KeyLog>,
    state: State,
    /// How much of the output is good.
    length: u64,
    /// Lines of requests.
    written: u64,
    /// Reads that lines have counted.
    reads_counted: u64,
    /// How many lost requests it was told of, and when.
    told: Option<(u64, Instant)>,
}

impl<O: Output> Writer<O> {
    fn new(output: O, notes: Receiver<Note>, log: Arc<KeyLog>) -> Self {
        let state = State::Going;
        Self { output, notes, log, state, length: 0, written: 0, reads_counted: 0, told: None }
    }

    /// Writes the first line.
    fn begin(&mut self) -> io::Result<()> {
        self.append(format!("larder-keys 1 sample={}\n", self.log.sample()).as_bytes())
    }

    /// Writes until `stop` is true; then what there still is. `reads` says how many reads of all
    /// keys there were so far.
    fn run(&mut self, stop: &AtomicBool, reads: impl Fn() -> u64) {
        let mut counted = Instant::now();
        loop {
            let stopping = stop.load(Ordering::Acquire);
            self.write_notes();
            if stopping || counted.elapsed() >= COUNT_EVERY {
                counted = Instant::now();
                self.write_count(reads());
                self.tell(stopping);
            }
            if stopping {
                return;
            }
            thread::park_timeout(WRITE_EVERY);
        }
    }

    /// Writes all notes that there are.
    fn write_notes(&mut self) {
        loop {
            let notes: Vec<Note> = self.notes.try_iter().take(NOTES_AT_ONCE).collect();
            if notes.is_empty() {
                return;
            }
            let mut lines = Vec::new();
            notes.iter().for_each(|note| write_line(note, &mut lines));
            if self.try_append(&lines) {
                self.written += notes.len() as u64;
            } else {
                notes.iter().for_each(|note| self.log.lose(note.op));
            }
        }
    }

    /// Writes how many more reads there were. Those that are lost stand for others that aren't
    /// in the sample: counted without their lines, all of them would look like hits.
    fn write_count(&mut self, reads: u64) {
        let lost = self.log.lost_reads() as f64 / self.log.sample();
        let reads = reads.saturating_sub(lost as u64);
        let more = reads.saturating_sub(self.reads_counted);
        if more > 0 && self.try_append(format!("+{more}\n").as_bytes()) {
            self.reads_counted = reads;
        }
    }

    /// Says in the server's own log what became of this one.
    fn tell(&mut self, stopping: bool) {
        let lost = self.log.lost();
        if stopping {
            return tracing::info!(written = self.written, lost, "the key log has ended");
        }
        let due = |(told, at): (u64, Instant)| lost > told && at.elapsed() >= TELL_EVERY;
        if lost > 0 && self.told.is_none_or(due) {
            self.told = Some((lost, Instant::now()));
            tracing::warn!(
                lost,
                "requests were left out of the key log: lower `sample` in [trace], or write to a \
                 faster disk with more room"
            );
        }
    }

    /// Appends lines, and says in the server's own log when that begins to fail, or to work
    /// again. Returns whether they were appended.
    fn try_append(&mut self, lines: &[u8]) -> bool {
        if self.state == State::Over {
            return false;
        }
        let before = self.state;
        match self.append(lines) {
            Ok(()) => {
                self.state = State::Going;
                if before == State::Failing {
                    tracing::info!("the key log is written again");
                }
                true
            }
            Err(error) => {
                self.state = match self.output.cut(self.length) {
                    Ok(()) => State::Failing,
                    Err(_) => State::Over,
                };
                if before == State::Going {
                    tracing::error!(%error, "the key log can't be written; requests go on");
                }
                false
            }
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.output.write_all(lines)?;
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// `time r|w|x hash size ttl`.
fn write_line(note: &Note, lines: &mut Vec<u8>) {
    let Note { time_ms, op, hash, size, ttl_ms } = note;
    // Writing into a Vec can't fail.
    let _ = match op {
        Op::Read => writeln!(lines, "{time_ms} r {hash:016x} {size} {ttl_ms}"),
        Op::Write => writeln!(lines, "{time_ms} w {hash:016x} {size} {ttl_ms}"),
        Op::Remove => writeln!(lines, "{time_ms} x {hash:016x}"),
    };
}

#[cfg(test)]
mod tests {
    use std::fs;

    use larder_core::Clock;
    use larder_test::ManualClock;

    use super::*;

    fn log(sample: f64) -> (Arc<KeyLog>, Receiver<Note>) {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let (log, notes) = KeyLog::new(sample, &clock);
        (Arc::new(log), notes)
    }

    /// A disk with room for so many bytes.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        cuts: bool,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room - self.bytes.len());
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Disk {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::ErrorKind::Unsupported.into());
            }
            self.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    /// A writer whose notes come from the test.
    fn writer(sample: f64, disk: Disk) -> (Writer<Disk>, std::sync::mpsc::SyncSender<Note>) {
        let (notes, taken) = std::sync::mpsc::sync_channel(100);
        let mut writer = Writer::new(disk, taken, log(sample).0);
        writer.begin().unwrap();
        (writer, notes)
    }

    fn note(op: Op) -> Note {
        Note { time_ms: 1234, op, hash: 0xab, size: 5, ttl_ms: 60 }
    }

    fn text(writer: &Writer<Disk>) -> &str {
        str::from_utf8(&writer.output.bytes).unwrap()
    }

    const HEAD: &str = "larder-keys 1 sample=0.5\n";
    const READ: &str = "1234 r 00000000000000ab 5 60\n";

    #[test]
    fn a_line_says_what_was_noted() {
        let (mut writer, notes) = writer(0.5, Disk { room: 1000, ..Disk::default() });
        for op in [Op::Read, Op::Write, Op::Remove] {
            notes.send(note(op)).unwrap();
        }
        writer.run(&AtomicBool::new(true), || 77);
        let lines = "1234 w 00000000000000ab 5 60\n1234 x 00000000000000ab\n+77\n";
        assert_eq!(text(&writer), format!("{HEAD}{READ}{lines}"));
        assert_eq!(writer.log.lost(), 0);
    }

    #[test]
    fn a_full_disk_loses_whole_lines_which_are_counted_until_there_is_room() {
        let room = HEAD.len() + READ.len() + 10;
        let (mut writer, notes) = writer(0.5, Disk { room, cuts: true, ..Disk::default() });
        for op in [Op::Read, Op::Read, Op::Remove, Op::Read] {
            notes.send(note(op)).unwrap();
            writer.write_notes();
        }
        assert_eq!(text(&writer), format!("{HEAD}{READ}"));
        assert_eq!((writer.log.lost(), writer.log.lost_reads()), (3, 2));

        writer.output.room = 1000;
        notes.send(note(Op::Read)).unwrap();
        writer.write_notes();
        // Of the ten reads, the two lost ones stand for four.
        writer.write_count(10);
        writer.write_count(10);
        assert_eq!(text(&writer), format!("{HEAD}{READ}{READ}+6\n"));
        assert_eq!(writer.log.lost(), 3);
    }

    #[test]
    fn after_half_a_line_that_cant_be_removed_nothing_is_written() {
        let room = HEAD.len() + 10;
        let (mut writer, notes) = writer(0.5, Disk { room, ..Disk::default() });
        notes.send(note(Op::Read)).unwrap();
        writer.write_notes();
        writer.output.room = 1000;
        notes.send(note(Op::Read)).unwrap();
        writer.write_notes();
        writer.write_count(10);
        assert_eq!(text(&writer), format!("{HEAD}{}", &READ[..10]));
        assert_eq!(writer.log.lost(), 2);
    }

    #[test]
    fn what_is_there_is_never_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "mine").unwrap();
        let begun: Vec<PathBuf> =
            (0..2).map(|_| KeyLogFile::create(&path, log(1.0).1).unwrap().path).collect();
        assert_eq!(begun, [folder.path().join("keys.1"), folder.path().join("keys.2")]);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn where_nothing_can_be_written_it_says_so_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/keys")] {
            let error = KeyLogFile::create(&path, log(1.0).1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let shown = error.chain();
            assert!(shown.contains(path.to_str().unwrap()), "{shown}");
            assert!(shown.contains("`file` in [trace]"), "{shown}");
        }
    }
}
