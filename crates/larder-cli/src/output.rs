//! What administrative commands print: columns for people, or a JSON object a line for programs.
//!
//! It doesn't know what is in them. Texts that come from elsewhere are made harmless for a terminal
//! before they get here.

use std::io::{ErrorKind, Write as _, stdout};

use larder_sql::ShownValue;
use serde_json::Value;

/// Columns of texts, as wide as what they hold, two blanks apart.
pub(crate) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Objects, each on a line.
pub(crate) fn lines(objects: impl IntoIterator<Item = Value>) -> String {
    objects.into_iter().map(|object| format!("{object}\n")).collect()
}

/// A text that somebody else wrote, on one line and at most so many characters wide.
pub(crate) fn short(text: &str, characters_max: usize) -> String {
    cut(&ShownValue::of(text.as_bytes(), 4 * characters_max + 4), characters_max)
}

/// A value that is shown, at most so many characters wide.
pub(crate) fn cut(shown: &ShownValue, characters_max: usize) -> String {
    let is_cut = shown.is_cut() || shown.text.chars().count() > characters_max;
    if !is_cut {
        return shown.text.clone();
    }
    let kept = shown.text.chars().take(characters_max.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// Prints; whoever reads may have seen enough.
pub(crate) fn print(text: &str) {
    let mut out = stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = done
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("larder: can't write what was asked for: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_they_hold() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let text = columns(&["id", "key", ""], &[row(["7", "user:ü", "x"]), row(["10", "", ""])]);
        assert_eq!(text, "id  key\n7   user:ü  x\n10\n");
    }

    #[test]
    fn a_long_text_is_cut_and_a_dangerous_one_escaped() {
        assert_eq!(short("user:1", 6), "user:1");
        assert_eq!(short("user:12", 6), "user:…");
        assert_eq!(short("üüüüüüü", 6), "üüüüü…");
        assert_eq!(short("a\nb\x1b[2J", 40), r"a\nb\x1b[2J");
        assert_eq!(short(&"x".repeat(1 << 20), 6), "xxxxx…");
    }
}
