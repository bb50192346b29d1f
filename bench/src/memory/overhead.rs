//! Memory per entry: what a process grows by when a contender holds a million entries.
//!
//! Each contender has a process of its own, which does nothing else, so that one doesn't live in
//! what another has freed. The figure is what the process has resident, beyond the 16 bytes of
//! each entry's key and value.

use std::fs;
use std::process::Command;

use crate::figures::result;
use crate::memory::contenders::{Contender, Key, Read, ReadJob};
use crate::memory::{Extent, Quick};

/// The name of the workload.
pub(crate) const NAME: &str = "overhead_bytes_u64";

const ENTRIES: u64 = 1_000_000;
/// A little more, so that no part of a cache that is divided evicts.
const CAPACITY: usize = 1_050_000;
const PAYLOAD: f64 = 16.0;

/// Measures it, if it is wanted, and prints it; returns larder's.
pub(crate) fn measure(extent: &Extent) -> Result<Option<f64>, String> {
    if !extent.wants("overhead", NAME, true) {
        return Ok(None);
    }
    println!("{NAME}: bytes per entry beyond key and value, {ENTRIES} u64 -> u64, resident");
    let mut ours = None;
    for contender in extent.contenders(Quick::Few) {
        let (bytes, held) = ask(contender)?;
        println!("  {:<13}{bytes:>9.1}  {held} held", contender.name());
        if contender == Contender::Larder {
            ours = Some(bytes);
        }
    }
    println!();
    Ok(ours)
}

/// Prints the result.
pub(crate) fn results(ours: f64) {
    result(NAME, ours);
}

/// Lets another process measure a contender.
fn ask(contender: Contender) -> Result<(f64, u64), String> {
    let own = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let output = Command::new(own)
        .args(["held", contender.name()])
        .output()
        .map_err(|error| format!("can't run myself: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let grown: Option<f64> = words.next().and_then(|word| word.parse().ok());
    let held: Option<u64> = words.next().and_then(|word| word.parse().ok());
    match (grown, held) {
        (Some(grown), Some(held)) => Ok((grown / held as f64 - PAYLOAD, held)),
        _ => Err(format!(
            "{} did not say what it holds: {text}{}",
            contender.name(),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// In that process: fills the contender and says by how many bytes the process has grown, and
/// how many entries are held.
pub(crate) fn say(contender: Contender) -> Result<(), String> {
    let (grown, held) = contender.read::<u64, u64, _>(Grow)?;
    println!("{grown} {held}");
    Ok(())
}

struct Grow;

impl ReadJob<u64, u64> for Grow {
    type Out = Result<(u64, u64), String>;

    fn run<C: Read<u64, u64> + 'static>(self) -> Self::Out {
        let before = resident()?;
        let filled = C::filled(CAPACITY, (0..ENTRIES).map(|id| (u64::numbered(id), id)));
        let grown = resident()?.saturating_sub(before);
        let held = (0..ENTRIES).filter(|&id| filled.get(&u64::numbered(id)).is_some()).count();
        Ok((grown, held as u64))
    }
}

/// What this process has resident, in bytes: `VmRSS` of `/proc/self/status` (proc(5)), in KiB.
fn resident() -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("/proc/self/status: {error}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .map(|kib: u64| kib * 1024)
        .ok_or_else(|| "/proc/self/status has no VmRSS".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_to_grow() {
        let before = resident().expect("Linux");
        let bytes = vec![1_u8; 64 << 20];
        let grown = resident().expect("Linux") - before;
        assert!(grown > 60 << 20, "{grown} for {}", std::hint::black_box(&bytes).len());
    }
}
