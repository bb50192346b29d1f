//! In which format a trace is, from its name and the first bytes of its content.

use super::Format;
use super::csv::delimiter;
use super::keylog;
use super::lines::{number, seconds, words};
use super::oracle::{RECORD_BYTES, Record};

/// How many lines or records are looked at.
const LOOKED_AT: usize = 100;

/// The format of a trace with this name that begins with `head`.
pub(super) fn format(name: &str, head: &[u8]) -> Option<Format> {
    if head.starts_with(keylog::BEGINNING) {
        return Some(Format::KeyLog);
    }
    if let Some(format) = by_name(name) {
        return Some(format);
    }
    if head.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
        return is_oracle(head).then_some(Format::OracleGeneral);
    }
    let lines = || head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).take(LOOKED_AT);
    let first = lines().find(|line| !line.is_empty())?;
    if first == b"OK" || is_monitor(first) {
        return Some(Format::Monitor);
    }
    if delimiter(first).is_some_and(|delimiter| delimiter != b'\t' || !is_arc(first)) {
        return Some(Format::Csv);
    }
    if is_arc(first) {
        return Some(Format::Arc);
    }
    let numbers = lines().all(|line| line.is_empty() || line == b"*" || number(line).is_some());
    if numbers && lines().any(|line| line == b"*") {
        return Some(Format::Lirs);
    }
    Some(Format::Keys)
}

fn by_name(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let name = name.strip_suffix(".bin").unwrap_or(name);
    match name.rsplit('.').next()? {
        "zzd" => Some(Format::Zzd),
        "lis" => Some(Format::Arc),
        "csv" | "tsv" => Some(Format::Csv),
        "trc" => Some(Format::Lirs),
        "oraclegeneral" => Some(Format::OracleGeneral),
        "monitor" => Some(Format::Monitor),
        "keys" => Some(Format::Keys),
        _ => None,
    }
}

/// Whether times never go back and each next request is a later one, which chance doesn't do.
fn is_oracle(head: &[u8]) -> bool {
    let (records, _) = head.as_chunks::<RECORD_BYTES>();
    let records = || records.iter().take(LOOKED_AT).map(Record::read);
    records().next().is_some()
        && records().map(|record| record.time).is_sorted()
        && records().zip(0..).all(|(record, at)| record.next == -1 || record.next > at)
}

fn is_monitor(line: &[u8]) -> bool {
    let mut words = words(line);
    words.next().is_some_and(|time| time.contains(&b'.') && seconds(time).is_some())
        && words.next().is_some_and(|client| client.starts_with(b"["))
}

/// Whether a line is four numbers.
fn is_arc(line: &[u8]) -> bool {
    words(line).count() == 4 && words(line).all(|word| number(word).is_some())
}
