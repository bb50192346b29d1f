//! The table of the page, and how what is measured is compared with it. It knows no server.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use larder_test::assert_page;
use larder_test::proxy::Counts;

const PAGE: &str = "concepts/costs-of-sharing.md";
/// A table stands between a line of its own, with the server's name, and this one.
const END: &str = "<!-- end -->\n";
/// Bytes may differ by so much of what the page says; the page says so.
const TOLERANCE: f64 = 0.05;

/// What an operation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) round_trips: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl Cost {
    pub(crate) fn between(before: &Counts, after: &Counts) -> Self {
        Self {
            round_trips: after.round_trips - before.round_trips,
            sent: after.requests.arrived - before.requests.arrived,
            received: after.replies.arrived - before.replies.arrived,
        }
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            round_trips: self.round_trips.min(other.round_trips),
            sent: self.sent.min(other.sent),
            received: self.received.min(other.received),
        }
    }

    /// Whether the page may go on saying this.
    fn is_about(self, said: Self) -> bool {
        let about = |one: u64, said: u64| one.abs_diff(said) as f64 <= said as f64 * TOLERANCE;
        self.round_trips == said.round_trips
            && about(self.sent, said.sent)
            && about(self.received, said.received)
    }
}

/// An operation and what it took.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) cost: Cost,
}

/// Holds the page to these rows, a table for each server.
pub(crate) fn check(tables: &[(&str, Vec<Row>)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(PAGE);
    let page = fs::read_to_string(path).unwrap();
    let made = tables.iter().fold(page, |page, (server, rows)| with(server, rows, &page));
    assert_page(PAGE, &made, "larder");
}

/// The page with the table of a server. What it says already stays where it is about right.
fn with(server: &str, rows: &[Row], page: &str) -> String {
    let begin = format!("<!-- {server}, measured by crates/larder/tests/sharing_costs.rs -->\n");
    let (before, rest) = page.split_once(&begin).expect("the page has a place for the table");
    let (old, after) = rest.split_once(END).expect("the table has an end");
    let mut table = format!(
        "| operation | round trips | bytes to {server} | bytes from {server} |\n\
         |---|--:|--:|--:|\n"
    );
    for Row { name, cost } in rows {
        let said = old.lines().find_map(|line| said(line, name));
        let cost = said.filter(|said| cost.is_about(*said)).unwrap_or(*cost);
        let Cost { round_trips, sent, received } = cost;
        writeln!(table, "| {name} | {round_trips} | {sent} | {received} |").unwrap();
    }
    format!("{before}{begin}{table}{END}{after}")
}

/// What a line of the table says of an operation.
fn said(line: &str, name: &str) -> Option<Cost> {
    let numbers = line.strip_prefix("| ")?.strip_prefix(name)?.strip_prefix(" | ")?;
    let mut numbers = numbers.trim_end_matches(" |").split(" | ").map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Cost { round_trips: next()?, sent: next()?, received: next()? })
}

#[test]
fn bytes_may_differ_a_little_and_round_trips_not_at_all() {
    let row = |round_trips, sent| Row { name: "a", cost: Cost { round_trips, sent, received: 0 } };
    let place = |server| {
        format!("<!-- {server}, measured by crates/larder/tests/sharing_costs.rs -->\n{END}")
    };
    let page = format!("x\n{}y\n{}z\n", place("One"), place("Other"));
    let first = with("Other", &[row(2, 100)], &page);
    let (one, other) = first.split_once("y\n").unwrap();
    assert!(!one.contains("| a |") && other.contains("| a | 2 | 100 | 0 |\n"), "{first}");
    assert_eq!(with("Other", &[row(2, 105)], &first), first);
    assert_eq!(with("Other", &[row(2, 95)], &first), first);
    for different in [row(2, 106), row(2, 94), row(1, 100), row(3, 100)] {
        assert_ne!(with("Other", &[different], &first), first);
    }
}
