//! The commands of Redis, in one table: how each is called, where its keys stand, in which way it
//! goes to a Redis behind larder, or why it doesn't.
//!
//! Those of Redis 7.0 are all here, but for what is about the connection and the server alone
//! (`HELLO`, `INFO` and their like), which larder's own table has. A name that is in neither table
//! is unknown, as in Redis. How a command gets upstream is not known here.

mod passed;
mod refused;

use super::Call;
use super::places::Keys;
use super::way::Way;
use passed::PASSED;
use refused::REFUSED;

/// One command of Redis.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RedisCommand {
    /// Its name, in capitals.
    pub(crate) name: &'static str,
    /// How many arguments it takes, its name counted; negative: at least so many.
    pub(crate) arity: i8,
    /// The group that Redis's own COMMAND DOCS names.
    pub(crate) group: &'static str,
    /// What COMMAND says of it, with blanks between the words.
    pub(crate) flags: &'static str,
    pub(crate) way: Way,
    pub(crate) keys: Keys,
}

impl RedisCommand {
    /// Why it isn't for clients, if it isn't.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self.way {
            Way::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Says why it isn't executed, and what would help.
    pub(super) fn refuse(&self, call: &mut Call<'_>) {
        let name = self.name;
        match self.refusal() {
            None => call.reply.error(
                "ERR",
                format_args!(
                    "{name} needs a Redis behind larder: set [shared] url = \"redis://…\""
                ),
            ),
            Some(reason) => {
                call.reply.error("REFUSED", format_args!("{name} is not for clients: {reason}"));
            }
        }
    }
}

/// The command of this name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static RedisCommand> {
    let mut capitals = [0; NAME_BYTES_MAX];
    let capitals = capitals.get_mut(..name.len())?;
    capitals.copy_from_slice(name);
    capitals.make_ascii_uppercase();
    let find = |table: &'static [RedisCommand]| {
        let at = table.binary_search_by(|command| command.name.as_bytes().cmp(capitals));
        at.ok().map(|at| &table[at])
    };
    TABLES.into_iter().find_map(find)
}

/// No name is longer.
const NAME_BYTES_MAX: usize = 24;

/// The parts of the table, the most frequent first; each is sorted by name.
static TABLES: [&[RedisCommand]; 4] = [PASSED, passed::LATER, REFUSED, refused::LATER];

/// All that go upstream, in the order of their parts.
pub(super) fn passed() -> impl Iterator<Item = &'static RedisCommand> {
    PASSED.iter().chain(passed::LATER)
}

/// Those that Redis 7.0 has.
pub(super) fn of_redis_7() -> impl Iterator<Item = &'static RedisCommand> {
    PASSED.iter().chain(REFUSED)
}

/// Those that later versions have, and that go upstream.
pub(super) fn later() -> impl Iterator<Item = &'static RedisCommand> {
    passed::LATER.iter()
}

#[cfg(test)]
mod tests {
    use larder_test::{Redis, Reply, RespClient};

    use super::*;
    use crate::command::TABLE;

    #[test]
    fn each_part_is_sorted_and_every_command_is_found_in_any_case() {
        for table in TABLES {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
            for command in table {
                let found = find(command.name.to_ascii_lowercase().as_bytes());
                assert_eq!(found, Some(command));
            }
        }
        assert!(find(b"").is_none() && find(b"NONSENSE").is_none());
        assert!(find(&[b'A'; 1000]).is_none());
    }

    #[test]
    fn what_is_refused_has_no_other_fate() {
        assert!(find(b"flushall").and_then(RedisCommand::refusal).is_some());
        assert!(find(b"hSet").is_some_and(|command| command.refusal().is_none()));
        for command in TABLE {
            let found = find(command.name.as_bytes());
            assert!(found.is_none_or(|found| found.refusal().is_none()), "{}", command.name);
        }
    }

    #[test]
    fn every_command_is_called_as_redis_says_and_has_its_keys_there() {
        let redis = Redis::start();
        let mut client = RespClient::connect(("127.0.0.1", redis.port()));
        let Reply::Array(commands) = client.command(&["COMMAND"]) else { panic!("no commands") };
        assert!(commands.len() > 200);
        for command in commands {
            let Reply::Array(fields) = command else { panic!("no fields") };
            let number = |at: usize| match fields[at] {
                Reply::Integer(number) => isize::try_from(number).unwrap(),
                _ => panic!("no number"),
            };
            let (name, first, last, step) = (fields[0].text(), number(3), number(4), number(5));
            let (Reply::Array(flags) | Reply::Set(flags)) = &fields[2] else { panic!("no flags") };
            let flags: Vec<_> = flags.iter().map(Reply::text).collect();
            let Some(found) = find(name.as_bytes()) else {
                // These are about the connection, and answered without an upstream.
                let here = "auth client command config hello info quit reset select";
                assert!(here.split(' ').any(|here| here == name), "{name} is missing");
                continue;
            };
            if found.refusal().is_some() {
                continue;
            }
            assert_eq!(isize::from(found.arity), number(1), "{name}");
            assert!(found.flags.split_whitespace().all(|flag| flags.contains(&flag)), "{name}");
            for flag in ["write", "readonly", "blocking", "movablekeys", "pubsub"] {
                let says = found.flags.split_whitespace().any(|said| said == flag);
                assert_eq!(says, flags.contains(&flag), "{name}: {flag}");
            }
            if first == 0 || flags.contains(&"movablekeys") {
                continue;
            }
            // Channels of a shard have slots, as keys have; here they are channels.
            if matches!(found.way, Way::Subscribes(_) | Way::Publishes) {
                continue;
            }
            let first = usize::try_from(first).unwrap();
            let expected = Keys::Range(first, last, usize::try_from(step).unwrap());
            assert_eq!(found.keys, expected, "{name}");
        }
    }
}
