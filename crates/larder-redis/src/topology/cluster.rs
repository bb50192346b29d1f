//! A cluster: each key lives on the node that has its slot.
//!
//! A map says which node that is. It is drawn when it is first needed and whenever it proves
//! wrong; in between, nodes that a slot has left say where it went. A slot that is being moved is
//! in two places: what is no longer at the one is asked of the other, and what needs several keys
//! that are not all in one place waits a little.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder_core::Result;
use larder_core::sync::Mutex;
use redis::Value;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::address::Address;
use crate::connection::{Connection, Settings};
use crate::errors::{self, Meaning};
use crate::node::Node;
use crate::request::{Outcome, Reply, Request, ask};

use super::drawing;
use super::map::SlotMap;
use super::slots::{SlotRange, read_redirection, slot};

/// How often one request is asked, of other nodes or later.
const ATTEMPTS_MAX: u32 = 6;

/// How long keys that are being moved, or a cluster without a node for them, are left alone:
/// doubled each time.
const WAIT: Duration = Duration::from_millis(10);

/// The nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Those that the URL names.
    seeds: Vec<Address>,
    settings: Arc<Settings>,
    map: Mutex<SlotMap<Node>>,
    /// One draws the map anew, the others wait.
    turn: Semaphore,
}

/// Where a request is to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    /// Of the node that has the slot.
    Owner,
    /// Of the node that the slot is on its way to.
    Heir(Address),
}

/// What comes next for a request.
enum Next {
    /// That is its outcome.
    Done(Outcome),
    /// It is asked again there, at once.
    Again(Target),
    /// It is asked again later.
    Later(Outcome),
    /// It is asked again if a new map says that it belongs elsewhere than where it was asked.
    Lost(Outcome, Option<Address>),
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Address>, settings: &Arc<Settings>) -> Self {
        Self {
            seeds,
            settings: settings.clone(),
            map: Mutex::new(SlotMap::new()),
            turn: Semaphore::new(1),
        }
    }

    /// Asks each request of its node, those of one node together, all nodes at once.
    pub(super) async fn run(&self, requests: &[Request]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = requests.iter().map(|_| Ok(None)).collect();
        let mut open: Vec<(usize, Target)> =
            (0..requests.len()).map(|at| (at, Target::Owner)).collect();
        for attempt in 0..ATTEMPTS_MAX {
            if open.is_empty() {
                break;
            }
            let version = self.map.lock().version();
            let (mut again, mut later, mut lost) = (Vec::new(), Vec::new(), Vec::new());
            for (at, next) in self.round(requests, std::mem::take(&mut open)).await {
                match next {
                    Next::Done(outcome) => outcomes[at] = outcome,
                    Next::Again(target) => again.push((at, target)),
                    Next::Later(outcome) => {
                        outcomes[at] = outcome;
                        if requests[at].is_patient || attempt == 0 {
                            later.push((at, Target::Owner));
                        }
                    }
                    Next::Lost(outcome, asked) => {
                        outcomes[at] = outcome;
                        lost.push((at, asked));
                    }
                }
            }
            if !lost.is_empty() && self.draw(version).await.is_ok() {
                let map = self.map.lock();
                let owner = |at: usize| map.owner(slot(&requests[at].name)).map(|owner| owner.0);
                // Where the new map says what the old one said, nothing is to be done.
                let changed = lost.into_iter().filter(|(at, asked)| owner(*at) != *asked);
                again.extend(changed.map(|(at, _)| (at, Target::Owner)));
            }
            if !later.is_empty() && attempt + 1 < ATTEMPTS_MAX {
                sleep(WAIT * 2_u32.pow(attempt)).await;
            }
            open.extend(again.into_iter().chain(later));
        }
        for (at, _) in open {
            if matches!(outcomes[at], Ok(None)) {
                let words = "sends requests from node to node";
                outcomes[at] = Err(errors::down(&self.settings.name, words));
            }
        }
        outcomes
    }

    async fn round(&self, requests: &[Request], open: Vec<(usize, Target)>) -> Vec<(usize, Next)> {
        let mut results = Vec::with_capacity(open.len());
        let mut groups: HashMap<(Address, bool), (Node, Vec<usize>)> = HashMap::new();
        for (at, target) in open {
            let found = match &target {
                Target::Owner => self.map.lock().owner(slot(&requests[at].name)),
                Target::Heir(heir) => Some((heir.clone(), self.map.lock().node(heir, self.make()))),
            };
            match found {
                Some((address, node)) => {
                    let asking = target != Target::Owner;
                    let group = groups.entry((address, asking));
                    group.or_insert_with(|| (node, Vec::new())).1.push(at);
                }
                None => {
                    let words = "has no node for the key";
                    let error = errors::down(&self.settings.name, words);
                    results.push((at, Next::Lost(Err(error), None)));
                }
            }
        }
        let groups = groups.into_iter().map(|((address, asking), (node, members))| async move {
            let own: Vec<&Request> = members.iter().map(|&at| &requests[at]).collect();
            let outcomes: Vec<Next> = match node.connection().await {
                // It was not asked, so it can be asked elsewhere.
                Err(error) => {
                    let lost = |_| Next::Lost(Err(error.clone()), Some(address.clone()));
                    own.iter().map(lost).collect()
                }
                Ok(connection) => {
                    let outcomes =
                        ask(&connection, &self.settings.scripts, &own, asking).await.into_iter();
                    let next = outcomes.zip(&own);
                    next.map(|(outcome, own)| self.next(own, outcome, &address)).collect()
                }
            };
            members.into_iter().zip(outcomes)
        });
        results.extend(join_all(groups).await.into_iter().flatten());
        results
    }

    /// What an outcome says about where to ask, or when.
    fn next(&self, request: &Request, outcome: Outcome, asked: &Address) -> Next {
        let Ok(Some(reply)) = &outcome else {
            // What was sent on a connection that broke may have been done.
            return Next::Done(outcome);
        };
        match reply.error() {
            Some(Meaning::Moved) => match redirection(reply, asked) {
                Some(address) => {
                    self.map.lock().moved(slot(&request.name), &address, self.make());
                    Next::Again(Target::Owner)
                }
                None => Next::Lost(outcome, Some(asked.clone())),
            },
            Some(Meaning::Ask) => match redirection(reply, asked) {
                Some(address) => Next::Again(Target::Heir(address)),
                None => Next::Done(outcome),
            },
            Some(Meaning::Torn) => Next::Later(outcome),
            Some(Meaning::Nobody | Meaning::Elsewhere) => Next::Lost(outcome, Some(asked.clone())),
            _ => Next::Done(outcome),
        }
    }

    /// Draws the map anew, unless somebody else has done so since it had that version, or tried
    /// just now.
    async fn draw(&self, version: u64) -> Result<()> {
        let _turn = self.turn.acquire().await.expect("the semaphore is never closed");
        if self.map.lock().is_worth_drawing(version) {
            let ranges = self.ask_for_map().await;
            let mut map = self.map.lock();
            map.tried();
            map.redraw(&ranges?, self.make());
        }
        Ok(())
    }

    /// The map, as the first node says that answers.
    pub(super) async fn ask_for_map(&self) -> Result<Vec<SlotRange>> {
        let known: Vec<_> = self.map.lock().addresses().cloned().collect();
        drawing::ask_for_map(&self.seeds, &known, &self.settings).await
    }

    /// How a node that is new is made.
    fn make(&self) -> impl Fn(&Address) -> Node + '_ {
        |address| Node::new(address.clone(), &self.settings)
    }

    pub(super) fn is_elsewhere(&self, name: &[u8], connection: &Connection) -> bool {
        let owner = self.map.lock().owner(slot(name));
        owner.is_some_and(|(_, node)| node.is_elsewhere(connection))
    }

    /// Every node that has slots now.
    pub(super) async fn nodes(&self) -> Result<Vec<Node>> {
        let version = self.map.lock().version();
        self.draw(version).await?;
        Ok(self.map.lock().owners().map(|(_, node)| node).collect())
    }

    /// A connection of the caller's own, to the node that has the slot of `name` now.
    pub(super) async fn another(&self, name: &[u8]) -> Result<Connection> {
        let version = self.map.lock().version();
        self.draw(version).await?;
        let owner = self.map.lock().owner(slot(name));
        match owner {
            Some((_, node)) => node.another().await,
            None => Err(errors::down(&self.settings.name, "has no node for the key")),
        }
    }
}

fn redirection(reply: &Reply, asked: &Address) -> Option<Address> {
    let error = reply.values.iter().find_map(|value| match value {
        Value::ServerError(error)
            if matches!(errors::meaning(error), Meaning::Moved | Meaning::Ask) =>
        {
            Some(error)
        }
        _ => None,
    });
    read_redirection(error?.details()?, asked)
}
