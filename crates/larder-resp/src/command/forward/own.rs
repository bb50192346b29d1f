//! What goes over a connection that its client has for itself: what blocks, transactions and
//! subscriptions.

use super::refuse::{crossslot, refuse, refuse_key, refuse_larders};
use super::slots::Slots;
use super::{Route, Router, arguments};
use crate::command::Call;
use crate::command::guard;
use crate::command::redis::RedisCommand;
use crate::command::way::{Subscribes, Topic, Transacts};
use crate::exchange::{Ends, Exchange, Over};
use crate::fault;
use crate::keyspace::{Whose, is_larders};
use crate::reads::Forward;
use crate::upstream::{Patience, To};

impl Router<'_> {
    pub(super) fn blocks(&mut self, call: &mut Call<'_>, to: To) -> Route {
        if self.subscribed {
            return refuse(call, "who has subscribed can't block: use another connection");
        }
        if call.behind {
            return Route::Wait;
        }
        if self.leads_elsewhere(to) {
            return refuse(
                call,
                "who watches keys of another slot can't block: use another connection",
            );
        }
        let route = self.one(call, Over::Dedicated, Patience::Endless, to, Ends::Reply);
        self.gathered.seal();
        route
    }

    /// The slots of the keys of a command that belongs to a transaction: those to be watched, which
    /// must be plain.
    pub(super) fn watched(
        &self,
        call: &mut Call<'_>,
        entry: &'static RedisCommand,
    ) -> Result<Slots, Route> {
        let mut slots = Slots::None;
        for at in entry.keys.places(&call.request) {
            match call.service.keyspace.whose(&call.request[at]) {
                Whose::Larder => return Err(refuse_larders(call, at)),
                Whose::Cache(declared) => {
                    let reason = "only plain keys can be watched: this one belongs to the cache";
                    return Err(refuse_key(call, declared, at, reason));
                }
                Whose::Upstream => slots = slots.and(call, &call.request[at]),
            }
        }
        Ok(slots)
    }

    pub(super) fn transaction(
        &mut self,
        call: &mut Call<'_>,
        transacts: Transacts,
        slots: Slots,
    ) -> Route {
        let named = call.request.len();
        let well_formed = if transacts == Transacts::Watch { named > 1 } else { named == 1 };
        let queued = call.session.transaction;
        let begins = matches!(transacts, Transacts::Watch | Transacts::Multi);
        let over = match begins && well_formed {
            true => Over::Dedicated,
            false => self.over_of_transaction(call),
        };
        let open = call.session.transaction.is_open();
        // Where keys live on several servers the next transaction may be another one's.
        let another = self.divided && begins && !open && self.gathered.over().is_some();
        if another || self.gathered.over().is_some_and(|other| other != over) {
            return Route::Wait;
        }
        let to = match self.to(call, slots) {
            Ok(to) => to,
            Err(written) => return written,
        };
        if well_formed && begins && !queued.queues && self.leads_elsewhere(to) {
            return refuse(call, "who has subscribed can't watch here: use another connection");
        }
        if !well_formed {
            // Redis refuses it, which poisons a transaction there as well.
            return self.pass(call, over, to, Ends::Reply);
        }
        if queued.queues && transacts == Transacts::Unwatch {
            return self.pass(call, over, to, Ends::Foreseen("QUEUED"));
        }
        // Where companions began to be while it was being queued, it would be executed unguarded.
        // Who only fears that they did, since the bus stands still, must not abort it for that.
        if queued.queues && !queued.guarded && guard::is_known(call) {
            call.session.transaction.refuse();
        }
        let poisoned = call.session.transaction.goes_on(transacts);
        if let (Transacts::Watch, To::Slot(slot)) = (transacts, to) {
            call.session.transaction.slot = Some(slot);
        }
        let foreseen = transacts == Transacts::Multi && !queued.queues;
        if foreseen {
            call.session.transaction.guarded = guard::is_needed(call);
        }
        if !poisoned {
            if let Some(guarded) = guard::before_watch(call).filter(|_| !queued.queues) {
                return self.guarded(call, over, to, (guarded, Ends::Reply));
            }
            let ends = if foreseen { Ends::Foreseen("OK") } else { Ends::Reply };
            let mut forward = Forward::default();
            if transacts == Transacts::Exec && queued.guarded {
                forward.reply = Some(Box::new(|came, _, reply| guard::write_executed(came, reply)));
            }
            let write = |exchange: &mut Exchange| exchange.push(&arguments(call), to, ends);
            return self.send(call, (over, Patience::Usual), write, forward);
        }
        let aborted = Forward {
            asks: Vec::new(),
            reply: Some(Box::new(|mut replies, _, reply| match replies.pop() {
                Some(Err(error)) => fault::error(reply, &error),
                _ => reply.error("EXECABORT", "Transaction discarded because of previous errors."),
            })),
        };
        let write = |exchange: &mut Exchange| exchange.push(&["DISCARD"], to, Ends::Reply);
        self.send(call, (over, Patience::Usual), write, aborted)
    }

    /// A subscription is alone on its way: only when it is confirmed is it known what the client
    /// may do next.
    pub(super) fn subscribes(&mut self, call: &mut Call<'_>, subscribes: Subscribes) -> Route {
        let larders = (1..call.request.len()).find(|&at| is_larders(&call.request[at]));
        if let Some(at) = larders {
            return refuse_larders(call, at);
        }
        if call.behind {
            return Route::Wait;
        }
        let slots = match subscribes.to {
            Topic::Shards => Slots::of(call, call.request.iter().skip(1)),
            Topic::Channels | Topic::Patterns => Slots::None,
        };
        let Some(to) = slots.to() else { return crossslot(call) };
        if self.leads_elsewhere(to) {
            let reason = "its channels are on another server than what was subscribed to or \
                          watched before: use another connection";
            return refuse(call, reason);
        }
        let named = call.request.len() - 1;
        let confirmations = call.session.link.lock().subscriptions.confirmations(subscribes, named);
        // One that names nothing and has to is refused in one reply.
        let ends = Ends::Confirmations(confirmations.max(1));
        let route = self.one(call, Over::Dedicated, Patience::Usual, to, ends);
        self.gathered.seal();
        route
    }

    /// Over which connection goes what ends a transaction, or belongs to it.
    pub(super) fn over_of_transaction(&self, call: &Call<'_>) -> Over {
        let alone = self.has_connection || call.session.transaction.is_open();
        let usual = if alone { Over::Dedicated } else { Over::Shared };
        self.gathered.over().unwrap_or(usual)
    }
}
