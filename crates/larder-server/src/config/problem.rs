//! What is wrong with a configuration: where, what, and what to do about it.
//!
//! A problem carries text that is ready to print: the offending line has already been cleared of
//! secrets by [`Text`](super::text::Text). This file knows nothing of TOML or of options.

use std::fmt;

/// One thing that is wrong, or that should be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name, as the user gave it.
    pub file_name: String,
    /// Where it is: the first place is the offending one, further ones explain it. Empty when it
    /// is about the file as a whole.
    pub places: Vec<Place>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

/// A piece of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The line, cleared of secrets and comments, and cut when it is long.
    pub quote: String,
    /// How many characters of `quote` stand before the caret.
    pub caret_at: usize,
    /// How many carets there are; at least one.
    pub carets: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file_name)?;
        if let Some(place) = self.places.first() {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.what)?;
        for place in &self.places {
            write!(f, "\n{place}")?;
        }
        write!(f, "\n  = {}", self.cure)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        writeln!(f, "  {number} | {}", self.quote)?;
        let (margin, indent) = (number.len(), self.caret_at);
        write!(f, "  {:margin$} | {:indent$}{}", "", "", "^".repeat(self.carets))
    }
}

/// Everything that is wrong with a configuration, found in one go and in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// What must be changed. Never empty, and at most [`Problems::KEPT_MAX`].
    pub errors: Vec<Problem>,
    /// What should be looked at, at most [`Problems::KEPT_MAX`].
    pub warnings: Vec<Problem>,
    /// How many more errors there were.
    pub errors_left_out: usize,
}

impl Problems {
    /// How many errors, and how many warnings, are kept; the rest is left out.
    pub const KEPT_MAX: usize = 100;
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}\n")?;
        }
        for error in &self.errors {
            writeln!(f, "error: {error}\n")?;
        }
        match self.errors.len() + self.errors_left_out {
            1 => f.write_str("1 error")?,
            many => write!(f, "{many} errors")?,
        }
        if self.errors_left_out > 0 {
            write!(f, ", {} of them shown", self.errors.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
