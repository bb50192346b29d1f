//! What is said of a command that doesn't go upstream. In a transaction it spoils that.

use super::Route;
use crate::command::Call;
use crate::fault;
use crate::keyspace::{Declared, Home, shown};

/// Redis's own words.
pub(super) fn crossslot(call: &mut Call<'_>) -> Route {
    call.session.transaction.refuse();
    call.reply.error("CROSSSLOT", "Keys in request don't hash to the same slot");
    Route::Written
}

/// Redis's own words.
pub(super) fn only_subscribes(call: &mut Call<'_>) -> Route {
    let name = fault::shown(call.request.name()).to_ascii_lowercase();
    call.reply.error(
        "ERR",
        format_args!(
            "Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context"
        ),
    );
    Route::Written
}

pub(super) fn refuse(call: &mut Call<'_>, reason: &str) -> Route {
    call.session.transaction.refuse();
    let name = fault::shown(call.request.name()).to_uppercase();
    call.reply.error("REFUSED", format_args!("{name}: {reason}"));
    Route::Written
}

pub(super) fn refuse_larders(call: &mut Call<'_>, at: usize) -> Route {
    call.session.transaction.refuse();
    let name = shown(&call.request[at]);
    let message = "what begins with larder: or larder. is larder's own in the shared Redis";
    call.reply.error("REFUSED", format_args!("{message} (key {name})"));
    Route::Written
}

pub(super) fn refuse_key(
    call: &mut Call<'_>,
    declared: &Declared,
    at: usize,
    reason: &str,
) -> Route {
    call.session.transaction.refuse();
    let key = &call.request[at];
    // Several caches may have the namespace; the key tells which.
    let declared = match call.service.keyspace.home(key) {
        Ok(Home::Declared(home, _)) => home,
        _ => declared,
    };
    let (name, key) = (declared.cache.name(), shown(key));
    call.reply.error("REFUSED", format_args!("{reason} {name} (key {key})"));
    Route::Written
}
