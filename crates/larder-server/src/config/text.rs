//! The file's text: from an offset to line and column, and a line that may be shown.
//!
//! A line is quoted in errors, which end up in logs and tickets, so what may be seen is listed,
//! not what must be hidden: of the values, only those of options that are known and hold no
//! secret. A misspelt `pasword` is therefore hidden as well. Comments are left out. Where the
//! text is no TOML, there are no spans to go by, and the same rule is applied to what the line
//! looks like.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options;
use super::problem::Place;

/// A piece of the text, in bytes.
pub(super) type Span = Range<usize>;

/// The longest quote, in characters.
const QUOTE_CHARS_MAX: usize = 120;

/// What stands for a hidden value.
pub(super) const HIDDEN: &str = "***";

/// The text of a file, with the pieces of it that may not be shown.
#[derive(Debug)]
pub(super) struct Text<'t> {
    text: &'t str,
    pieces: Pieces,
}

/// What is known about the pieces of the text.
#[derive(Debug)]
enum Pieces {
    /// It is no TOML.
    Unknown,
    /// Spans in the order of the text that don't overlap: what replaces them in a quote.
    Hidden(Vec<(Span, &'static str)>),
}

impl<'t> Text<'t> {
    /// Text that is no TOML.
    pub(super) fn broken(text: &'t str) -> Self {
        Self { text, pieces: Pieces::Unknown }
    }

    /// Text that was parsed to `root`.
    pub(super) fn parsed(text: &'t str, root: &DeTable<'_>) -> Self {
        let mut occupied = Vec::new();
        collect(root, &mut occupied);
        occupied.sort_unstable_by_key(|(span, _)| span.start);
        let mut hidden = comments(text, &occupied);
        hidden.extend(occupied.into_iter().filter_map(|(span, shown)| match shown {
            Shown::Yes => None,
            Shown::No => Some((span, HIDDEN)),
        }));
        hidden.sort_unstable_by_key(|(span, _)| span.start);
        Self { text, pieces: Pieces::Hidden(hidden) }
    }

    /// The text of `span`.
    pub(super) fn slice(&self, span: &Span) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Where `span` is, with the line that it begins on.
    pub(super) fn place(&self, span: &Span) -> Place {
        let at = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let column = self.text[line_start..at].chars().count() + 1;
        let visible = match self.pieces {
            Pieces::Unknown => visible_bytes(line),
            Pieces::Hidden(_) => line.len(),
        };
        let mut quote = Quote::default();
        for (offset, c) in line.char_indices() {
            let offset = line_start + offset;
            quote.mark(offset, span);
            match self.replacement(line_start + visible, offset) {
                None => quote.push(c),
                Some((first, replacement)) => quote.replace(first, replacement),
            }
        }
        quote.mark(line_start + line.len(), span);
        let number = self.text[..line_start].matches('\n').count() + 1;
        quote.finish(number, column)
    }

    /// What stands for the character at `offset`, if it may not be shown, and where the hidden
    /// piece begins. Nothing of its line may be shown from `visible_end` on.
    fn replacement(&self, visible_end: usize, offset: usize) -> Option<(usize, &str)> {
        match &self.pieces {
            Pieces::Hidden(hidden) => {
                let after = hidden.partition_point(|(span, _)| span.start <= offset);
                let (span, replacement) = &hidden[after.checked_sub(1)?];
                (offset < span.end).then_some((span.start, replacement))
            }
            Pieces::Unknown => (offset >= visible_end).then_some((visible_end, HIDDEN)),
        }
    }
}

/// Whether a piece of the text may be quoted.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Yes,
    No,
}

/// The spans of all keys and of all values that are not made of others.
fn collect(table: &DeTable<'_>, occupied: &mut Vec<(Span, Shown)>) {
    for (key, value) in table {
        occupied.push((key.span(), Shown::Yes));
        let shown = if options::is_public(key.get_ref()) { Shown::Yes } else { Shown::No };
        collect_value(value, shown, occupied);
    }
}

fn collect_value(value: &Spanned<DeValue<'_>>, shown: Shown, occupied: &mut Vec<(Span, Shown)>) {
    match value.get_ref() {
        DeValue::Table(table) => collect(table, occupied),
        DeValue::Array(items) => {
            for item in items.iter() {
                collect_value(item, shown, occupied);
            }
        }
        _ => occupied.push((value.span(), shown)),
    }
}

/// Every comment: what begins with `#` outside the `occupied` spans, to the end of its line.
fn comments(text: &str, occupied: &[(Span, Shown)]) -> Vec<(Span, &'static str)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut next = occupied.iter().map(|(span, _)| span).peekable();
    while let Some(offset) = text[at..].find('#').map(|offset| at + offset) {
        while next.next_if(|span| span.end <= offset).is_some() {}
        match next.peek() {
            Some(span) if span.start <= offset => at = span.end,
            _ => {
                let end = text[offset..].find('\n').map_or(text.len(), |length| offset + length);
                found.push((offset..end, ""));
                at = end;
            }
        }
    }
    found
}

/// How much of a line of broken text may be shown: the header of a known section, or a line that
/// sets a known option to what holds no secret. A known option's name may be shown in any case;
/// any other line may be the inside of a secret that has several.
fn visible_bytes(line: &str) -> usize {
    if let Some(header) = line.trim_start().strip_prefix('[') {
        let name = header.split(['.', ']']).next().unwrap_or_default().trim();
        let end = line.find(['=', '"', '\'', '#']).unwrap_or(line.len());
        return if options::SECTIONS.iter().any(|known| known.name == name) { end } else { 0 };
    }
    let Some(equals) = line.find('=') else {
        return 0;
    };
    let key = line[..equals].trim().rsplit('.').next().unwrap_or_default();
    let lower = line.to_ascii_lowercase();
    let harmless = !lower.contains("://")
        && !lower.contains('#')
        && !options::secret_names().any(|name| lower.contains(name));
    match (options::is_public(key), options::secret_names().any(|name| name == key)) {
        (true, _) if harmless => line.len(),
        (false, false) => 0,
        _ => equals + 1,
    }
}

/// A line while it is being made fit to show.
#[derive(Default)]
struct Quote {
    chars: Vec<char>,
    /// Where the last hidden piece began.
    hidden_at: Option<usize>,
    from: Option<usize>,
    to: Option<usize>,
}

impl Quote {
    /// Remembers where the span begins and ends, on the way past `offset`.
    fn mark(&mut self, offset: usize, span: &Span) {
        if offset >= span.start && self.from.is_none() {
            self.from = Some(self.chars.len());
        }
        if offset >= span.end && self.to.is_none() {
            self.to = Some(self.chars.len());
        }
    }

    fn push(&mut self, c: char) {
        // One column each: the caret below must point to what it means, and a terminal must not
        // be told what to do.
        self.chars.push(if c.is_control() { ' ' } else { c });
    }

    fn replace(&mut self, hidden_at: usize, replacement: &str) {
        if self.hidden_at != Some(hidden_at) {
            self.hidden_at = Some(hidden_at);
            self.chars.extend(replacement.chars());
        }
    }

    fn finish(self, line: usize, column: usize) -> Place {
        let length = self.chars.len();
        let from = self.from.unwrap_or(length);
        let to = self.to.unwrap_or(length);
        let start = if length <= QUOTE_CHARS_MAX {
            0
        } else {
            from.saturating_sub(QUOTE_CHARS_MAX / 2).min(length - QUOTE_CHARS_MAX)
        };
        let end = length.min(start + QUOTE_CHARS_MAX);
        let mut quote: String = self.chars[start..end].iter().collect();
        quote.truncate(quote.trim_end().len());
        let mut caret_at = from.min(end) - start;
        if start > 0 {
            quote.insert(0, '…');
            caret_at += 1;
        }
        if end < length {
            quote.push('…');
        }
        let carets = to.min(end).saturating_sub(from).max(1);
        Place { line, column, quote, caret_at, carets }
    }
}
