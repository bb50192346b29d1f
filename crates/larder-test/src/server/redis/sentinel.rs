//! A real Redis under sentinels: a primary, a replica, and who watches them.
//!
//! It knows how to make one and whom the sentinels hold for the primary; what they decide is
//! theirs.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Redis;
use crate::server::{Place, Program, Server, find_program};
use crate::{Reply, RespClient, missing, until};

/// The name that the sentinels know the primary by.
const NAME: &str = "mymaster";
/// How long a server may be silent until a sentinel holds it for dead.
const DOWN_AFTER_MS: u32 = 700;
/// How long a failover may take. When none succeeds, as after an election that nobody won, the
/// next one is tried after twice that.
const FAILOVER_MS_MAX: u32 = 2_000;

/// A running primary with a replica, and sentinels that put the replica in its place when it is
/// gone for less than a second.
///
/// ```
/// use larder_test::RedisSentinel;
///
/// let redis = RedisSentinel::start();
/// let (old, new) = (redis.primary().port(), redis.replica().port());
/// redis.kill_primary();
/// redis.wait_until_promoted(old);
/// assert_eq!(redis.primary().port(), new);
/// assert_eq!(redis.primary().cli(&["SET", "greeting", "hello"]), "OK");
/// ```
#[derive(Debug)]
pub struct RedisSentinel {
    servers: [Redis; 2],
    sentinels: Vec<Server>,
}

impl RedisSentinel {
    /// Starts one with a single sentinel, which decides alone.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed, or something doesn't come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(1)
    }

    /// Starts one with so many sentinels, of which most must agree, and waits until they know
    /// each other and the replica.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed, or something doesn't come up; when there is no sentinel.
    #[must_use]
    pub fn start_with(sentinels: usize) -> Self {
        assert!(sentinels > 0, "somebody must watch");
        let program = find_program("redis-server").unwrap_or_else(|| missing("redis-server"));
        // A replica gets its copy at once: nobody else will ask for one.
        let primary = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let replica = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        replica.order(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        until("the replica has its copy", || replica.replicates("master_link_status:up"));
        let watch = |_| {
            let (program, primary) = (program.clone(), primary.port());
            let quorum = sentinels / 2 + 1;
            Server::start(SentinelProgram { program, primary, quorum })
        };
        let sentinels = (0..sentinels).map(watch).collect();
        let all = Self { servers: [primary, replica], sentinels };
        all.wait_until_watched();
        all
    }

    /// `redis+sentinel://127.0.0.1:PORT,…/mymaster` with all sentinels.
    #[must_use]
    pub fn url(&self) -> String {
        let address = |sentinel: &Server| format!("127.0.0.1:{}", sentinel.port());
        let addresses: Vec<String> = self.sentinels.iter().map(address).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
    }

    /// The server that the sentinels hold for the primary; it may be dead.
    ///
    /// # Panics
    ///
    /// When no sentinel runs.
    #[must_use]
    pub fn primary(&self) -> &Redis {
        let named = self.running().next().map(named).expect("a sentinel runs");
        let mut servers = self.servers.iter();
        servers.find(|server| server.port() == named).expect("they watch our servers")
    }

    /// The other one.
    ///
    /// # Panics
    ///
    /// When no sentinel runs.
    #[must_use]
    pub fn replica(&self) -> &Redis {
        let primary = self.primary().port();
        let mut servers = self.servers.iter();
        servers.find(|server| server.port() != primary).expect("there are two")
    }

    /// The sentinels, to be killed, paused and restarted as any server.
    #[must_use]
    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// Kills the primary, as a crash would. The replica takes its place after a second or two:
    /// [`wait_until_promoted`](Self::wait_until_promoted).
    ///
    /// # Panics
    ///
    /// When it isn't running.
    pub fn kill_primary(&self) {
        self.primary().kill();
    }

    /// Waits until every sentinel that runs names another primary than the one with the port
    /// `old`, and that one takes writes.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds.
    pub fn wait_until_promoted(&self, old: u16) {
        until("the replica has taken the primary's place", || {
            self.running().all(|sentinel| named(sentinel) != old)
                && self.primary().replicates("role:master")
        });
    }

    /// Waits until the replica, restarted perhaps after it was the primary, has its copy. The
    /// sentinels see to it that it knows its part.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds.
    pub fn wait_until_replicated(&self) {
        until("the replica has its copy", || self.replica().replicates("master_link_status:up"));
    }

    /// Waits until each sentinel knows the others and the replica.
    fn wait_until_watched(&self) {
        // More often than the seconds that a real network needs; one that can't be told takes its
        // time. A replica's last word may be five pings old, and while its primary is down it is
        // asked once a second; and a ping must be well within what counts as silence.
        let periods = ["INFO-PERIOD", "500", "PING-PERIOD", "250", "PUBLISH-PERIOD", "250"];
        for sentinel in self.running() {
            let _ = ask(sentinel, &[&["SENTINEL", "DEBUG"], &periods[..]].concat());
        }
        let count = |sentinel, what| match ask(sentinel, &["SENTINEL", what, NAME]) {
            Reply::Array(all) => all.len(),
            _ => 0,
        };
        let others = self.sentinels.len() - 1;
        until("the sentinels know whom they watch, and each other", || {
            self.running().all(|sentinel| {
                count(sentinel, "SENTINELS") == others
                    && count(sentinel, "REPLICAS") == 1
                    && ask(sentinel, &["SENTINEL", "CKQUORUM", NAME]).text().starts_with("OK")
            })
        });
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        self.sentinels.iter().filter(|sentinel| sentinel.is_running() && !sentinel.is_paused())
    }
}

fn ask(sentinel: &Server, arguments: &[&str]) -> Reply {
    RespClient::connect(("127.0.0.1", sentinel.port())).command(arguments)
}

/// The port of the primary that a sentinel names.
fn named(sentinel: &Server) -> u16 {
    let reply = ask(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
    let port = match &reply {
        Reply::Array(address) => address.get(1).and_then(|port| port.text().parse().ok()),
        _ => None,
    };
    port.unwrap_or_else(|| panic!("no address: {reply:?}"))
}

struct SentinelProgram {
    program: PathBuf,
    primary: u16,
    quorum: usize,
}

impl SentinelProgram {
    fn config(&self, place: &Place) -> String {
        let mut config = format!("port {}\nbind 127.0.0.1\n", place.port());
        config += &format!("dir {}\n", place.folder().display());
        let Self { primary, quorum, .. } = self;
        for setting in [
            format!("monitor {NAME} 127.0.0.1 {primary} {quorum}"),
            format!("down-after-milliseconds {NAME} {DOWN_AFTER_MS}"),
            format!("failover-timeout {NAME} {FAILOVER_MS_MAX}"),
        ] {
            writeln!(config, "sentinel {setting}").expect("a String takes any text");
        }
        config
    }
}

impl Program for SentinelProgram {
    fn name(&self) -> &'static str {
        "Redis Sentinel"
    }

    fn command(&self, place: &Place) -> Command {
        let file = place.folder().join("sentinel.conf");
        // The sentinel keeps in it what it has learnt, which a restart must not take away.
        let first = format!("port {}\n", place.port());
        if !fs::read_to_string(&file).is_ok_and(|kept| kept.contains(&first)) {
            let written = fs::write(&file, self.config(place));
            written.expect("a file can be written in the server's folder");
        }
        let mut command = Command::new(&self.program);
        command.arg(file).arg("--sentinel");
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.log().contains("+monitor ")
    }
}
