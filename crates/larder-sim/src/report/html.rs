//! A page that needs nothing but itself: no script, no font, no picture from elsewhere. Light or
//! dark as the reader's system is.

use std::io::{self, Write};

use super::{Report, label, significant, svg};
use crate::{Outcome, Results};

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let facts = report.facts;
    let name = escaped(&facts.names.join(" + "));
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: larder simulate</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<header><p class=\"tool\">larder simulate</p>\n\
         <h1>{name}</h1>\n<ul class=\"facts\">"
    )?;
    for phrase in facts.phrases() {
        writeln!(out, "<li>{}</li>", escaped(&phrase))?;
    }
    writeln!(out, "</ul></header>")?;
    section("Hit ratio", report, Outcome::hit_ratio, out)?;
    if facts.sizes {
        section("Byte hit ratio", report, Outcome::byte_hit_ratio, out)?;
    }
    write!(out, "<footer>\n<p>")?;
    if let Some(curves) = report.curves
        && curves.sample < 1.0
    {
        write!(
            out,
            "The curves are replays of {} % of the keys through caches as much smaller, adjusted \
             for the sampling error; the table is exact unless it says so. ",
            significant(curves.sample * 100.0)
        )?;
    }
    if let Some(caveat) = facts.caveat(report.results) {
        write!(out, "{}. ", escaped(caveat))?;
    }
    writeln!(
        out,
        "Belady's policy knows the future: no real one can reach it.</p>\n</footer>\n</main>\n\
         </body>\n</html>"
    )
}

fn section(
    heading: &str,
    report: &Report<'_>,
    ratio: impl Fn(&Outcome) -> f64 + Copy,
    out: &mut impl Write,
) -> io::Result<()> {
    let drawn = report.curves.unwrap_or(report.results);
    writeln!(out, "<section>\n<h2>{heading}</h2>\n<figure>")?;
    out.write_all(svg::chart(drawn, heading, ratio).as_bytes())?;
    writeln!(out, "</figure>")?;
    table(report.results, ratio, out)?;
    writeln!(out, "</section>")
}

fn table(
    results: &Results,
    ratio: impl Fn(&Outcome) -> f64,
    out: &mut impl Write,
) -> io::Result<()> {
    write!(out, "<div class=\"wide\"><table>\n<thead><tr><th>size</th>")?;
    for (column, contender) in results.contenders.iter().enumerate() {
        let class = svg::class(*contender, column);
        write!(out, "<th><span class=\"dot {class}\"></span>{contender}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in &results.rows {
        write!(out, "<tr><th>{}</th>", label(row))?;
        let shown = |outcome: &Outcome| format!("{:.1}", ratio(outcome) * 100.0);
        let real = results.contenders.iter().zip(&row.outcomes);
        let real = real.filter(|(contender, _)| **contender != crate::Contender::Belady);
        let best = real.map(|(_, outcome)| ratio(outcome)).fold(0.0, f64::max);
        let best = format!("{:.1}", best * 100.0);
        for (contender, outcome) in results.contenders.iter().zip(&row.outcomes) {
            let text = shown(outcome);
            match *contender {
                crate::Contender::Belady => write!(out, "<td class=\"bound\">{text}</td>")?,
                _ if text == best => write!(out, "<td><b>{text}</b></td>")?,
                _ => write!(out, "<td>{text}</td>")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Colours are told apart by those who see few of them, too: lightness differs, and names stand
/// beside the curves.
const STYLE: &str = "\
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d1f23; --faint: #6b7078; --rule: #e4e2dc;
  --best: #8a8f98;
  --c0: #c2410c; --c1: #1d4ed8; --c2: #15803d; --c3: #a21caf; --c4: #0e7490;
  --c5: #b45309; --c6: #4338ca; --c7: #be123c; --c8: #4d7c0f; --c9: #57534e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14161a; --card: #1b1e24; --ink: #e8e6e1; --faint: #969ba5; --rule: #2d3139;
    --best: #8d929c;
    --c0: #fb923c; --c1: #60a5fa; --c2: #4ade80; --c3: #e879f9; --c4: #22d3ee;
    --c5: #fbbf24; --c6: #a5b4fc; --c7: #fb7185; --c8: #a3e635; --c9: #d6d3d1;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
}
main { max-width: 980px; margin: 0 auto; padding: 40px 24px; }
.tool {
  margin: 0; color: var(--faint); font-size: 13px; letter-spacing: .06em;
  text-transform: uppercase;
}
h1 { margin: 2px 0 8px; font-size: 26px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 0 0 8px; font-size: 17px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0; padding: 0; list-style: none;
  color: var(--faint); }
section {
  margin: 26px 0; padding: 20px 22px; background: var(--card);
  border: 1px solid var(--rule); border-radius: 10px;
}
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
svg circle { fill: var(--c); }
svg .best polyline { stroke-dasharray: 5 4; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg text { font: 12px system-ui, sans-serif; fill: var(--faint); }
svg .name { fill: var(--c); font-weight: 600; }
svg .end { text-anchor: end; }
svg .middle { text-anchor: middle; }
.best { --c: var(--best); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.c8 { --c: var(--c8); } .c9 { --c: var(--c9); }
.dot {
  display: inline-block; width: 8px; height: 8px; margin-right: 5px; border-radius: 50%;
  background: var(--c);
}
.wide { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: 5px 9px; text-align: right; white-space: nowrap; }
thead th { color: var(--faint); font-weight: 500; border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 500; }
tr > :first-child { padding-left: 0; text-align: left; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.bound { color: var(--faint); }
footer { color: var(--faint); font-size: 13px; }
";
