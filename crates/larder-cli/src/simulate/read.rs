//! Reads the files of a trace into memory, as far as it must be sampled to fit.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use larder_sim::report::Facts;
use larder_sim::{Bounds, Faults, Recorder, Requests, Trace, TraceOptions};

use super::progress::Progress;
use super::{Arguments, BadLines};

/// What is read of all files.
struct Reading {
    recorder: Recorder,
    names: Vec<String>,
    forms: Vec<String>,
    faults: u64,
    /// Which part of all keys is in the files: the same for all.
    sample: Option<f64>,
    /// How many reads of all keys there were, as long as all files tell.
    reads: Option<u64>,
}

/// Reads all files, or says what is wrong.
pub(super) fn all(arguments: &Arguments, progress: Progress) -> Result<(Requests, Facts), String> {
    let bounds = Bounds { sample: arguments.sample, requests_max: arguments.requests_max };
    let mut reading = Reading {
        recorder: Recorder::new(bounds),
        names: Vec::new(),
        forms: Vec::new(),
        faults: 0,
        sample: None,
        reads: Some(0),
    };
    for file in &arguments.traces {
        reading.file(file, arguments, progress)?;
    }
    if reading.faults > 0 {
        eprintln!("larder: {} bad lines left out", reading.faults);
    }
    let requests = reading.recorder.finish(reading.sample.unwrap_or(1.0), reading.reads);
    let form = reading.forms.join(" + ");
    let facts = Facts::of(&requests, reading.names, form, reading.faults);
    Ok((requests, facts))
}

impl Reading {
    fn file(
        &mut self,
        file: &Path,
        arguments: &Arguments,
        progress: Progress,
    ) -> Result<(), String> {
        let shown = file.display().to_string();
        let name = file
            .file_name()
            .map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
        let (input, length): (Box<dyn Read>, _) = if shown == "-" {
            (Box::new(stdin().lock()), None)
        } else {
            let opened = File::open(file).and_then(|file| Ok((file.metadata()?, file)));
            let (metadata, file) =
                opened.map_err(|error| format!("can't read {shown}: {error}"))?;
            (Box::new(file), Some(metadata.len()).filter(|&length| length > 0))
        };
        let bar = progress.bytes(&name, length);
        let options = TraceOptions {
            name: &name,
            format: arguments.format,
            columns: arguments.columns.as_ref(),
        };
        let wrong = |error| format!("{shown} {error}");
        let mut trace = Trace::open(bar.wrap_read(input), &options).map_err(wrong)?;
        let limit = arguments.limit.unwrap_or(u64::MAX);
        while self.recorder.total() < limit {
            let Some(request) = trace.next() else { break };
            self.recorder.push(&request.map_err(wrong)?);
            // Enough has been seen to say what is wrong.
            let enough = trace.faults().count() > trace.faults().first().len() as u64;
            if enough && arguments.bad_lines == BadLines::Refuse {
                break;
            }
        }
        bar.finish_and_clear();
        self.judge(&shown, trace.faults(), arguments.bad_lines)?;
        self.add(name, &trace)
    }

    /// Shows what was left out, and refuses the trace if that is wanted.
    fn judge(&mut self, shown: &str, faults: &Faults, bad_lines: BadLines) -> Result<(), String> {
        for fault in faults.first() {
            eprintln!("larder: {shown}: {fault}");
        }
        self.faults += faults.count();
        if faults.count() > 0 && bad_lines == BadLines::Refuse {
            return Err(format!(
                "{shown} has bad lines: mend them, name its --format, or leave them out with \
                 --bad-lines skip"
            ));
        }
        Ok(())
    }

    fn add(&mut self, name: String, trace: &Trace<'_>) -> Result<(), String> {
        if self.sample.is_some_and(|sample| sample != trace.sample()) {
            return Err(format!(
                "{name} has another sample than the trace before it: simulate them \
                                one by one"
            ));
        }
        self.sample = Some(trace.sample());
        self.reads = self.reads.zip(trace.reads()).and_then(|(sum, more)| sum.checked_add(more));
        self.names.push(name);
        let form = format!("{}, {}", trace.format(), trace.compression());
        if self.forms.last() != Some(&form) {
            self.forms.push(form);
        }
        Ok(())
    }
}
