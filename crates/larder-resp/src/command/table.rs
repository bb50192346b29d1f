//! Every command, in one table: what it is called, what it takes, what it does and where.
//!
//! What COMMAND reports and the reference says is what stands here.

use super::{
    Command, Kind, bits, connection, describe, expiry, info, invalidate, larder, names, numbers,
    reads, rows, strings, writes,
};

const NONE: (i8, i8, i8) = (0, 0, 0);
const ONE: (i8, i8, i8) = (1, 1, 1);
const TWO: (i8, i8, i8) = (1, 2, 1);
const ALL: (i8, i8, i8) = (1, -1, 1);
const PAIRS: (i8, i8, i8) = (1, -1, 2);

macro_rules! table {
    ($($name:literal $arity:literal $kind:ident $keys:expr, $group:literal,
       $arguments:literal, $run:expr,
       $summary:literal;)*) => {
        &[$(Command {
            name: $name,
            arity: $arity,
            kind: Kind::$kind,
            keys: $keys,
            group: $group,
            arguments: $arguments,
            summary: $summary,
            run: $run,
        }),*]
    };
}

/// Every command.
pub(crate) static TABLE: &[Command] = table! {
    "GET" 2 Reads ONE, "string",
        "key", reads::get,
        "Returns the value of a key; a declared one is loaded through.";
    "MGET" -2 Reads ALL, "string",
        "key [key …]", reads::mget,
        "Returns the values of keys; the missing declared ones are loaded in one batch.";
    "EXISTS" -2 Reads ALL, "generic",
        "key [key …]", reads::exists,
        "Counts the keys that have a value; declared ones are loaded through.";
    "TOUCH" -2 Reads ALL, "generic",
        "key [key …]", reads::exists,
        "Uses keys, and counts those that have a value; declared ones are loaded through.";
    "STRLEN" 2 Reads ONE, "string",
        "key", reads::strlen,
        "Returns the length of the value; a declared key is loaded through.";
    "GETRANGE" 4 Reads ONE, "string",
        "key start end", reads::getrange,
        "Returns a part of the value; a declared key is loaded through.";
    "SUBSTR" 4 Reads ONE, "string",
        "key start end", reads::getrange,
        "Does what GETRANGE does, under its first name.";
    "TYPE" 2 Reads ONE, "generic",
        "key", reads::kind,
        "Returns string or none; a declared key is loaded through.";
    "TTL" 2 Reads ONE, "generic",
        "key", expiry::ttl,
        "Returns for how many seconds the key is still held.";
    "PTTL" 2 Reads ONE, "generic",
        "key", expiry::pttl,
        "Returns for how many milliseconds the key is still held.";
    "EXPIRETIME" 2 Reads ONE, "generic",
        "key", expiry::expiretime,
        "Returns the second since 1970 until which the key is still held.";
    "PEXPIRETIME" 2 Reads ONE, "generic",
        "key", expiry::pexpiretime,
        "Returns the millisecond since 1970 until which the key is still held.";
    "KEYS" 2 Reads NONE, "generic",
        "pattern", names::keys,
        "Returns the plain keys that fit a pattern.";
    "SCAN" -2 Reads NONE, "generic",
        "cursor [MATCH pattern] [COUNT n] [TYPE string]", names::scan,
        "Returns some of the plain keys, and the cursor with which to ask for more.";
    "RANDOMKEY" 1 Reads NONE, "generic",
        "", names::randomkey,
        "Returns one of the plain keys.";
    "SET" -3 Writes ONE, "string",
        "key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]", writes::set,
        "Sets a plain key, or stores a row.";
    "SETEX" 4 Writes ONE, "string",
        "key seconds value", writes::setex,
        "Sets a plain key for some seconds.";
    "SETNX" 3 Writes ONE, "string",
        "key value", writes::setnx,
        "Sets a plain key that isn't held, or stores a row that isn't there.";
    "PSETEX" 4 Writes ONE, "string",
        "key milliseconds value", writes::psetex,
        "Sets a plain key for some milliseconds.";
    "GETSET" 3 Writes ONE, "string",
        "key value", writes::getset,
        "Sets a plain key, or stores a row, and returns the old value.";
    "GETDEL" 2 Writes ONE, "string",
        "key", strings::getdel,
        "Returns the value of a plain key and forgets it.";
    "GETEX" -2 Writes ONE, "string",
        "key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]", strings::getex,
        "Returns the value of a plain key and sets for how long it is held.";
    "APPEND" 3 Writes ONE, "string",
        "key value", strings::append,
        "Writes behind the value of a plain key.";
    "SETRANGE" 4 Writes ONE, "string",
        "key offset value", strings::setrange,
        "Writes into the value of a plain key.";
    "MSET" -3 Writes PAIRS, "string",
        "key value [key value …]", writes::mset,
        "Sets plain keys.";
    "MSETNX" -3 Writes PAIRS, "string",
        "key value [key value …]", writes::msetnx,
        "Sets plain keys, if none of them is held.";
    "DEL" -2 Writes ALL, "generic",
        "key [key …]", writes::del,
        "Forgets plain keys and invalidates declared ones.";
    "UNLINK" -2 Writes ALL, "generic",
        "key [key …]", writes::del,
        "Forgets plain keys and invalidates declared ones.";
    "RENAME" 3 Writes TWO, "generic",
        "key newkey", names::rename,
        "Gives the value of a plain key to another one, in place of what that has.";
    "RENAMENX" 3 Writes TWO, "generic",
        "key newkey", names::renamenx,
        "Gives the value of a plain key to another one, if that isn't held.";
    "COPY" -3 Writes TWO, "generic",
        "key newkey [DB 0] [REPLACE]", names::copy,
        "Gives the value of a plain key to another one, too.";
    "EXPIRE" -3 Writes ONE, "generic",
        "key seconds [NX | XX | GT | LT]", expiry::expire,
        "Sets for how many seconds a plain key is held.";
    "PEXPIRE" -3 Writes ONE, "generic",
        "key milliseconds [NX | XX | GT | LT]", expiry::pexpire,
        "Sets for how many milliseconds a plain key is held.";
    "EXPIREAT" -3 Writes ONE, "generic",
        "key second [NX | XX | GT | LT]", expiry::expireat,
        "Sets until which second since 1970 a plain key is held.";
    "PEXPIREAT" -3 Writes ONE, "generic",
        "key millisecond [NX | XX | GT | LT]", expiry::pexpireat,
        "Sets until which millisecond since 1970 a plain key is held.";
    "PERSIST" 2 Writes ONE, "generic",
        "key", expiry::persist,
        "Holds a plain key without an end.";
    "INCR" 2 Writes ONE, "string",
        "key", numbers::incr,
        "Adds one to the number in a plain key or a row.";
    "DECR" 2 Writes ONE, "string",
        "key", numbers::decr,
        "Takes one from the number in a plain key or a row.";
    "INCRBY" 3 Writes ONE, "string",
        "key amount", numbers::incrby,
        "Adds to the number in a plain key or a row.";
    "DECRBY" 3 Writes ONE, "string",
        "key amount", numbers::decrby,
        "Takes from the number in a plain key or a row.";
    "INCRBYFLOAT" 3 Writes ONE, "string",
        "key amount", numbers::incrbyfloat,
        "Adds to the number in a plain key, with decimals.";
    "GETBIT" 3 Reads ONE, "bitmap",
        "key offset", bits::getbit,
        "Returns a bit of the value; a declared key is loaded through.";
    "BITCOUNT" -2 Reads ONE, "bitmap",
        "key [start end [BYTE | BIT]]", bits::bitcount,
        "Counts the bits of the value that are set; a declared key is loaded through.";
    "BITPOS" -3 Reads ONE, "bitmap",
        "key bit [start [end [BYTE | BIT]]]", bits::bitpos,
        "Returns where the first such bit of the value is; a declared key is loaded through.";
    "SETBIT" 4 Writes ONE, "bitmap",
        "key offset bit", bits::setbit,
        "Sets a bit in the value of a plain key.";
    "LARDER.GET" -2 Reads ONE, "larder",
        "key [LEASE | AT position]", larder::get,
        "Returns the value of a key with its tier, age, state and reason, or a fill token.";
    "LARDER.FILL" -4 Writes ONE, "larder",
        "key token value [EX s | PX ms | EXAT s | PXAT ms | TAGS tag [tag …]]", larder::fill,
        "Fills a key with what its client loaded, unless it changed since the token was given.";
    "LARDER.SET" -3 Writes ONE, "larder",
        "key value [EX s | PX ms | EXAT s | PXAT ms] [TAGS tag [tag …]]", larder::set,
        "Sets a plain key that is forgotten when one of its tags is invalidated.";
    "LARDER.DELETE" -2 Writes ALL, "larder",
        "key [key …]", rows::delete,
        "Deletes the rows of declared keys, each by itself.";
    "LARDER.INVALIDATE" -3 Writes NONE, "larder",
        "[SOFT] [POSITION] KEYS key [key …] | TAGS tag [tag …] | PREFIX prefix | CACHE name",
        invalidate::invalidate,
        "Invalidates keys, or everything with a tag or prefix or of a cache, or marks it stale.";
    "LARDER.STATS" -1 Serves NONE, "larder",
        "[cache]", larder::stats,
        "Returns what each cache has counted, and in a sentence whether it is worth it.";
    "PING" -1 Serves NONE, "connection",
        "[text]", connection::ping,
        "Answers.";
    "ECHO" 2 Serves NONE, "connection",
        "text", connection::echo,
        "Returns its argument.";
    "HELLO" -1 Greets NONE, "connection",
        "[2 | 3] [AUTH user password] [SETNAME name]", connection::hello,
        "Chooses the version of the protocol and authenticates.";
    "AUTH" -2 Greets NONE, "connection",
        "[user] password", connection::auth,
        "Authenticates.";
    "QUIT" -1 Greets NONE, "connection",
        "", connection::quit,
        "Closes the connection.";
    "RESET" 1 Greets NONE, "connection",
        "", connection::reset,
        "Makes the connection as it was when it began.";
    "SELECT" 2 Serves NONE, "connection",
        "0", connection::select,
        "Chooses the only database, 0.";
    "CLIENT" -2 Serves NONE, "connection",
        "ID | GETNAME | SETNAME name | SETINFO field text | HELP", connection::client,
        "Names the connection and tells its number.";
    "COMMAND" -1 Serves NONE, "server",
        "[COUNT | DOCS [name …] | GETKEYS name … | INFO [name …] | LIST [FILTERBY …] | HELP]",
        describe::command,
        "Describes the commands.";
    "INFO" -1 Serves NONE, "server",
        "[section …]", info::info,
        "Returns the state of the server.";
    "CONFIG" -2 Serves NONE, "server",
        "GET pattern [pattern …] | HELP", info::config,
        "Returns the settings that clients ask Redis for.";
    "DBSIZE" 1 Serves NONE, "server",
        "", info::dbsize,
        "Counts the keys that are held.";
};

/// The command of this name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    // By far the most frequent, and the first of the table.
    if name.eq_ignore_ascii_case(b"GET") {
        return TABLE.first();
    }
    TABLE.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for command in TABLE {
            let found = find(command.name.to_ascii_lowercase().as_bytes());
            assert_eq!(found.map(|found| found.name), Some(command.name));
        }
        assert!(find(b"HGETALL").is_none());
    }
}
