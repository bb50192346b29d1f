//! What is asked about one key or of the bus, in a form that can be asked again: with a script's
//! text, or of another server.

use bytes::Bytes;
use larder_core::Result;
use larder_core::envelope::STAMP_AT;
use larder_core::shared::Incarnation;
use redis::{Cmd, Pipeline, Value, cmd};

use crate::connection::Connection;
use crate::errors::{Meaning, meaning};
use crate::script::{Call, Scripts};

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// A name that it is about, by which its server is found.
    pub(crate) name: Bytes,
    /// What is asked.
    pub(crate) body: Body,
    /// The only run of a server of which it makes sense.
    pub(crate) only_in: Option<Incarnation>,
    /// Whether it is worth waiting for while a cluster moves its keys.
    pub(crate) is_patient: bool,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// What is held under the name: the value, for how long, and the stamp of what is held after
    /// that. In between another may have filled it, and then the time is not this value's.
    Read,
    /// A script.
    Call(Call),
    /// A script, and whether so many replicas have what it wrote, and all before it, within a time
    /// in milliseconds.
    Replicated(Call, u32, u64),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// One value for each command; each may be an error.
    pub(crate) values: Vec<Value>,
    /// The run of the server that answered.
    pub(crate) incarnation: Incarnation,
}

/// What became of a question: `None` when the run that it makes sense for is over.
pub(crate) type Outcome = Result<Option<Reply>>;

impl Request {
    /// A script about the name of its first key.
    pub(crate) fn call(call: Call) -> Self {
        let name = call.keys.first().cloned().unwrap_or_default();
        Self { name, body: Body::Call(call), only_in: None, is_patient: true }
    }

    fn commands(&self, scripts: &Scripts, in_full: bool, run: Incarnation) -> Vec<Cmd> {
        let name = &self.name[..];
        match &self.body {
            Body::Read => {
                let (mut value, mut left, mut stamp) = (cmd("GET"), cmd("PTTL"), cmd("GETRANGE"));
                value.arg(name);
                left.arg(name);
                stamp.arg(name).arg(STAMP_AT).arg(STAMP_AT + 7);
                vec![value, left, stamp]
            }
            Body::Call(call) => vec![call.command(scripts, in_full, run)],
            Body::Replicated(call, replicas, millis) => {
                let mut wait = cmd("WAIT");
                wait.arg(*replicas).arg(*millis);
                vec![call.command(scripts, in_full, run), wait]
            }
        }
    }
}

impl Reply {
    /// What an error in it means.
    pub(crate) fn error(&self) -> Option<Meaning> {
        let error = |value: &Value| match value {
            Value::ServerError(error) => Some(meaning(error)),
            _ => None,
        };
        self.values.iter().find_map(error)
    }
}

/// Asks `requests` together on one connection. Those in the midst of a move to this server are
/// announced to it by `asking`.
pub(crate) async fn ask(
    connection: &Connection,
    scripts: &Scripts,
    requests: &[&Request],
    asking: bool,
) -> Vec<Outcome> {
    let incarnation = connection.incarnation();
    let makes_sense =
        |request: &Request| request.only_in.is_none_or(|only_in| only_in == incarnation);
    let mut outcomes: Vec<Outcome> = requests.iter().map(|_| Ok(None)).collect();
    let mut open: Vec<usize> = Vec::with_capacity(requests.len());
    open.extend((0..requests.len()).filter(|&at| makes_sense(requests[at])));
    // The second time with the text of scripts that were forgotten.
    for in_full in [false, true] {
        if open.is_empty() {
            break;
        }
        let mut questions = Pipeline::with_capacity(open.len());
        let mut counts = Vec::with_capacity(open.len());
        for &at in &open {
            let before = questions.len();
            for command in requests[at].commands(scripts, in_full, incarnation) {
                if asking {
                    questions.add_command(cmd("ASKING"));
                }
                questions.add_command(command);
            }
            counts.push(questions.len() - before);
        }
        match connection.ask(&mut questions).await {
            Err(error) => {
                open.drain(..).for_each(|at| outcomes[at] = Err(error.clone()));
            }
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (&at, count) in open.iter().zip(counts) {
                    let own = answers.by_ref().take(count);
                    let values =
                        if asking { own.skip(1).step_by(2).collect() } else { own.collect() };
                    outcomes[at] = Ok(Some(Reply { values, incarnation }));
                }
            }
        }
        open.retain(|&at| {
            let reply = outcomes[at].as_ref().ok().and_then(Option::as_ref);
            reply.and_then(Reply::error) == Some(Meaning::NoScript)
        });
    }
    outcomes
}
