//! A durable journal: a log in segments, with one sync for many records.
//!
//! [`FileJournal`] keeps the contract [`larder_core::Journal`]: records of bytes, numbered without
//! a gap, appended, read from any number on, and removed from the beginning. What is durable
//! survives the end of the process and, as [`Durability`] says, of the machine.
//!
//! ```
//! use larder_core::Journal;
//! use larder_journal::{Durability, JournalOptions};
//!
//! # let temporary = tempfile::tempdir().unwrap();
//! # let folder = temporary.path();
//! # fn wait(future: larder_core::BoxFuture<'static, larder_core::Result<()>>) {}
//! let journal = JournalOptions::new(folder).durability(Durability::Fsync).open()?;
//! let number = journal.append(b"counter 7 + 1")?;
//! wait(journal.durable(number)); // `.await` in a task
//! # while journal.durable_below() <= number { std::thread::yield_now(); }
//!
//! for record in journal.read_from(1)? {
//!     let record = record?;
//!     println!("{}: {:?}", record.number, record.bytes);
//!     journal.truncate_below(record.number + 1)?;
//! }
//! # Ok::<(), larder_core::Error>(())
//! ```
//!
//! # What can go wrong, and what happens then
//!
//! | | |
//! |---|---|
//! | the process is killed, the power fails | what was being written is cut off when it is opened anew; [`Recovery`] says how much |
//! | a write or a sync fails | everything that waits fails, nothing more is taken, nothing is tried again; open it anew |
//! | the disk is full | the same, and the error says so; truncating still works, and needs no space |
//! | it is full ([`bytes_max`](JournalOptions::bytes_max)), or too much waits | `Shed`; nothing is appended |
//! | a disk that didn't keep what it said it had, a damaged or missing file | it isn't opened: the error names the records ([`Damage`]) that are [proven](crate#what-is-proven) to be lost |
//! | a second process | it is told which one has it |
//!
//! # What is proven
//!
//! Each record carries the number below which everything was durable when it was appended, and so
//! does the mark beside the segments, which is written whenever there is nothing else to do. That
//! a segment is there proves that those before it were synced. So what was durable can't vanish
//! unnoticed, except at the very end: a disk that loses its last writes together with the mark
//! looks like one that was cut off before them.
//!
//! # Bounds
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | a record | 8 MiB | `Refused` |
//! | the journal | `bytes_max`, 1 GiB; 1 MiB more is written ahead | `Shed` |
//! | what waits to be written | `waiting_bytes_max`, 32 MiB | `Shed` |
//! | who waits for it | 65,536 | `Shed` |
//! | a segment | `segment_bytes`, 16 MiB | the next one |
//! | memory to open one | a segment | |
//! | memory of a reader | 64 KiB, or a record | |
//!
//! # What it deliberately doesn't know
//!
//! What a record says, who applies it, sources, caches, or the time: what is needed no more is
//! said, not guessed.
//!
//! | module | idea |
//! |---|---|
//! | `options`, `report` | what a user says, and what he is told |
//! | `journal` | the contract |
//! | `shared`, `state`, `waiters` | what threads have in common: numbers, what has gathered, who waits |
//! | `committer`, `log` | the thread that writes, and the order of its writes and syncs |
//! | `mark` | the mark: what is needed, and what is proven |
//! | `format`, `scan` | bytes: what is in a segment, and what is found in a damaged one |
//! | `judge` | what a hole means: a torn tail, or a loss |
//! | `recovery`, `repair` | opening |
//! | `reader` | reading |
//! | `view` | reading from outside, while its owner runs |
//! | `files` | what is asked of a file system, and a real one |
//! | `omit` | the steps that a test leaves out |

mod committer;
mod files;
mod format;
#[cfg(all(test, shuttle))]
mod interleavings;
mod journal;
mod judge;
mod log;
mod mark;
mod omit;
mod options;
mod reader;
mod recovery;
mod repair;
mod report;
mod scan;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod waiters;

pub use format::RECORD_BYTES_MAX;
pub use journal::FileJournal;
pub use options::{Durability, JournalOptions};
pub use report::{Damage, Recovery};
pub use view::{JournalStatus, JournalView, Oldest};
