//! Cache simulation: which policy and which size a trace of requests asks for.
//!
//! A [`Trace`] is read from a stream, in one of many [`Format`]s, and taken down by a
//! [`Recorder`], which samples it as far as it must to stay within its bounds. A [`Study`] then
//! replays the [`Requests`] through the policies of `larder-policy`, the very code that the
//! memory tier runs, and through [Belady's optimum](belady()), at many sizes at once. A [`Report`]
//! writes the hit ratios as a table, CSV, JSON, or a page with curves.
//!
//! It knows no files, no terminal and no clock: it reads and writes what it is given.
//!
//! ```
//! use larder_sim::{Bounds, Contender, Recorder, Size, Study, Trace, TraceOptions};
//! use std::num::NonZero;
//!
//! let mut trace = Trace::open(&b"a\nb\na\nc\na\nb\n"[..], &TraceOptions::default())?;
//! let mut recorder = Recorder::new(Bounds::default());
//! for request in &mut trace {
//!     recorder.push(&request?);
//! }
//! let requests = recorder.finish(trace.sample(), trace.reads());
//!
//! let contenders = vec![Contender::Belady, "lru".parse()?];
//! let study = Study { sizes: vec![Size::Entries(2)], contenders };
//! let results = study.run(&requests, NonZero::<usize>::MIN, &|_| {});
//! let hits: Vec<u64> = results.rows[0].outcomes.iter().map(|outcome| outcome.hits).collect();
//! assert_eq!(hits, [3, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod belady;
mod columns;
mod contender;
pub mod curve;
mod outcome;
mod replay;
pub mod report;
mod request;
mod requests;
mod size;
mod study;
#[cfg(test)]
mod tests;
mod trace;

pub use belady::{Future, belady};
pub use contender::{BadContender, Contender};
pub use outcome::Outcome;
pub use replay::{Unit, replay};
pub use report::Report;
pub use request::{Op, Request};
pub use requests::{Bounds, REQUESTS_MAX, Recorder, Requests};
pub use size::{BadSize, Size};
pub use study::{Results, Row, Study};
pub use trace::{
    BadColumns, BadFormat, Column, Columns, Compression, FAULTS_SHOWN, Fault, Faults, Format,
    LINE_BYTES_MAX, Place, Trace, TraceError, TraceOptions,
};
