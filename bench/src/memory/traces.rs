//! Traces of real requests, in files `NAME.zzd.zst`, as the simulator reads them.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use larder_sim::{Format, TraceOptions};

/// How much of each trace is replayed.
const REQUESTS: usize = 1_000_000;
/// The capacities, in thousandths of the keys that are asked for.
const CAPACITIES: [usize; 6] = [2, 10, 30, 100, 250, 500];
/// What is smaller says nothing.
const CAPACITY_MIN: usize = 64;

/// The beginning of a trace.
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) keys: Vec<u64>,
    /// How many keys are asked for.
    pub(crate) distinct: usize,
}

impl Trace {
    fn new(name: &str, keys: Vec<u64>) -> Self {
        let distinct = keys.iter().collect::<HashSet<_>>().len();
        Self { name: name.to_owned(), keys, distinct }
    }

    /// At how many entries the trace is replayed.
    pub(crate) fn capacities(&self) -> impl Iterator<Item = usize> + '_ {
        let capacities = CAPACITIES.iter().map(|thousandths| self.distinct * thousandths / 1000);
        capacities.filter(|capacity| *capacity >= CAPACITY_MIN)
    }
}

/// Where traces are looked for: `LARDER_TRACES`, or beside the repository.
pub(crate) fn folder() -> PathBuf {
    match env::var_os("LARDER_TRACES") {
        Some(folder) => folder.into(),
        // The repository's own folder is the parent of this one.
        None => {
            let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
            beside.unwrap_or(Path::new("/")).join("shared/traces")
        }
    }
}

/// All traces of a folder, by name. None when there is no such folder.
pub(crate) fn read(folder: &Path) -> Result<Vec<Trace>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for file in fs::read_dir(folder).map_err(said)? {
        files.push(file.map_err(said)?.path());
    }
    files.sort_unstable();
    let named = files.iter().filter_map(|path| Some((path, name(path)?)));
    named.map(|(path, name)| Ok(Trace::new(name, keys(path)?))).collect()
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(".zzd.zst")
}

/// The keys of a trace's first requests.
fn keys(path: &Path) -> Result<Vec<u64>, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| said(&error))?;
    let options = TraceOptions { format: Some(Format::Zzd), ..TraceOptions::default() };
    let mut trace = larder_sim::Trace::open(file, &options).map_err(|error| said(&error))?;
    let requests = trace.by_ref().take(REQUESTS);
    let keys = requests.map(|request| Ok(request.map_err(|error| said(&error))?.key));
    let keys = keys.collect::<Result<_, String>>()?;
    match trace.faults().first() {
        [] => Ok(keys),
        [fault, ..] => Err(said(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_traces_are_read_and_other_files_are_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A frame of one raw block: magic, one segment of 4 bytes, last block, its bytes.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, 0x00, 0x02, 0x02, 0x01];
        fs::write(folder.path().join("small.zzd.zst"), frame).expect("written");
        fs::write(folder.path().join("README.md"), "not a trace").expect("written");
        let traces = read(folder.path()).expect("a trace");
        assert_eq!(traces.len(), 1);
        let Trace { name, keys, distinct } = &traces[0];
        assert_eq!((name.as_str(), keys.len(), *distinct), ("small", 4, 3));
        assert_eq!(keys[1], keys[3]);
        assert!(read(&folder.path().join("absent")).expect("none").is_empty());
    }

    #[test]
    fn a_trace_that_is_cut_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("cut.zzd.zst"), [0x28, 0xb5, 0x2f, 0xfd, 0x20])
            .expect("written");
        let cut = read(folder.path()).map(|traces| traces.len()).expect_err("it is cut");
        assert!(cut.contains("cut.zzd.zst"), "{cut}");
    }

    #[test]
    fn capacities_too_small_to_say_anything_are_left_out() {
        let trace = Trace::new("any", (0..1000).collect());
        assert_eq!(trace.capacities().collect::<Vec<_>>(), [100, 250, 500]);
    }
}
