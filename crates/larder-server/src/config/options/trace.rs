//! `[trace]`: a log of what is asked, for the simulator.

use super::super::value::{Line, Part};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "trace",
    heads: Heads::One,
    about: "A log of what clients do to a sample of the keys, without the keys themselves, for \
            `larder simulate`. No log is written where the section is left out.",
    options: &[&FILE.about, &SAMPLE.about],
};

pub(in super::super) static FILE: Opt<Line> = Opt::new(
    "file",
    Default::Required,
    "Where the log is written. What is there already is never touched: the next start writes to \
     `FILE.1`, then `FILE.2`, since each has hashes of its own. It grows by some 40 bytes for each \
     sampled request.",
)
.elsewhere(&["path", "log", "out", "output"]);

pub(in super::super) static SAMPLE: Opt<Part> = Opt::new(
    "sample",
    Default::Value("0.01"),
    "Which part of the keys is logged, each with all its requests or with none. Some 30,000 keys \
     in the log make hit ratios right to about a hundredth.",
)
.elsewhere(&["rate", "sampling", "sample_rate", "ratio"]);
