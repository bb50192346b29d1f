//! What a client has of its own upstream: a connection, what it has subscribed to there, and the
//! transaction that it is in.

use crate::codec::Protocol;
use crate::command::way::{Subscribes, Topic, Transacts};
use crate::keyspace::is_larders;
use crate::upstream::Dedicated;

/// A client's own connection, while it needs one.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) connection: Option<Box<dyn Dedicated>>,
    /// Which slot it was opened for.
    pub(crate) slot: Option<u16>,
    /// What was promised while no key had said yet where the connection leads.
    pub(crate) deferred: Deferred,
    pub(crate) subscriptions: Subscriptions,
    /// It was lost with something on it that can't be made again. As if Redis itself had gone, the
    /// client is disconnected: anything else would go on with half a transaction, or leave a
    /// subscriber waiting in vain.
    pub(crate) lost: bool,
}

/// The beginning of a transaction, answered here and not sent yet: where keys live on several
/// servers, its first key says which of them executes it.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    pub(crate) requests: Vec<u8>,
    pub(crate) count: usize,
}

impl Deferred {
    /// So many bytes are kept, at most.
    pub(crate) const BYTES_MAX: usize = 64 * 1024;
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Link");
        shown.field("connected", &self.connection.is_some());
        shown.field("subscriptions", &self.subscriptions).field("lost", &self.lost).finish()
    }
}

/// The transaction that a client is in, by what it has said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transaction {
    /// Keys are watched.
    watches: bool,
    /// Commands are queued until EXEC.
    pub(crate) queues: bool,
    /// A command of it was refused here, so that it can't be executed.
    poisoned: bool,
    /// Each of its commands stands between two of larder's.
    pub(crate) guarded: bool,
    /// The slot of its keys, where keys live on several servers.
    pub(crate) slot: Option<u16>,
}

impl Transaction {
    /// Whether something would be lost with the connection.
    pub(crate) fn is_open(self) -> bool {
        self.watches || self.queues
    }

    /// A command was refused, which may have been one of it.
    pub(crate) fn refuse(&mut self) {
        self.poisoned |= self.queues;
    }

    /// Goes on by a command that Redis takes for well-formed. Returns whether it is an EXEC of
    /// what can't be executed any more.
    pub(crate) fn goes_on(&mut self, transacts: Transacts) -> bool {
        match transacts {
            Transacts::Watch => self.watches |= !self.queues,
            Transacts::Unwatch => {
                self.watches &= self.queues;
                self.slot = self.slot.filter(|_| self.is_open());
            }
            Transacts::Multi => self.queues = true,
            Transacts::Exec | Transacts::Discard if self.queues => {
                let poisoned = self.poisoned && transacts == Transacts::Exec;
                *self = Self::default();
                return poisoned;
            }
            Transacts::Exec | Transacts::Discard => {}
        }
        false
    }
}

/// How much a client has subscribed to, by what Redis has confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions {
    channels: u64,
    patterns: u64,
    shards: u64,
}

/// What came over a connection with subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The reply to a request.
    Reply,
    /// A message for the client.
    Message,
    /// A message that larder's own processes tell each other.
    Larders,
    /// That a subscription has begun or ended.
    Confirmation,
}

impl Subscriptions {
    pub(crate) fn any(self) -> bool {
        self.channels + self.patterns + self.shards > 0
    }

    /// How many confirmations a request that names so many topics brings.
    pub(crate) fn confirmations(self, Subscribes { to, ends }: Subscribes, named: usize) -> u64 {
        let all = match to {
            Topic::Channels => self.channels,
            Topic::Patterns => self.patterns,
            Topic::Shards => self.shards,
        };
        if ends && named == 0 { all.max(1) } else { named as u64 }
    }

    /// Says what a whole reply or message is, and takes note of a confirmation.
    pub(crate) fn told(&mut self, bytes: &[u8], protocol: Protocol) -> Told {
        let mark = if protocol == Protocol::Resp3 { b'>' } else { b'*' };
        if bytes.first() != Some(&mark) {
            return Told::Reply;
        }
        let [kind, second, third] = strings(bytes);
        let of_larder = |channel| if is_larders(channel) { Told::Larders } else { Told::Message };
        match kind {
            b"message" | b"smessage" => of_larder(second),
            b"pmessage" => of_larder(third),
            b"subscribe" | b"unsubscribe" => self.confirm(Topic::Channels, bytes),
            b"psubscribe" | b"punsubscribe" => self.confirm(Topic::Patterns, bytes),
            b"ssubscribe" | b"sunsubscribe" => self.confirm(Topic::Shards, bytes),
            _ if protocol == Protocol::Resp3 => Told::Message,
            _ => Told::Reply,
        }
    }

    /// A confirmation ends with how many channels and patterns together, or how many shard
    /// channels, are subscribed to now.
    fn confirm(&mut self, topic: Topic, bytes: &[u8]) -> Told {
        let number = bytes.rsplit(|&byte| byte == b':').next().unwrap_or_default();
        let number = std::str::from_utf8(number).ok().and_then(|number| number.trim().parse().ok());
        let now: u64 = number.unwrap_or(0);
        match topic {
            Topic::Channels => self.channels = now.saturating_sub(self.patterns),
            Topic::Patterns => self.patterns = now.saturating_sub(self.channels),
            Topic::Shards => self.shards = now,
        }
        Told::Confirmation
    }
}

/// The first three elements of an aggregate, as far as they are strings.
fn strings(bytes: &[u8]) -> [&[u8]; 3] {
    let mut found = [&b""[..]; 3];
    let mut rest = line(bytes).1;
    for place in &mut found {
        let (header, behind) = line(rest);
        let length = header.strip_prefix(b"$").and_then(|length| std::str::from_utf8(length).ok());
        let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else {
            break;
        };
        let Some((string, behind)) = behind.split_at_checked(length) else {
            break;
        };
        *place = string;
        rest = behind.strip_prefix(b"\r\n").unwrap_or_default();
    }
    found
}

/// The first line, without its end, and what is behind it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(2).position(|end| end == b"\r\n") {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_are_counted_by_topic() {
        let mut all = Subscriptions::default();
        let mut check = |bytes: &str, channels, patterns, shards| {
            assert_eq!(all.told(bytes.as_bytes(), Protocol::Resp2), Told::Confirmation);
            assert_eq!(all, Subscriptions { channels, patterns, shards });
        };
        check("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", 1, 0, 0);
        check("*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:2\r\n", 1, 1, 0);
        check("*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:2\r\n", 1, 1, 0);
        check("*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n", 1, 1, 1);
        check("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:3\r\n", 2, 1, 1);
        let ends = |to| Subscribes { to, ends: true };
        assert_eq!(all.confirmations(ends(Topic::Channels), 0), 2);
        assert_eq!(all.confirmations(ends(Topic::Shards), 5), 5);
        let mut check = |bytes: &str, channels, patterns, shards| {
            assert_eq!(all.told(bytes.as_bytes(), Protocol::Resp2), Told::Confirmation);
            assert_eq!(all, Subscriptions { channels, patterns, shards });
        };
        check("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n", 1, 1, 1);
        check("*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n", 0, 1, 1);
        check("*3\r\n$12\r\npunsubscribe\r\n$1\r\n*\r\n:0\r\n", 0, 0, 1);
        check("*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n", 0, 0, 0);
        assert_eq!(all.confirmations(ends(Topic::Patterns), 0), 1);
        assert!(!all.any());
    }

    #[test]
    fn replies_and_messages_are_told_apart() {
        let check = |bytes: &str, protocol, told| {
            assert_eq!(Subscriptions::default().told(bytes.as_bytes(), protocol), told, "{bytes}");
        };
        let (two, three) = (Protocol::Resp2, Protocol::Resp3);
        check("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", two, Told::Message);
        check(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", three, Told::Message);
        check("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", three, Told::Reply);
        check("*2\r\n$4\r\npong\r\n$0\r\n\r\n", two, Told::Reply);
        check("+OK\r\n", two, Told::Reply);
        check("*0\r\n", two, Told::Reply);
        check("*3\r\n$7\r\nmessage\r\n$8\r\nlarder:x\r\n$1\r\nm\r\n", two, Told::Larders);
        let pattern = ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$8\r\nlarder.x\r\n$1\r\nm\r\n";
        check(pattern, three, Told::Larders);
        let pattern = ">4\r\n$8\r\npmessage\r\n$8\r\nlarder:*\r\n$1\r\nx\r\n$1\r\nm\r\n";
        check(pattern, three, Told::Message);
    }

    #[test]
    fn a_transaction_that_had_a_command_refused_is_not_executed() {
        let mut transaction = Transaction::default();
        transaction.refuse();
        assert!(!transaction.goes_on(Transacts::Watch));
        assert!(transaction.is_open() && !transaction.queues);
        assert!(!transaction.goes_on(Transacts::Multi));
        transaction.refuse();
        assert!(!transaction.goes_on(Transacts::Unwatch), "it is queued");
        assert!(transaction.goes_on(Transacts::Exec));
        assert!(!transaction.is_open());
        assert!(!transaction.goes_on(Transacts::Multi));
        assert!(!transaction.goes_on(Transacts::Exec), "a new one is clean");
    }
}
