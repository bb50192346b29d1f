//! PING, ECHO, HELLO, AUTH, QUIT, RESET, SELECT, CLIENT: the connection itself.

use super::container::{self, Subcommand};
use super::expiry::integer;
use super::{Call, Outcome};
use crate::codec::Protocol;
use crate::fault;

pub(super) fn ping(call: &mut Call<'_>) -> Outcome {
    match call.request.get(1) {
        None => call.reply.simple("PONG"),
        Some(text) if call.request.len() == 2 => call.reply.bulk(text),
        Some(_) => return call.wrong_arity("PING"),
    }
    Outcome::Written
}

pub(super) fn echo(call: &mut Call<'_>) -> Outcome {
    call.reply.bulk(&call.request[1]);
    Outcome::Written
}

pub(super) fn quit(call: &mut Call<'_>) -> Outcome {
    call.reply.simple("OK");
    Outcome::Close
}

pub(super) fn reset(call: &mut Call<'_>) -> Outcome {
    call.session.reset(call.service);
    call.reply.simple("RESET");
    Outcome::Written
}

pub(super) fn select(call: &mut Call<'_>) -> Outcome {
    match database(call, 1) {
        Ok(()) => call.reply.simple("OK"),
        Err(written) => return written,
    }
    Outcome::Written
}

/// Checks that the argument at `at` is the number of the only database.
pub(super) fn database(call: &mut Call<'_>, at: usize) -> Result<(), Outcome> {
    match integer(&call.request[at]) {
        Some(0) => return Ok(()),
        Some(number) if i32::try_from(number).is_err() => {
            let (min, max) = (i32::MIN, i32::MAX);
            let message = format_args!("value is out of range, value must between {min} and {max}");
            call.reply.error("ERR", message);
        }
        Some(_) => call.reply.error("ERR", "DB index is out of range"),
        None => return Err(call.not_an_integer()),
    }
    Err(Outcome::Written)
}

/// `AUTH password` or `AUTH default password`: there is one user.
pub(super) fn auth(call: &mut Call<'_>) -> Outcome {
    let request = call.request;
    let (user, password) = match (request.get(1), request.get(2)) {
        (Some(password), None) => (&b"default"[..], password),
        (Some(user), Some(password)) if request.len() == 3 => (user, password),
        _ => return call.syntax(),
    };
    if !call.service.asks_password() && request.len() == 2 {
        call.reply.error(
            "ERR",
            "AUTH <password> called without any password configured for the default user. Are \
             you sure your configuration is correct?",
        );
    } else if authenticate(call, user, password) {
        call.reply.simple("OK");
    }
    Outcome::Written
}

/// Checks a password; writes the error if it is wrong. A failed attempt takes nothing away from
/// a client that had authenticated before.
fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> bool {
    let accepted = call.service.accepts(password) && user == b"default";
    if accepted {
        call.session.authenticated = true;
    } else {
        call.reply.error("WRONGPASS", "invalid username-password pair or user is disabled.");
    }
    accepted
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`.
pub(super) fn hello(call: &mut Call<'_>) -> Outcome {
    let mut protocol = call.session.protocol;
    let mut at = 1;
    if let Some(version) = call.request.get(1) {
        protocol = match integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => {
                call.reply.error("NOPROTO", "unsupported protocol version");
                return Outcome::Written;
            }
            None => {
                let message = "Protocol version is not an integer or out of range";
                call.reply.error("ERR", message);
                return Outcome::Written;
            }
        };
        at = 2;
    }
    let mut name = None;
    while at < call.request.len() {
        let next = (call.request.get(at + 1), call.request.get(at + 2));
        if let (true, (Some(user), Some(password))) = (call.is(at, "AUTH"), next) {
            if !authenticate(call, user, password) {
                return Outcome::Written;
            }
            at += 3;
        } else if let (true, (Some(given), _)) = (call.is(at, "SETNAME"), next) {
            if let Err(written) = check_name(call, at + 1) {
                return written;
            }
            name = Some(given);
            at += 2;
        } else {
            let option = fault::shown(&call.request[at]);
            call.reply.error("ERR", format_args!("Syntax error in HELLO option '{option}'"));
            return Outcome::Written;
        }
    }
    if !call.session.authenticated {
        call.reply.error(
            "NOAUTH",
            "HELLO must be called with the client already authenticated, otherwise the HELLO \
             AUTH <user> <pass> option can be used to authenticate the client and select the \
             RESP protocol version at the same time",
        );
        return Outcome::Written;
    }
    if let Some(name) = name {
        call.session.name = name.to_vec();
    }
    call.session.protocol = protocol;
    call.reply.set_protocol(protocol);
    greet(call);
    Outcome::Written
}

fn greet(call: &mut Call<'_>) {
    let version = if call.session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let id = i64::try_from(call.session.id).unwrap_or(i64::MAX);
    let reply = &mut call.reply;
    reply.map(7);
    for (name, text) in [("server", "larder"), ("version", env!("CARGO_PKG_VERSION"))] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    for (name, number) in [("proto", version), ("id", id)] {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
    for (name, text) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

pub(super) fn client(call: &mut Call<'_>) -> Outcome {
    container::run(call, "CLIENT", &CLIENT)
}

const CLIENT: [Subcommand; 4] = [
    Subcommand {
        name: "GETNAME",
        arity: 2,
        arguments: "",
        summary: "Returns the name of the connection.",
        run: client_getname,
    },
    Subcommand {
        name: "ID",
        arity: 2,
        arguments: "",
        summary: "Returns the number of the connection.",
        run: client_id,
    },
    Subcommand {
        name: "SETINFO",
        arity: 4,
        arguments: "<option> <value>",
        summary: "Takes what a library tells of itself, and forgets it.",
        run: client_setinfo,
    },
    Subcommand {
        name: "SETNAME",
        arity: 3,
        arguments: "<name>",
        summary: "Names the connection.",
        run: client_setname,
    },
];

fn client_getname(call: &mut Call<'_>) -> Outcome {
    match call.session.name.is_empty() {
        true => call.reply.null(),
        false => call.reply.bulk(&call.session.name),
    }
    Outcome::Written
}

fn client_id(call: &mut Call<'_>) -> Outcome {
    call.reply.integer(i64::try_from(call.session.id).unwrap_or(i64::MAX));
    Outcome::Written
}

fn client_setinfo(call: &mut Call<'_>) -> Outcome {
    call.reply.simple("OK");
    Outcome::Written
}

fn client_setname(call: &mut Call<'_>) -> Outcome {
    if let Err(written) = check_name(call, 2) {
        return written;
    }
    call.session.name = call.request[2].to_vec();
    call.reply.simple("OK");
    Outcome::Written
}

/// The longest name of a connection, in bytes. Redis has no limit; each client costs as much.
const NAME_BYTES_MAX: usize = 256;

/// A connection's name is printed in lists, so it has neither spaces nor control characters. The
/// error is written already.
fn check_name(call: &mut Call<'_>, at: usize) -> Result<(), Outcome> {
    let name = &call.request[at];
    if !name.iter().all(u8::is_ascii_graphic) {
        let message = "Client names cannot contain spaces, newlines or special characters.";
        call.reply.error("ERR", message);
        return Err(Outcome::Written);
    }
    if name.len() > NAME_BYTES_MAX {
        let message = format_args!("a client name has at most {NAME_BYTES_MAX} bytes");
        call.reply.error("ERR", message);
        return Err(Outcome::Written);
    }
    Ok(())
}
