//! How errors read over the Redis protocol.
//!
//! The first word is the kind's code, so that a client can tell them apart; then what happened,
//! which key, why, and when to come back, on one line.

use std::borrow::Cow;
use std::fmt::Write as _;

use larder_core::Error;

use crate::codec::Writer;

/// Writes an error of larder's own.
pub(crate) fn error(reply: &mut Writer<'_>, error: &Error) {
    let mut line = error.chain();
    // Writing into a String can't fail.
    if let Some(key) = error.key() {
        let _ = write!(line, " (key {key})");
    }
    if let Some(after) = error.retry_delay() {
        let _ = write!(line, "; retry after {} ms", after.as_millis().max(1));
    }
    reply.error(error.kind().code(), line);
}

/// Redis's own words for a command that isn't there.
pub(crate) fn unknown_command<'a>(
    reply: &mut Writer<'_>,
    name: &[u8],
    arguments: impl Iterator<Item = &'a [u8]>,
) {
    let mut beginning = Vec::new();
    for argument in arguments {
        let room = SHOWN_BYTES_MAX.saturating_sub(beginning.len());
        if room == 0 {
            break;
        }
        beginning.extend_from_slice(&[b"'", cut(argument, room), b"' "].concat());
    }
    let beginning = String::from_utf8_lossy(&beginning);
    let name = shown(name);
    reply.error(
        "ERR",
        format_args!("unknown command '{name}', with args beginning with: {beginning}"),
    );
}

/// Redis's own words for a subcommand that isn't there.
pub(crate) fn unknown_subcommand(reply: &mut Writer<'_>, command: &str, name: &[u8]) {
    let name = shown(name);
    reply.error("ERR", format_args!("unknown subcommand '{name}'. Try {command} HELP."));
}

/// Redis's own words for a wrong number of arguments.
pub(crate) fn wrong_arity(reply: &mut Writer<'_>, name: &str) {
    let name = name.to_ascii_lowercase();
    reply.error("ERR", format_args!("wrong number of arguments for '{name}' command"));
}

/// Redis's own words for an option that can't be understood.
pub(crate) fn syntax(reply: &mut Writer<'_>) {
    reply.error("ERR", "syntax error");
}

/// Redis's own words for a number that is none.
pub(crate) fn not_an_integer(reply: &mut Writer<'_>) {
    reply.error("ERR", "value is not an integer or out of range");
}

/// Redis shows so many bytes of what it doesn't understand.
const SHOWN_BYTES_MAX: usize = 128;

/// The beginning of what a client sent, for an error message. It is text: what isn't UTF-8 is
/// replaced, and it ends at a zero byte, as everything does that Redis formats.
pub(crate) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(cut(bytes, SHOWN_BYTES_MAX))
}

fn cut(bytes: &[u8], max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(max)];
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}
