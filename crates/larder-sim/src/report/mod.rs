//! What a study came to, for people and for programs.
//!
//! Each form has its file; all write to whatever they are given, and all numbers in them are the
//! same. Hit ratios are adjusted for the sampling error where the trace was sampled.

mod csv;
mod html;
mod json;
mod svg;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::size::bytes;
use crate::{Requests, Results, Row, Size, Unit};

/// What is reported of a trace.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where it came from, one name for each of its parts.
    pub names: Vec<String>,
    /// Its format and compression, in words.
    pub form: String,
    /// How many requests it had, as far as it was read.
    pub requests: u64,
    /// How many lines or records were left out.
    pub faults: u64,
    /// How many requests were kept, and of how many keys.
    pub requests_kept: u64,
    /// Different keys among those kept.
    pub keys_kept: u64,
    /// Which part of all keys was kept.
    pub sample: f64,
    /// Whether the sizes of values are known.
    pub sizes: bool,
    /// Whether anything expires.
    pub expiry: bool,
}

impl Facts {
    /// What the requests tell of their trace.
    pub fn of(requests: &Requests, names: Vec<String>, form: String, faults: u64) -> Self {
        Self {
            names,
            form,
            requests: requests.total(),
            faults,
            requests_kept: requests.len() as u64,
            keys_kept: requests.keys() as u64,
            sample: requests.sample(),
            sizes: requests.have_sizes(),
            expiry: requests.expire(),
        }
    }

    /// The facts in a few phrases.
    fn phrases(&self) -> Vec<String> {
        let mut phrases = vec![self.form.clone(), format!("{} requests", grouped(self.requests))];
        let keys = (self.keys_kept as f64 / self.sample).round() as u64;
        phrases.push(match self.sample {
            sample if sample < 1.0 => format!("about {} keys", grouped(keys)),
            _ => format!("{} keys", grouped(keys)),
        });
        if self.sample < 1.0 {
            phrases.push(format!(
                "sampled to {} % of the keys ({} requests, {} keys)",
                significant(self.sample * 100.0),
                grouped(self.requests_kept),
                grouped(self.keys_kept),
            ));
        }
        if self.expiry {
            phrases.push("with expiry".to_owned());
        }
        if self.faults > 0 {
            phrases.push(format!("{} bad lines left out", grouped(self.faults)));
        }
        phrases
    }

    /// Where Belady's optimum isn't one, why.
    fn caveat(&self, results: &Results) -> Option<&'static str> {
        let bytes = results.rows.iter().any(|row| row.unit == Unit::Bytes);
        match (bytes, self.expiry) {
            (true, _) => Some("belady: no bound for entries of different sizes, but close to one"),
            (_, true) => Some("belady: no bound where entries expire, but close to one"),
            _ => None,
        }
        .filter(|_| results.contenders.contains(&crate::Contender::Belady))
    }
}

/// A study, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was replayed.
    pub facts: &'a Facts,
    /// The sizes that were asked for.
    pub results: &'a Results,
    /// The curves, if they were asked for.
    pub curves: Option<&'a Results>,
}

impl Report<'_> {
    /// Writes a table for people.
    ///
    /// # Errors
    ///
    /// When `out` fails, as in all of these.
    pub fn table(&self, out: &mut impl Write) -> io::Result<()> {
        table::write(self, out)
    }

    /// Writes comma-separated values, a line for each contender at each size.
    ///
    /// # Errors
    ///
    /// When `out` fails.
    pub fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        csv::write(self, out)
    }

    /// Writes one JSON object.
    ///
    /// # Errors
    ///
    /// When `out` fails.
    pub fn json(&self, out: &mut impl Write) -> io::Result<()> {
        json::write(self, out)
    }

    /// Writes a page that needs nothing but itself.
    ///
    /// # Errors
    ///
    /// When `out` fails.
    pub fn html(&self, out: &mut impl Write) -> io::Result<()> {
        html::write(self, out)
    }
}

/// A capacity in words.
fn capacity(row: &Row) -> String {
    match row.unit {
        Unit::Entries => grouped(row.capacity),
        Unit::Bytes => bytes(row.capacity),
    }
}

/// A size in words, as it was given and what it came to.
fn label(row: &Row) -> String {
    match row.size {
        Size::Part(part) => format!("{} ({} %)", capacity(row), significant(part * 100.0)),
        Size::Entries(_) | Size::Bytes(_) => capacity(row),
    }
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with about three digits that tell something.
fn significant(number: f64) -> String {
    let decimals = (2.0 - number.abs().max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
