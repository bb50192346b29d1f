//! The values of a batch of keys while their rows arrive, within a bound for all together.
//!
//! It does not know whose rows they are: each database says which key a row belongs to, and how
//! the row is handed to that key's answer.

use larder_core::{Error, ErrorKind, Result};

use crate::answer::{Answer, BATCH_BYTES_MAX, batch_too_large};
use crate::load::Rows;
use crate::loads::{Asked, Found, Question};
use crate::pool::Failure;

/// What has arrived for each key.
#[derive(Debug)]
pub(crate) struct Answers<'k, 'a> {
    keys: &'k [Asked<'a>],
    question: &'k Question,
    answers: Vec<Answer>,
    bytes: usize,
    fault: Option<Error>,
}

impl<'k, 'a> Answers<'k, 'a> {
    pub(crate) fn new(keys: &'k [Asked<'a>], question: &'k Question) -> Self {
        let empty = |_| Answer::new(question.rows, question.format);
        let answers = keys.iter().map(empty).collect();
        let mut answers = Self { keys, question, answers, bytes: 0, fault: None };
        for (asked, answer) in keys.iter().zip(&mut answers.answers) {
            let tagged = question.tags.of_key(&asked.parameters, &mut answer.tags);
            answers.fault = tagged.err().map(|error| asked.blame(error)).or(answers.fault.take());
            answers.bytes += answer.len();
        }
        answers
    }

    /// Takes a row of the key at `at`; `push` hands it to the key's answer, and returns the
    /// texts of the columns that the tags name.
    ///
    /// # Errors
    ///
    /// What ends the batch with rows unread: the driver's error, or too many bytes.
    pub(crate) fn take(
        &mut self,
        at: usize,
        push: impl FnOnce(&mut Answer) -> Result<Result<Vec<Option<String>>>, sqlx::Error>,
    ) -> Result<(), Failure> {
        let (Some(answer), Some(asked)) = (self.answers.get_mut(at), self.keys.get(at)) else {
            return Err(internal("a row for no key"));
        };
        self.bytes -= answer.len();
        let tagged = push(answer)?.and_then(|columns| {
            self.question.tags.of_row(&asked.parameters, &columns, &mut answer.tags)
        });
        match (tagged, self.question.rows) {
            (Ok(()), _) => {}
            // There are two rows for each key at most: the rest is read, and the connection kept.
            (Err(error), Rows::One) => self.fault = Some(asked.blame(error)),
            (Err(error), Rows::Many) => return Err(Failure::Cut(asked.blame(error))),
        }
        self.bytes += answer.len();
        if self.bytes > BATCH_BYTES_MAX { Err(Failure::Cut(batch_too_large())) } else { Ok(()) }
    }

    /// The values, in the order of the keys, once all rows have arrived.
    ///
    /// # Errors
    ///
    /// The fault of a key, which fails the batch.
    pub(crate) fn finish(self) -> Result<Vec<Found>, Failure> {
        match self.fault {
            Some(error) => Err(Failure::Whole(error)),
            None => Ok(self.answers.into_iter().map(Answer::finish).collect()),
        }
    }
}

/// A defect of ours, with rows unread.
pub(crate) fn internal(what: &'static str) -> Failure {
    Failure::Cut(Error::new(ErrorKind::Internal, what))
}
