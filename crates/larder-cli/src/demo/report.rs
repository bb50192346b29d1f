//! Figures for people: tables, numbers with units, and paragraphs.

use std::time::Duration;

use super::load::Measured;
use super::stampede::Stampede;

/// No line is longer.
pub(super) const WIDTH: usize = 96;

/// What stands before every line that is not a heading.
pub(super) const INDENT: &str = "   ";

/// A line of a table, the first cell of which is its name.
type Row = Vec<String>;

/// Both ways of reading one query.
pub(super) fn reads(straight: &Measured, through: &Measured) -> String {
    let head = ["", "reads/s", "p50", "p99", "database queries", "hit ratio"];
    let row = |name: &str, measured: &Measured| {
        vec![
            name.to_owned(),
            number(measured.reads_per_second().round() as u64),
            time(measured.latencies.quantile(0.5)),
            time(measured.latencies.quantile(0.99)),
            number(measured.queries),
            measured.hit_ratio.map_or_else(|| "-".to_owned(), share),
        ]
    };
    let rows = [row("straight", straight), row("through larder", through)];
    table(head.map(String::from).to_vec(), rows)
}

/// Both ways of surviving a crowd.
pub(super) fn stampedes(crowd: usize, straight: &Stampede, through: &Stampede) -> String {
    let head = ["", "database queries", "slowest caller"];
    let row = |name: &str, stampede: &Stampede| {
        let mut slowest = time(stampede.slowest);
        if stampede.answered < crowd {
            let left = crowd - stampede.answered;
            slowest = format!("{} were sent away after {slowest}", number(left as u64));
        }
        vec![name.to_owned(), number(stampede.queries), slowest]
    };
    let rows = [row("straight", straight), row("through larder", through)];
    table(head.map(String::from).to_vec(), rows)
}

/// Names to the left, figures to the right, columns as wide as what they hold.
fn table(head: Row, rows: impl IntoIterator<Item = Row>) -> String {
    const GAP: usize = 3;
    let mut lines = vec![head];
    lines.extend(rows);
    let columns = lines[0].len();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = format!("{INDENT}{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            row.push_str(&format!("{cell:>width$}", width = width + GAP));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A paragraph, with its lines broken between words.
pub(super) fn paragraph(words: &str) -> String {
    let mut text = String::new();
    let mut column = WIDTH;
    for word in words.split(' ') {
        let length = word.chars().count();
        if column + 1 + length > WIDTH {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(INDENT);
            column = INDENT.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}

/// A duration to three digits, in the unit that suits it.
pub(super) fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    // Where three digits would round up to the next unit, it is the next unit.
    let (value, unit) = if nanos < 999.5e3 {
        (nanos / 1e3, "µs")
    } else if nanos < 999.5e6 {
        (nanos / 1e6, "ms")
    } else {
        (nanos / 1e9, "s")
    };
    if unit == "s" && duration.subsec_nanos() == 0 {
        return format!("{value} s");
    }
    format!("{} {unit}", three_digits(value))
}

/// How many times: `2.5x`, `1,204x`.
pub(super) fn times(factor: f64) -> String {
    if factor < 9.95 {
        format!("{factor:.1}x")
    } else {
        format!("{}x", number(factor.round() as u64))
    }
}

/// A share from 0 to 1 in per cent, which is 0 or 100 only if it is exactly.
pub(super) fn share(share: f64) -> String {
    let percent = share * 100.0;
    let distance = percent.min(100.0 - percent);
    let decimals = match distance {
        d if d <= 0.0 || d >= 10.0 => 0,
        d if d >= 0.1 => 1,
        d if d >= 0.01 => 2,
        _ => 3,
    };
    if distance > 0.0 && distance < 0.001 {
        return if percent < 50.0 { "< 0.001 %".to_owned() } else { "> 99.999 %".to_owned() };
    }
    format!("{percent:.decimals$} %")
}

/// With commas between thousands.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanos, text) in [
            (0, "0.00 µs"),
            (412, "0.41 µs"),
            (9_990, "9.99 µs"),
            (9_996, "10.0 µs"),
            (123_456, "123 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (41_234_567, "41.2 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (2_000_000_000, "2 s"),
            (3_140_000_000, "3.14 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        for (given, text) in [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.5, "50 %"),
            (0.031, "3.1 %"),
            (0.9996, "99.96 %"),
            (0.00005, "0.005 %"),
            (0.999_95, "99.995 %"),
            (0.000_001, "< 0.001 %"),
            (0.999_999_9, "> 99.999 %"),
        ] {
            assert_eq!(share(given), text);
        }
    }

    #[test]
    fn numbers_and_factors_can_be_read() {
        for (given, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(given), text);
        }
        for (given, text) in [(0.5, "0.5x"), (9.94, "9.9x"), (9.96, "10x"), (2_922.3, "2,922x")] {
            assert_eq!(times(given), text);
        }
    }

    #[test]
    fn a_table_lines_up() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let text = table(row(["", "a", "time"]), [row(["x", "1,000", "1 µs"])]);
        assert_eq!(text, "           a   time\n   x   1,000   1 µs\n");
    }

    #[test]
    fn a_paragraph_stays_within_its_width() {
        let text = paragraph(&"four and 12.3 ms ".repeat(30));
        assert!(text.lines().count() > 4);
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(line.starts_with("   ") && !line.starts_with("    "), "{line}");
        }
    }
}
