//! The table for people: sizes down, contenders across.

use std::io::{self, Write};

use super::{Report, label};
use crate::{Outcome, Results};

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", report.facts.names.join(" + "))?;
    writeln!(out, "{}", report.facts.phrases().join(", "))?;
    for results in std::iter::once(report.results).chain(report.curves) {
        write_ratios("hit ratio, %", Outcome::hit_ratio, results, out)?;
        if report.facts.sizes {
            write_ratios("byte hit ratio, %", Outcome::byte_hit_ratio, results, out)?;
        }
    }
    if let Some(caveat) = report.facts.caveat(report.results) {
        writeln!(out, "\n{caveat}")?;
    }
    Ok(())
}

fn write_ratios(
    heading: &str,
    ratio: impl Fn(&Outcome) -> f64,
    results: &Results,
    out: &mut impl Write,
) -> io::Result<()> {
    let labels: Vec<_> = results.rows.iter().map(label).collect();
    let wide = labels.iter().map(String::len).chain([heading.len()]).max().unwrap_or(0);
    write!(out, "\n{heading:<wide$}")?;
    for contender in &results.contenders {
        write!(out, "  {:>6}", contender.name())?;
    }
    writeln!(out)?;
    for (row, label) in results.rows.iter().zip(labels) {
        write!(out, "{label:<wide$}")?;
        for (contender, outcome) in results.contenders.iter().zip(&row.outcomes) {
            let column = contender.name().len().max(6);
            write!(out, "  {:>column$.1}", ratio(outcome) * 100.0)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
