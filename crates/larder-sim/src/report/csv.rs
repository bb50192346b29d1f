//! Comma-separated values, as in RFC 4180 but for the ends of lines.

use std::io::{self, Write};

use super::Report;
use crate::Unit;

const HEADING: &str = "part,policy,capacity,unit,sample,reads,hits,hit_ratio,bytes,hit_bytes,\
                       byte_hit_ratio,evicted,expired,refused";

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEADING}")?;
    let curves = report.curves.map(|results| ("curve", results));
    for (part, results) in std::iter::once(("sizes", report.results)).chain(curves) {
        for row in &results.rows {
            let unit = match row.unit {
                Unit::Entries => "entries",
                Unit::Bytes => "bytes",
            };
            for (contender, outcome) in results.contenders.iter().zip(&row.outcomes) {
                writeln!(
                    out,
                    "{part},{contender},{},{unit},{},{},{},{:.6},{},{},{:.6},{},{},{}",
                    row.capacity,
                    results.sample,
                    outcome.reads,
                    outcome.hits,
                    outcome.hit_ratio(),
                    outcome.bytes,
                    outcome.hit_bytes,
                    outcome.byte_hit_ratio(),
                    outcome.evicted,
                    outcome.expired,
                    outcome.refused,
                )?;
            }
        }
    }
    Ok(())
}
