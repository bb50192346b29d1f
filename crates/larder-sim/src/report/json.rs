//! One JSON object.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Report;
use crate::{Results, Unit};

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let facts = report.facts;
    let object = json!({
        "trace": {
            "names": facts.names,
            "form": facts.form,
            "requests": facts.requests,
            "bad_lines": facts.faults,
            "requests_kept": facts.requests_kept,
            "keys_kept": facts.keys_kept,
            "sample": facts.sample,
        },
        "caveat": facts.caveat(report.results),
        "sizes": results(report.results),
        "curve": report.curves.map(results),
    });
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}

fn results(results: &Results) -> Value {
    let rows = results.rows.iter().flat_map(|row| {
        results.contenders.iter().zip(&row.outcomes).map(|(contender, outcome)| {
            json!({
                "policy": contender.name(),
                "capacity": row.capacity,
                "unit": match row.unit {
                    Unit::Entries => "entries",
                    Unit::Bytes => "bytes",
                },
                "sample": results.sample,
                "reads": outcome.reads,
                "hits": outcome.hits,
                "hit_ratio": outcome.hit_ratio(),
                "bytes": outcome.bytes,
                "hit_bytes": outcome.hit_bytes,
                "byte_hit_ratio": outcome.byte_hit_ratio(),
                "evicted": outcome.evicted,
                "expired": outcome.expired,
                "refused": outcome.refused,
            })
        })
    });
    Value::Array(rows.collect())
}
