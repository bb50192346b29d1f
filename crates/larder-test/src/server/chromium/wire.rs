//! The `DevTools` protocol over a pair of pipes: orders and answers in JSON, each ended by a zero
//! byte, and events between them.
//!
//! It knows numbers, sessions and deadlines, and nothing of what is said.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::PATIENCE;

/// How many messages wait to be looked at. A browser with more to say waits itself.
const MESSAGES_MAX: usize = 1_024;

/// Both ends of a conversation with a browser.
#[derive(Debug)]
pub(super) struct Wire {
    orders: File,
    messages: Receiver<Value>,
    /// What was said unasked since the last load was begun: a page of the tests is small, and
    /// each load begins with none.
    events: VecDeque<Value>,
    number: u64,
}

impl Wire {
    /// Opens the pipes of a browser that has opened them.
    pub(super) fn open(orders: &Path, answers: &Path) -> Self {
        let orders = File::options().write(true).open(orders);
        let orders = orders.expect("a browser's pipe can be written");
        let answers = File::open(answers).expect("a browser's pipe can be read");
        let (sender, messages) = sync_channel(MESSAGES_MAX);
        thread::spawn(move || read(answers, &sender));
        Self { orders, messages, events: VecDeque::new(), number: 0 }
    }

    /// Gives an order and waits for its answer.
    pub(super) fn ask(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.number += 1;
        let mut order = json!({"id": self.number, "method": method, "params": params});
        if let Some(session) = session {
            order["sessionId"] = session.into();
        }
        let sent = self.orders.write_all(format!("{order}\0").as_bytes());
        sent.unwrap_or_else(|error| panic!("{method}: the browser is gone: {error}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.message(deadline, method);
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method} with {params}: {message}");
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    /// Forgets what was said unasked so far.
    pub(super) fn forget_events(&mut self) {
        self.events.clear();
        self.events.extend(self.messages.try_iter());
        self.events.clear();
    }

    /// Waits for an event of a session.
    pub(super) fn wait_for(&mut self, session: &str, event: &str) {
        let deadline = Instant::now() + PATIENCE;
        let is_it = |event_: &Value| event_["method"] == event && event_["sessionId"] == session;
        loop {
            let message = self.events.pop_front().unwrap_or_else(|| self.message(deadline, event));
            if is_it(&message) {
                return;
            }
        }
    }

    fn message(&self, deadline: Instant, what: &str) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = self.messages.recv_timeout(left);
        message.unwrap_or_else(|_| panic!("{what}: the browser said nothing within {PATIENCE:?}"))
    }
}

/// Passes on what a browser says, until it is gone or nobody listens.
fn read(answers: File, messages: &SyncSender<Value>) {
    let mut answers = BufReader::new(answers);
    let mut bytes = Vec::new();
    while answers.read_until(0, &mut bytes).is_ok_and(|size| size > 0) {
        bytes.pop_if(|last| *last == 0);
        let Ok(message) = serde_json::from_slice(&bytes) else { return };
        if messages.send(message).is_err() {
            return;
        }
        bytes.clear();
    }
}
