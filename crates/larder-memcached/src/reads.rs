//! Plain reads, and questions for leases.

use std::time::Duration;

use larder_core::Result;
use larder_core::shared::{LeaseAsk, SharedEntry, SharedRead};
use tokio::time::Instant;

use crate::codec::{Ask, Request};
use crate::error;
use crate::judge::{self, Verdict};
use crate::name::Name;
use crate::tier::MemcachedTier;
use crate::token::{Over, Token, lease_seconds};

impl MemcachedTier {
    /// Plain reads of one server's keys.
    pub(crate) async fn read(
        &self,
        server: usize,
        part: Vec<(usize, Name)>,
    ) -> Vec<(usize, Result<Option<SharedEntry>>)> {
        let server = &self.servers[server];
        let gets = part.iter().map(|(_, name)| Request::Get { name: name.clone(), ask: None });
        match server.ask(gets.collect()).await {
            Ok(answer) => part
                .into_iter()
                .zip(answer.replies)
                .map(|((at, name), reply)| (at, judge::held(server.name(), &name, reply)))
                .collect(),
            Err(error) => part.into_iter().map(|(at, _)| (at, Err(error.clone()))).collect(),
        }
    }

    /// Questions for leases on one server's keys: one round trip, and a second one for those that
    /// are to be asked again.
    pub(crate) async fn lease(
        &self,
        server: usize,
        part: Vec<(usize, Name)>,
        asks: &[LeaseAsk<'_>],
        time: Duration,
    ) -> Vec<(usize, Result<SharedRead>)> {
        let server = &self.servers[server];
        let seconds = lease_seconds(time);
        let mut results = Vec::with_capacity(part.len());
        let ask = Some(Ask { seconds, recache: false });
        let first = |(at, name): (usize, Name)| {
            let requests = vec![Request::Get { name: name.clone(), ask }];
            (at, name, requests)
        };
        let mut open: Vec<_> = part.into_iter().map(first).collect();
        for is_last in [false, true] {
            if open.is_empty() {
                break;
            }
            let requests = open.iter().flat_map(|(_, _, requests)| requests.iter().cloned());
            let answer = match server.ask_with_clock(requests.collect()).await {
                Ok(answer) => answer,
                Err(error) => {
                    results.extend(open.drain(..).map(|(at, ..)| (at, Err(error.clone()))));
                    break;
                }
            };
            let (generation, granted) = (answer.generation, answer.clock);
            let mut replies = answer.replies.into_iter();
            let mut again = Vec::new();
            for (at, name, requests) in open {
                // Of several, the last one asks.
                let reply = replies.by_ref().take(requests.len()).last();
                let verdict = reply.ok_or_else(|| error::astray(server.name())).and_then(|reply| {
                    judge::asked(server.name(), &name, asks[at].seen, seconds, reply)
                });
                let token = |cas, over| Token {
                    process: self.process,
                    generation,
                    hash: name.hash(),
                    cas,
                    granted,
                    over,
                };
                let read = match verdict {
                    Ok(Verdict::Hit(entry)) => SharedRead::Hit(entry),
                    Ok(Verdict::Miss(cas)) => SharedRead::Miss(token(cas, Over::Stub).lease()),
                    Ok(Verdict::Stale(entry, cas, over)) => {
                        SharedRead::Stale { entry, lease: token(cas, over).lease() }
                    }
                    Ok(Verdict::Busy(retry_after)) => SharedRead::Busy { retry_after, stale: None },
                    Ok(Verdict::Won(cas, stale, over)) => {
                        let left = server.watch.left(name.hash(), cas, time, Instant::now());
                        if left.is_none() && !is_last {
                            let requests = judge::take_over(&name, cas, over, seconds);
                            again.push((at, name, requests.to_vec()));
                            continue;
                        }
                        SharedRead::Busy { retry_after: left.unwrap_or_default(), stale }
                    }
                    Ok(Verdict::Again(requests)) if !is_last => {
                        again.push((at, name, requests));
                        continue;
                    }
                    // Somebody came in between, and now has it.
                    Ok(Verdict::Again(_)) => {
                        SharedRead::Busy { retry_after: Duration::ZERO, stale: None }
                    }
                    Err(error) => {
                        results.push((at, Err(error)));
                        continue;
                    }
                };
                results.push((at, Ok(read)));
            }
            open = again;
        }
        results
    }
}
