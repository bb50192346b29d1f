//! Who reaches which listener, in words, and what they may do.

use std::fmt;

use super::super::{Address, HttpReads, Listen, Secret};

/// The Redis protocol's.
pub(super) fn write_resp(listen: &Listen, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_door("resp", listen.resp.as_ref(), "password", listen.password.as_ref(), out)?;
    if listen.resp.is_none() {
        return Ok(());
    }
    let workers = match listen.workers {
        None => "a thread for every two cores serves them".to_owned(),
        Some(1) => "one thread serves them".to_owned(),
        Some(workers) => format!("{workers} threads serve them"),
    };
    writeln!(out, "  at most {} clients at once; {workers}", listen.clients_max)
}

/// The cache API's: who may do what, and who is answered at all.
pub(super) fn write_http(listen: &Listen, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_door("http", listen.http.as_ref(), "token", listen.token.as_ref(), out)?;
    if listen.http.is_none() {
        return Ok(());
    }
    let guard = match (&listen.token, listen.http_reads) {
        (None, _) => "whoever reaches it reads, writes and invalidates",
        (Some(_), HttpReads::Anyone) => {
            "whoever reaches it reads; who writes or invalidates sends the token"
        }
        (Some(_), HttpReads::Token) => "only who sends the token reads, writes or invalidates",
    };
    let hosts = listen.hosts.join(", ");
    writeln!(out, "  caches are at /cache/NAME/KEY; {guard}")?;
    writeln!(out, "  requests must be for this machine's own names, or for {hosts}")
}

/// The administration's.
pub(super) fn write_admin(listen: &Listen, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_door("admin", listen.admin.as_ref(), "token", listen.token.as_ref(), out)
}

/// One line about a listener, which has its `credential` or hasn't.
fn write_door(
    name: &str,
    address: Option<&Address>,
    credential: &str,
    given: Option<&Secret>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let Some(address) = address else {
        return writeln!(out, "{name}: not opened");
    };
    let reach = if address.is_loopback() { "this machine only" } else { "other machines, no TLS" };
    let guard = if given.is_some() { "with a" } else { "without a" };
    writeln!(out, "{name}: {address} ({reach}, {guard} {credential})")
}
