//! The servers of a cluster, each with its own connections, and which of them has which slot.
//!
//! The map is drawn when it is first needed and whenever it proves wrong, four times a second at
//! most; in between, servers that a slot has left say where it went.

mod run;

use larder_core::sync::{AtomicUsize, Mutex, Ordering};
use larder_core::{Error, ErrorKind, Result};
use larder_redis::{Address, Servers, SlotMap};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::lanes::Lanes;
use super::options::Options;
use super::seat::Seat;

/// The servers of a cluster.
pub(super) struct Cluster {
    servers: Servers,
    options: Options,
    runtime: Handle,
    map: Mutex<SlotMap<Lanes>>,
    /// One draws the map anew, the others wait.
    drawing: Semaphore,
    /// Whose turn it is, where anybody will do.
    turn: AtomicUsize,
}

impl Cluster {
    pub(super) fn new(servers: &Servers, options: &Options, runtime: Handle) -> Self {
        Self {
            servers: servers.clone(),
            options: options.clone(),
            runtime,
            map: Mutex::new(SlotMap::new()),
            drawing: Semaphore::new(1),
            turn: AtomicUsize::new(0),
        }
    }

    /// The first slot beyond this one that is a server's first.
    pub(super) fn next_first(&self, slot: u16) -> Option<u16> {
        self.map.lock().next_first(slot)
    }

    /// Where the server sits that has this slot, or any.
    pub(super) async fn seat(&self, slot: Option<u16>) -> Result<Seat> {
        self.draw_first().await;
        let owner = match slot {
            Some(slot) => self.map.lock().owner(slot),
            None => self.whoever(),
        };
        owner.map(|(_, lanes)| lanes.seat().clone()).ok_or_else(nobody)
    }

    /// A server didn't answer, or couldn't be reached: the map may be old.
    pub(super) async fn doubt(&self) {
        let version = self.map.lock().version();
        // What can't be drawn is drawn when it is asked for next.
        let _ = self.draw(version).await;
    }

    /// Heeds what the server at `asked` said about a slot that isn't its own any more.
    pub(super) fn hear(&self, asked: &Address, error: &[u8]) {
        if let Some(Moved::ForGood(slot, address)) = Moved::read(error, asked) {
            self.map.lock().moved(slot, &address, self.make());
        }
    }

    /// Draws the map if that was never done. If it can't be, nobody has a slot.
    async fn draw_first(&self) {
        if self.map.lock().version() == 0 {
            let _ = self.draw(0).await;
        }
    }

    /// Draws the map anew, unless somebody else has done so since it had that version, or tried
    /// just now.
    async fn draw(&self, version: u64) -> Result<()> {
        let _turn = self.drawing.acquire().await.expect("the semaphore is never closed");
        let known: Vec<Address> = {
            let map = self.map.lock();
            if !map.is_worth_drawing(version) {
                return Ok(());
            }
            map.addresses().cloned().collect()
        };
        let ranges = self.servers.slots(&known).await;
        let mut map = self.map.lock();
        map.tried();
        map.redraw(&ranges?, self.make());
        Ok(())
    }

    /// Another server each time.
    fn whoever(&self) -> Option<(Address, Lanes)> {
        let owners: Vec<_> = self.map.lock().owners().collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(owners.len())?;
        owners.into_iter().nth(turn)
    }

    /// How a server that is new is made.
    fn make(&self) -> impl Fn(&Address) -> Lanes + '_ {
        |address| {
            let seat = Seat::at(address, &self.servers, &self.options);
            Lanes::new(seat, self.runtime.clone())
        }
    }
}

/// Where a server sends who asked it.
enum Moved {
    /// The slot is there.
    ForGood(u16, Address),
    /// The slot is on its way there, and the key isn't here any more.
    OnItsWay(Address),
}

impl Moved {
    /// Reads an error, `-MOVED 3999 host:port` or `-ASK 3999 host:port`.
    fn read(error: &[u8], asked: &Address) -> Option<Self> {
        let error = std::str::from_utf8(error).ok()?.strip_prefix('-')?.trim_end();
        let (code, details) = error.split_once(' ')?;
        let address = || Servers::redirection(details, asked);
        match code {
            "MOVED" => {
                let slot = details.split(' ').next()?.parse().ok()?;
                Some(Self::ForGood(slot, address()?))
            }
            "ASK" => Some(Self::OnItsWay(address()?)),
            _ => None,
        }
    }
}

fn nobody() -> Error {
    Error::new(ErrorKind::SharedDown, "the shared Redis, a cluster, has no server for the key")
}
