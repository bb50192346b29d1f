//! Which commands go upstream, where plain keys live in a Redis, and over which connection.
//!
//! A command goes there as it came, if everything that it names is plain. What names only keys
//! of caches is executed here, and what names both is split where its replies can be merged, and
//! refused where not. It knows no reply: those are passed on, but for what `split`, `filter` and
//! `everywhere` make of them.
//!
//! Where the keys upstream live on several servers, the slots of a command's keys say which of them
//! is asked (`slots`).

mod own;
mod refuse;
mod slots;

use super::guard::Guarded;
use super::places::{Keys, blocks, sort_patterns};
use super::redis::{self, RedisCommand};
use super::way::{Shown, Way};
use super::{Call, everywhere, filter, find, guard, split, takes};
use crate::codec::Protocol;
use crate::exchange::{Ends, Exchange, Over};
use crate::keyspace::{Whose, is_larders};
use crate::reads::{Forward, Gathered};
use crate::upstream::{Patience, To};

use refuse::{only_subscribes, refuse, refuse_key, refuse_larders};
use slots::Slots;

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
    let divided = call.service.keyspace.upstream().is_some_and(|upstream| upstream.is_divided());
    let link = call.session.link.lock();
    let mut router = Router {
        has_connection: link.connection.is_some(),
        leads_to: link.slot,
        subscribed: link.subscriptions.any(),
        divided,
        gathered,
    };
    drop(link);
    match redis::find(call.request.name()) {
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
    /// The slot that its connection was opened for.
    leads_to: Option<u16>,
    subscribed: bool,
    /// Whether plain keys live on several servers.
    divided: bool,
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

    fn known(&mut self, call: &mut Call<'_>, entry: &'static RedisCommand) -> Route {
        let queues = call.session.transaction.queues;
        let pings = call.is(0, "PING");
        if self.only_subscribes(call) && !matches!(entry.way, Way::Subscribes(_)) && !pings {
            return only_subscribes(call);
        }
        match entry.way {
            Way::Refused(_) => {
                call.session.transaction.refuse();
                entry.refuse(call);
                Route::Written
            }
            Way::Answers if pings && self.only_subscribes(call) => {
                self.one(call, Over::Dedicated, Patience::Usual, To::Any, Ends::Reply)
            }
            Way::Answers if queues => self.plain(call, entry, Slots::None),
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
                Some(channel) => {
                    // Messages of one channel stay in order by going to one server. In a
                    // transaction the keys say which.
                    let slots = match queues && call.is(0, "PUBLISH") {
                        true => Slots::None,
                        false => Slots::of(call, [channel]),
                    };
                    self.plain(call, entry, slots)
                }
                None => self.plain(call, entry, Slots::None),
            },
            Way::Transaction(transacts) => match self.watched(call, entry) {
                Ok(slots) => self.transaction(call, transacts, slots),
                Err(written) => written,
            },
            Way::Shared | Way::Blocks | Way::MayBlock | Way::Split => self.by_keys(call, entry),
        }
    }

    /// Whether Redis would let this client do nothing but subscribe, end that, and leave.
    fn only_subscribes(&self, call: &Call<'_>) -> bool {
        self.subscribed && call.session.protocol == Protocol::Resp2
    }

    /// A command whose keys decide.
    fn by_keys(&mut self, call: &mut Call<'_>, entry: &'static RedisCommand) -> Route {
        let (mut of_cache, mut plain, mut slots) = (None, false, Slots::None);
        for at in entry.keys.places(&call.request) {
            match call.service.keyspace.whose(&call.request[at]) {
                Whose::Larder => return refuse_larders(call, at),
                Whose::Cache(declared) => {
                    of_cache.get_or_insert((declared, at));
                }
                Whose::Upstream => {
                    plain = true;
                    slots = slots.and(call, &call.request[at]);
                }
            }
        }
        let Some((declared, at)) = of_cache else {
            return self.plain(call, entry, slots);
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
    fn plain(&mut self, call: &mut Call<'_>, entry: &'static RedisCommand, slots: Slots) -> Route {
        if entry.keys == Keys::Sort
            && sort_patterns(&call.request).any(|pattern| reaches(call, pattern))
        {
            return refuse(call, "a pattern of BY or GET must begin as only plain keys do");
        }
        let blocks = match entry.way {
            Way::Blocks => true,
            Way::MayBlock => blocks(&call.request),
            _ => false,
        };
        let queues = call.session.transaction.queues;
        if slots == Slots::Several && !queues && split::divides(entry, call) {
            return split::split(call, self);
        }
        let to = match self.to(call, slots) {
            Ok(to) => to,
            Err(written) => return written,
        };
        if queues && self.leads_elsewhere(to) {
            let reason = "the transaction began where its key isn't, since the client has \
                          subscribed there, or said too much without a key: use another connection";
            return refuse(call, reason);
        }
        if queues {
            // In a transaction nothing blocks.
            let well_formed = takes(entry.arity, call.request.len());
            let ends = if well_formed { Ends::Foreseen("QUEUED") } else { Ends::Reply };
            return self.pass(call, Over::Dedicated, to, ends);
        }
        if blocks {
            return self.blocks(call, to);
        }
        let over = self.over(call, to);
        let everywhere = self.divided && slots == Slots::None;
        match everywhere.then(|| everywhere::everywhere(call)).flatten() {
            Some(merge) => self.send(
                call,
                (over, Patience::Usual),
                |exchange| exchange.push(&arguments(call), To::All, Ends::Reply),
                Forward { reply: Some(everywhere::reply(merge)), ..Forward::default() },
            ),
            None => self.pass(call, over, to, Ends::Reply),
        }
    }

    /// A command that goes as it came, with what goes beside it where its keys may have companions.
    fn pass(&mut self, call: &mut Call<'_>, over: Over, to: To, ends: Ends) -> Route {
        if guard::names_too_many(call) {
            return refuse(call, "in a transaction a command names at most 1,024 keys");
        }
        match guard::around(call) {
            Some(guarded) => self.guarded(call, over, to, (guarded, ends)),
            None => self.one(call, over, Patience::Usual, to, ends),
        }
    }

    /// A command that goes as it came, and what goes beside it.
    fn guarded(
        &mut self,
        call: &Call<'_>,
        over: Over,
        to: To,
        (guarded, ends): (Guarded, Ends),
    ) -> Route {
        let forward = guarded.forward();
        let write = |exchange: &mut Exchange| guarded.push(exchange, &arguments(call), to, ends);
        self.send(call, (over, Patience::Usual), write, forward)
    }

    fn names(&mut self, call: &mut Call<'_>, names: Shown) -> Route {
        let over = self.over(call, To::Any);
        let (write, reply) = filter::filter(call, names, self.divided);
        self.send(call, (over, Patience::Usual), write, Forward { reply, ..Forward::default() })
    }

    /// Over which connection an ordinary command goes. Where keys live on several servers only
    /// those of the slot that is watched go over the client's own.
    pub(super) fn over(&self, call: &Call<'_>, to: To) -> Over {
        let transaction = call.session.transaction;
        if self.divided {
            let watched = transaction.slot.is_some_and(|slot| to == To::Slot(slot));
            let alone = transaction.queues || (watched && transaction.is_open());
            return if alone { Over::Dedicated } else { Over::Shared };
        }
        self.over_of_transaction(call)
    }

    /// Sends a command as it came.
    fn one(
        &mut self,
        call: &Call<'_>,
        over: Over,
        patience: Patience,
        to: To,
        ends: Ends,
    ) -> Route {
        let write = |exchange: &mut Exchange| exchange.push(&arguments(call), to, ends);
        self.send(call, (over, patience), write, Forward::default())
    }

    /// Gathers what goes upstream.
    pub(super) fn send(
        &mut self,
        call: &Call<'_>,
        how: (Over, Patience),
        write: impl FnOnce(&mut Exchange),
        forward: Forward,
    ) -> Route {
        if self.gathered.over().is_some_and(|other| other != how.0) {
            return Route::Wait;
        }
        let Some(upstream) = call.service.keyspace.upstream() else {
            return Route::Here;
        };
        let session = &call.session;
        let begin = || Exchange::new(upstream, &session.link, session.protocol, how);
        self.gathered.forward(begin, write, forward);
        Route::Forwarded
    }
}

/// The words of a command, as it came.
pub(super) fn arguments<'a>(call: &Call<'a>) -> Vec<&'a [u8]> {
    call.request.iter().collect()
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
