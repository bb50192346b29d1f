//! The table that is printed to be pasted: a line for each situation, a column for each
//! contender.

use std::fmt::Write;

use crate::memory::Cell;
use crate::through::Contender;

use super::situation::Situation;

/// One situation, measured.
pub(crate) struct Measured {
    pub(crate) situation: Situation,
    pub(crate) summary: Vec<Summary>,
    pub(crate) p50: Cell<Contender>,
    pub(crate) p99: Cell<Contender>,
}

/// What stands below the table.
const NOTE: &str = "
The most loads of any round · p50 / p99 of a reader's wait, medians of the rounds. A reader fails
when it gets an error or, within a second, nothing.
";

/// One contender in one situation, over all rounds.
pub(crate) struct Summary {
    pub(crate) contender: Contender,
    pub(crate) loads: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// The share of readers that got no value.
    pub(crate) without_value: f64,
}

/// The table. Who doesn't know a situation has a dash.
pub(crate) fn markdown(contenders: &[Contender], rows: &[Measured]) -> String {
    let mut table = String::from("| the key is |");
    for contender in contenders {
        write!(table, " {} |", contender.title()).expect("a text grows");
    }
    write!(table, "\n|---|{}\n", "---|".repeat(contenders.len())).expect("a text grows");
    for Measured { situation, summary, .. } in rows {
        write!(table, "| {} |", situation.what()).expect("a text grows");
        for contender in contenders {
            let summary = summary.iter().find(|summary| summary.contender == *contender);
            let cell = summary.map_or("–".to_owned(), Summary::cell);
            write!(table, " {cell} |").expect("a text grows");
        }
        table.push('\n');
    }
    table + NOTE
}

impl Summary {
    fn cell(&self) -> String {
        let (p50, p99) = (millis(self.p50_us), millis(self.p99_us));
        let mut cell = format!("{} · {p50} / {p99} ms", self.loads);
        if self.without_value > 0.0 {
            write!(cell, ", {:.0} % fail", self.without_value * 100.0).expect("a text grows");
        }
        cell
    }
}

/// Microseconds as milliseconds, as exact as one wants to read them.
fn millis(micros: f64) -> String {
    let millis = micros / 1e3;
    match millis {
        0.0..0.1 => format!("{millis:.4}"),
        0.1..10.0 => format!("{millis:.2}"),
        _ => format!("{millis:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(contender: Contender, loads: u64, without_value: f64) -> Summary {
        Summary { contender, loads, p50_us: 20_400.0, p99_us: 1_234.0, without_value }
    }

    #[test]
    fn who_knows_no_such_situation_has_a_dash() {
        let cell = |name: &str| Cell { name: name.to_owned(), figures: Vec::new() };
        let rows = [Measured {
            situation: Situation::Expired,
            summary: vec![
                summary(Contender::Larder, 1, 0.0),
                summary(Contender::CacheAside, 10_000, 0.5),
            ],
            p50: cell("p50"),
            p99: cell("p99"),
        }];
        let contenders = [Contender::Larder, Contender::Foyer, Contender::CacheAside];
        let table = markdown(&contenders, &rows);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("| the key is | larder ") && lines[0].ends_with("aside |"));
        assert_eq!(lines[1], "|---|---|---|---|");
        let expected = "| expired | 1 · 20 / 1.23 ms | – | 10000 · 20 / 1.23 ms, 50 % fail |";
        assert_eq!(lines[2], expected);
    }

    #[test]
    fn a_wait_is_as_exact_as_it_is_short() {
        assert_eq!(millis(0.71), "0.0007");
        assert_eq!(millis(432.1), "0.43");
        assert_eq!(millis(21_499.0), "21");
    }
}
