//! `larder simulate TRACE…`: which policy and which size a trace of requests asks for.
//!
//! The traces are parts of one, in order. What is printed goes to the standard output or a file;
//! what is wrong, and the progress at a terminal, to the standard error.

mod progress;
mod read;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{Args, ValueEnum};
use larder_sim::curve::Sketch;
use larder_sim::{
    BadContender, Columns, Contender, Format, REQUESTS_MAX, Report, Requests, Results, Size, Study,
    Unit,
};
use progress::Progress;

use crate::check::tell;

/// What is done with lines that can't be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BadLines {
    /// Nothing is simulated.
    #[default]
    Refuse,
    /// They are left out.
    Skip,
}

/// In which form the results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// A line for each policy at each size.
    Csv,
    /// One object.
    Json,
    /// A page with curves, which needs nothing but itself.
    Html,
}

/// What `simulate` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The files of the trace, in order; - is the standard input. gzip and zstd are found out
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// keys, csv, arc, lirs, oracle-general, zzd, monitor or key-log; told from the content and
    /// the name unless given
    #[arg(long)]
    format: Option<Format>,
    /// The columns of a CSV trace, such as time,key,-,size (key, size, time, ttl, op; - for others)
    #[arg(long)]
    columns: Option<Columns>,
    /// The policies to compare, with commas, or all
    #[arg(long, default_value = "all", value_parser = policies)]
    policy: Policies,
    /// Sizes of the cache, with commas: parts of the keys (1%), entries (10000), bytes (64MiB)
    #[arg(long, default_value = "0.2%,1%,3%,10%,25%,50%", value_delimiter = ',')]
    size: Vec<Size>,
    /// Compare with the optimum, too, which knows the future
    #[arg(long)]
    belady: bool,
    /// Read so many requests at most
    #[arg(long, value_name = "REQUESTS")]
    limit: Option<u64>,
    /// What is done with lines that can't be understood
    #[arg(long, value_enum, default_value_t)]
    bad_lines: BadLines,
    /// Simulate this part of the keys only: 1/16, 0.1 or 10%
    #[arg(long, value_name = "PART", default_value = "1", value_parser = part)]
    sample: f64,
    /// Keep so many requests in memory at most: beyond them the sample is halved
    #[arg(long, value_name = "REQUESTS", default_value_t = REQUESTS_MAX)]
    requests_max: u32,
    /// Points of the curves, from a sample of the keys; 0 for none [default: 24 for html, else 0]
    #[arg(long, value_name = "POINTS", value_parser = clap::value_parser!(u16).range(..=1000))]
    curve: Option<u16>,
    /// In which form the results are written
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// The file to write, instead of the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many replays run at once [default: one for each core]
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

/// The policies of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policies(Vec<Contender>);

fn policies(text: &str) -> Result<Policies, BadContender> {
    if text == "all" {
        let policies = Contender::all().filter(|&contender| contender != Contender::Belady);
        return Ok(Policies(policies.collect()));
    }
    let mut policies = Vec::new();
    for name in text.split(',') {
        let contender = name.parse()?;
        if !policies.contains(&contender) {
            policies.push(contender);
        }
    }
    Ok(Policies(policies))
}

/// A part of a whole: a fraction, a decimal number or a percentage.
fn part(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.parse::<f64>().ok();
    let part = if let Some(percent) = text.strip_suffix('%') {
        number(percent).map(|percent| percent / 100.0)
    } else if let Some((of, whole)) = text.split_once('/') {
        number(of).zip(number(whole)).map(|(of, whole)| of / whole)
    } else {
        number(text)
    };
    let part = part.filter(|&part| part > 0.0 && part <= 1.0);
    part.ok_or_else(|| "a part is above 0 and at most 1: 1/16, 0.1 or 10%".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let progress = Progress::here();
    let (requests, facts) = match read::all(arguments, progress) {
        Ok(read) => read,
        Err(message) => return tell(&message),
    };
    if requests.is_empty() {
        return tell(
            "there are no requests to simulate: the trace is empty, or no key is in the sample",
        );
    }
    if !facts.sizes && arguments.size.iter().any(|size| size.unit() == Unit::Bytes) {
        return tell(
            "the trace doesn't tell the sizes of values: give --size in entries or parts, as in \
             `1000,1%`",
        );
    }
    let results = study(&requests, arguments.size.clone(), arguments, progress, "replaying");
    let curves = curves(&requests, arguments, progress);
    let report = Report { facts: &facts, results: &results, curves: curves.as_ref() };
    match write(&report, arguments.output, arguments.out.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let file = arguments.out.as_deref().map(Path::display);
            let file = file.map_or_else(|| "the results".to_owned(), |file| file.to_string());
            tell(&format!("can't write {file}: {error}"))
        }
    }
}

fn study(
    requests: &Requests,
    sizes: Vec<Size>,
    arguments: &Arguments,
    progress: Progress,
    what: &str,
) -> Results {
    let mut contenders = arguments.policy.0.clone();
    if arguments.belady && !contenders.contains(&Contender::Belady) {
        contenders.insert(0, Contender::Belady);
    }
    let study = Study { sizes, contenders };
    let threads = arguments.threads.or_else(|| available_parallelism().ok());
    let bar = progress.replays(what, study.work(requests));
    study.run(requests, threads.unwrap_or(NonZero::<usize>::MIN), &|more| bar.inc(more))
}

/// The curves, if they were asked for, in the unit in which the first size is.
fn curves(requests: &Requests, arguments: &Arguments, progress: Progress) -> Option<Results> {
    let default = if arguments.output == Output::Html { 24 } else { 0 };
    let points = usize::from(arguments.curve.unwrap_or(default));
    if points == 0 {
        return None;
    }
    let unit = arguments.size.first().map_or(Unit::Entries, |size| size.unit());
    let sketch = Sketch::of(requests, unit, points);
    Some(study(&sketch.requests, sketch.sizes, arguments, progress, "curves"))
}

fn write(report: &Report<'_>, output: Output, file: Option<&Path>) -> io::Result<()> {
    let mut out: Box<dyn Write> = match file {
        Some(file) => Box::new(BufWriter::new(File::create(file)?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    match output {
        Output::Table => report.table(&mut out),
        Output::Csv => report.csv(&mut out),
        Output::Json => report.json(&mut out),
        Output::Html => report.html(&mut out),
    }?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_fraction_a_number_or_a_percentage() {
        for (text, value) in [("1/16", 0.0625), ("0.5", 0.5), ("10%", 0.1), ("1", 1.0)] {
            assert_eq!(part(text), Ok(value));
        }
        for bad in ["0", "1.5", "-1", "1/0", "x", "", "%", "NaN"] {
            assert!(part(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn policies_are_named_once_each() {
        let names = |text| {
            let policies = policies(text).expect("they have names");
            policies.0.iter().map(|policy| policy.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("lru,belady,lru"), "lru belady");
        assert!(names("all").starts_with("adaptive lru "));
        assert!(policies("lru,").is_err());
    }
}
