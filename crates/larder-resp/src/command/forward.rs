//! Which commands go upstream, where plain keys live in a Redis, and over which connection.
//!
//! A command goes there as it came, if everything that it names is plain. What names only keys
//! of caches is executed here, and what names both is split where its replies can be merged, and
//! refused where not. It knows no reply: those are passed on, but for what `split` and `filter`
//! make of them.

use std::sync::Arc;

use super::keys::{self, Foreign, Keys, Names, Subscribes, Transacts, Way};
use super::{Call, filter, find, guard, split};
use crate::codec::{Protocol, encode_request};
use crate::exchange::{Ends, Exchange, Over};
use crate::fault;
use crate::keyspace::{Declared, Home, Whose, is_larders, shown};
use crate::reads::{Forward, Gathered};
use crate::upstream::Patience;

/// Where a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It is executed here.
    Here,
    /// Its turn comes when what has gathered is answered.
    Wait,
    /// It is refused, and the reply written.
    Written,
    /// It has gathered.
    Forwarded,
}

/// Finds the way of a command where plain keys live upstream, and goes it as far as it doesn't
/// end here.
pub(crate) fn route(call: &mut Call<'_>, gathered: &mut Gathered) -> Route {
    let link = call.session.link.lock();
    let mut router = Router {
        has_connection: link.connection.is_some(),
        subscribed: link.subscriptions.any(),
        gathered,
    };
    drop(link);
    match keys::find(call.request.name()) {
        Some(_) if !call.session.authenticated => {
            call.reply.error("NOAUTH", "Authentication required.");
            Route::Written
        }
        Some(entry) => router.known(call, entry),
        None => router.unknown(call),
    }
}

/// What decides about the way of a command, besides its keys.
pub(super) struct Router<'g> {
    has_connection: bool,
    subscribed: bool,
    gathered: &'g mut Gathered,
}

impl Router<'_> {
    /// What was sent last is answered when what it invalidated was carried out everywhere.
    pub(super) fn settle(&mut self, engine: &larder_engine::Engine) {
        self.gathered.settle(engine);
    }

    /// A command that is only ever executed here, or nowhere.
    fn unknown(&mut self, call: &mut Call<'_>) -> Route {
        let may_always = ["QUIT", "RESET"].iter().any(|name| call.is(0, name));
        let exists = find(call.request.name()).is_some();
        if may_always || !call.session.authenticated {
            Route::Here
        } else if self.only_subscribes(call) && exists {
            only_subscribes(call)
        } else if call.session.transaction.queues {
            call.session.transaction.refuse();
            match exists {
                true => refuse(call, "it can't stand in a transaction"),
                false => Route::Here,
            }
        } else if self.has_connection && changes_protocol(call) {
            refuse(
                call,
                "the version can't change while keys are watched or channels subscribed to",
            )
        } else {
            Route::Here
        }
    }

    fn known(&mut self, call: &mut Call<'_>, entry: &'static Foreign) -> Route {
        let queues = call.session.transaction.queues;
        let pings = call.is(0, "PING");
        if self.only_subscribes(call) && !matches!(entry.way, Way::Subscribes(_)) && !pings {
            return only_subscribes(call);
        }
        match entry.way {
            Way::Refused(reason) => refuse(call, reason),
            Way::Answers if queues || (pings && self.only_subscribes(call)) => self.pass(call),
            Way::Answers => Route::Here,
            Way::Only(allowed) => match call.request.get(1) {
                Some(_) if !allowed.iter().any(|one| call.is(1, one)) => {
                    refuse(call, "what concerns the Redis itself is to be done there")
                }
                _ => self.by_keys(call, entry),
            },
            Way::Names(_) if queues => refuse(call, "it can't stand in a transaction"),
            Way::Names(names) => self.names(call, names),
            Way::Subscribes(_) if queues => refuse(call, "it can't stand in a transaction"),
            Way::Subscribes(subscribes) => self.subscribes(call, subscribes),
            Way::Publishes => match call.request.get(1) {
                Some(channel) if is_larders(channel) => refuse_larders(call, 1),
                _ => self.pass(call),
            },
            Way::Transaction(Transacts::Watch) => match self.plain_only(call, entry) {
                Ok(()) => self.transaction(call, Transacts::Watch),
                Err(written) => written,
            },
            Way::Transaction(transacts) => self.transaction(call, transacts),
            Way::Shared | Way::Blocks | Way::MayBlock | Way::Split => self.by_keys(call, entry),
        }
    }

    /// Whether Redis would let this client do nothing but subscribe, end that, and leave.
    fn only_subscribes(&self, call: &Call<'_>) -> bool {
        self.subscribed && call.session.protocol == Protocol::Resp2
    }

    /// A command whose keys decide.
    fn by_keys(&mut self, call: &mut Call<'_>, entry: &'static Foreign) -> Route {
        let (mut of_cache, mut plain) = (None, false);
        for at in entry.keys.places(&call.request) {
            match call.service.keyspace.whose(&call.request[at]) {
                Whose::Larder => return refuse_larders(call, at),
                Whose::Cache(declared) => {
                    of_cache.get_or_insert((declared, at));
                }
                Whose::Upstream => plain = true,
            }
        }
        let Some((declared, at)) = of_cache else {
            return self.plain(call, entry);
        };
        let splits = entry.way == Way::Split;
        if call.session.transaction.queues {
            let reason = "a transaction has plain keys only: this one belongs to the cache";
            refuse_key(call, declared, at, reason)
        } else if splits && (plain || find(call.request.name()).is_none()) {
            split::split(call, self)
        } else if plain {
            let reason = "one command can't name plain keys and keys of caches, as this one of the \
                          cache";
            refuse_key(call, declared, at, reason)
        } else if find(call.request.name()).is_some() {
            Route::Here
        } else {
            let name = String::from_utf8_lossy(call.request.name()).to_uppercase();
            let reason = format!("{name} is for plain keys: this one belongs to the cache");
            refuse_key(call, declared, at, &reason)
        }
    }

    /// A command that names only plain keys, or none.
    fn plain(&mut self, call: &mut Call<'_>, entry: &'static Foreign) -> Route {
        if entry.keys == Keys::Sort
            && keys::sort_patterns(&call.request).any(|pattern| reaches(call, pattern))
        {
            return refuse(call, "a pattern of BY or GET must begin as only plain keys do");
        }
        let blocks = match entry.way {
            Way::Blocks => true,
            Way::MayBlock => keys::blocks(&call.request),
            _ => false,
        };
        // In a transaction nothing blocks.
        if !blocks || call.session.transaction.queues {
            return self.pass(call);
        }
        if self.subscribed {
            return refuse(call, "who has subscribed can't block: use another connection");
        }
        if call.behind {
            return Route::Wait;
        }
        let route = self.forward(call, Over::Dedicated, Patience::Endless, Ends::Reply, as_it_is());
        self.gathered.seal();
        route
    }

    fn plain_only(&mut self, call: &mut Call<'_>, entry: &'static Foreign) -> Result<(), Route> {
        for at in entry.keys.places(&call.request) {
            match call.service.keyspace.whose(&call.request[at]) {
                Whose::Larder => return Err(refuse_larders(call, at)),
                Whose::Cache(declared) => {
                    let reason = "only plain keys can be watched: this one belongs to the cache";
                    return Err(refuse_key(call, declared, at, reason));
                }
                Whose::Upstream => {}
            }
        }
        Ok(())
    }

    fn names(&mut self, call: &mut Call<'_>, names: Names) -> Route {
        let (requests, reply) = filter::filter(call, names);
        let forward = Forward { requests, asks: Vec::new(), reply };
        let over = self.over(call);
        self.forward(call, over, Patience::Usual, Ends::Reply, forward)
    }

    fn transaction(&mut self, call: &mut Call<'_>, transacts: Transacts) -> Route {
        let arguments = call.request.len();
        let well_formed =
            if transacts == Transacts::Watch { arguments > 1 } else { arguments == 1 };
        if !well_formed {
            // Redis refuses it, which poisons a transaction there as well.
            return self.pass(call);
        }
        let queued = call.session.transaction;
        if queued.queues && transacts == Transacts::Unwatch {
            return self.pass(call);
        }
        // Where companions began to be while it was being queued, it would be executed unguarded.
        // Who only fears that they did, since the bus stands still, must not abort it for that.
        if queued.queues && !queued.guarded && guard::is_known(call) {
            call.session.transaction.refuse();
        }
        let begins = matches!(transacts, Transacts::Watch | Transacts::Multi);
        let over = if begins { Over::Dedicated } else { self.over(call) };
        if self.gathered.over().is_some_and(|other| other != over) {
            return Route::Wait;
        }
        let poisoned = call.session.transaction.goes_on(transacts);
        if transacts == Transacts::Multi && !queued.queues {
            call.session.transaction.guarded = guard::is_needed(call);
        }
        if !poisoned {
            let mut forward = as_it_is();
            if transacts == Transacts::Exec && queued.guarded {
                forward.reply = Some(Box::new(|came, _, reply| guard::write_executed(came, reply)));
            }
            let keys: Vec<&[u8]> = call.request.iter().skip(1).collect();
            if let Some(before) = guard::before(call, &keys).filter(|_| !queued.queues) {
                let (forward, requests) = guard::behind(before, call);
                let write = |out: &mut Vec<u8>| out.extend(requests);
                return self.send(call, over, Patience::Usual, write, Ends::Reply, forward);
            }
            return self.forward(call, over, Patience::Usual, Ends::Reply, forward);
        }
        let aborted = Forward {
            requests: 1,
            asks: Vec::new(),
            reply: Some(Box::new(|mut replies, _, reply| match replies.pop() {
                Some(Err(error)) => fault::error(reply, &error),
                _ => reply.error("EXECABORT", "Transaction discarded because of previous errors."),
            })),
        };
        let write = |out: &mut Vec<u8>| encode_request(out, &["DISCARD"]);
        self.send(call, over, Patience::Usual, write, Ends::Reply, aborted)
    }

    /// A subscription is alone on its way: only when it is confirmed is it known what the client
    /// may do next.
    fn subscribes(&mut self, call: &mut Call<'_>, subscribes: Subscribes) -> Route {
        let larders = (1..call.request.len()).find(|&at| is_larders(&call.request[at]));
        if let Some(at) = larders {
            return refuse_larders(call, at);
        }
        if call.behind {
            return Route::Wait;
        }
        let named = call.request.len() - 1;
        let confirmations = call.session.link.lock().subscriptions.confirmations(subscribes, named);
        // One that names nothing and has to is refused in one reply.
        let ends = Ends::Confirmations(confirmations.max(1));
        let route = self.forward(call, Over::Dedicated, Patience::Usual, ends, as_it_is());
        self.gathered.seal();
        route
    }

    /// A command that goes as it came, over whichever connection its client has.
    fn pass(&mut self, call: &mut Call<'_>) -> Route {
        if guard::names_too_many(call) {
            return refuse(call, "in a transaction a command names at most 1,024 keys");
        }
        let over = self.over(call);
        if let Some(guarded) = guard::around(call) {
            let (forward, requests) = guarded.gather();
            let write = |out: &mut Vec<u8>| out.extend(requests);
            return self.send(call, over, Patience::Usual, write, Ends::Reply, forward);
        }
        self.forward(call, over, Patience::Usual, Ends::Reply, as_it_is())
    }

    /// Over which connection an ordinary command goes.
    pub(super) fn over(&self, call: &Call<'_>) -> Over {
        let alone = self.has_connection || call.session.transaction.is_open();
        let usual = if alone { Over::Dedicated } else { Over::Shared };
        self.gathered.over().unwrap_or(usual)
    }

    fn forward(
        &mut self,
        call: &Call<'_>,
        over: Over,
        patience: Patience,
        ends: Ends,
        forward: Forward,
    ) -> Route {
        let request = call.request;
        let times = forward.requests;
        let write = |out: &mut Vec<u8>| {
            let arguments: Vec<_> = request.iter().collect();
            (0..times).for_each(|_| encode_request(out, &arguments));
        };
        self.send(call, over, patience, write, ends, forward)
    }

    /// Gathers what goes upstream.
    pub(super) fn send(
        &mut self,
        call: &Call<'_>,
        over: Over,
        patience: Patience,
        write: impl FnOnce(&mut Vec<u8>),
        ends: Ends,
        forward: Forward,
    ) -> Route {
        if self.gathered.over().is_some_and(|other| other != over) {
            return Route::Wait;
        }
        let Some(upstream) = call.service.keyspace.upstream() else {
            return Route::Here;
        };
        let begin = || Exchange {
            upstream: Arc::clone(upstream),
            link: Arc::clone(&call.session.link),
            protocol: call.session.protocol,
            over,
            patience,
            requests: Vec::new(),
            ends: Vec::new(),
            stays_open: false,
        };
        self.gathered.forward(begin, write, ends, forward);
        Route::Forwarded
    }
}

/// One request, whose reply is passed on.
fn as_it_is() -> Forward {
    Forward { requests: 1, asks: Vec::new(), reply: None }
}

/// Whether a pattern of SORT may name keys that aren't plain. `#`, and what has no star, name
/// none that depend on the elements.
fn reaches(call: &Call<'_>, pattern: &[u8]) -> bool {
    let star = pattern.iter().position(|&byte| byte == b'*');
    match star {
        Some(star) => call.service.keyspace.may_reach(&pattern[..star]),
        None => !matches!(call.service.keyspace.whose(pattern), Whose::Upstream),
    }
}

fn changes_protocol(call: &Call<'_>) -> bool {
    let version = if call.session.protocol == Protocol::Resp3 { b"3" } else { b"2" };
    call.is(0, "HELLO") && call.request.get(1).is_some_and(|asked| asked != version)
}

/// Redis's own words.
fn only_subscribes(call: &mut Call<'_>) -> Route {
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

fn refuse(call: &mut Call<'_>, reason: &str) -> Route {
    call.session.transaction.refuse();
    let name = fault::shown(call.request.name()).to_uppercase();
    call.reply.error("REFUSED", format_args!("{name}: {reason}"));
    Route::Written
}

fn refuse_larders(call: &mut Call<'_>, at: usize) -> Route {
    call.session.transaction.refuse();
    let name = shown(&call.request[at]);
    let message = "what begins with larder: or larder. is larder's own in the shared Redis";
    call.reply.error("REFUSED", format_args!("{message} (key {name})"));
    Route::Written
}

fn refuse_key(call: &mut Call<'_>, declared: &Declared, at: usize, reason: &str) -> Route {
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
