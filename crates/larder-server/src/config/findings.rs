//! Problems while they are being collected: nothing stops at the first one.

use super::problem::{Problem, Problems};
use super::text::{Span, Text};

/// The proof that an error has been reported: whoever gets it has nothing more to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// What was found so far.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    file_name: &'t str,
    text: Text<'t>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    errors_left_out: usize,
}

impl<'t> Findings<'t> {
    pub(super) fn new(file_name: &'t str, text: Text<'t>) -> Self {
        Self { file_name, text, errors: Vec::new(), warnings: Vec::new(), errors_left_out: 0 }
    }

    /// The file's text.
    pub(super) fn text(&self) -> &Text<'t> {
        &self.text
    }

    /// Something that must be changed.
    pub(super) fn error<'s>(
        &mut self,
        at: impl IntoIterator<Item = &'s Span>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Reported {
        if self.errors.len() < Problems::KEPT_MAX {
            let problem = self.problem(at, what.into(), cure.into());
            self.errors.push(problem);
        } else {
            self.errors_left_out += 1;
        }
        Reported(())
    }

    /// Something that should be looked at.
    pub(super) fn warning<'s>(
        &mut self,
        at: impl IntoIterator<Item = &'s Span>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) {
        if self.warnings.len() < Problems::KEPT_MAX {
            let problem = self.problem(at, what.into(), cure.into());
            self.warnings.push(problem);
        }
    }

    /// `value` and the warnings, when there is no error.
    pub(super) fn finish<T>(
        self,
        value: Result<T, Reported>,
    ) -> Result<(T, Vec<Problem>), Problems> {
        let Self { mut errors, mut warnings, errors_left_out, .. } = self;
        for problems in [&mut errors, &mut warnings] {
            problems.sort_by_key(|problem| {
                problem.places.first().map(|place| (place.line, place.column))
            });
        }
        match value {
            Ok(value) if errors.is_empty() => Ok((value, warnings)),
            _ => Err(Problems { errors, warnings, errors_left_out }),
        }
    }

    fn problem<'s>(
        &self,
        at: impl IntoIterator<Item = &'s Span>,
        what: String,
        cure: String,
    ) -> Problem {
        let places = at.into_iter().map(|span| self.text.place(span)).collect();
        Problem { file_name: self.file_name.to_owned(), places, what, cure }
    }
}
