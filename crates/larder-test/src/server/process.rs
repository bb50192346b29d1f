//! Processes: who they run as, that they die with the test, and signals to whole families.
//!
//! A server such as Postgres has a process per connection, in process groups of their own, so
//! families are found by who is whose parent, in `/proc`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::Instant;

use rustix::process::{Pid, geteuid, kill_process};

use crate::missing;
use crate::patience::{BETWEEN_LOOKS, PATIENCE};

pub use rustix::process::Signal;

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Somebody to run as who isn't root: nobody else when the test isn't run by root (`None`),
    /// otherwise `postgres`, or else `nobody`.
    ///
    /// # Panics
    ///
    /// When root runs the test on a machine that has neither.
    #[must_use]
    pub fn unprivileged() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
        let user = ["postgres", "nobody"].into_iter().find_map(|name| Self::find(&users, name));
        Some(user.expect("one of the users postgres and nobody exists"))
    }

    fn find(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid })
    }

    /// The number that the system knows this user by.
    pub(super) const fn uid(self) -> u32 {
        self.uid
    }

    /// Gives `path` to this user.
    pub(super) fn own(self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .expect("root may give a file away");
    }
}

/// `command`, run by `user`, so that it dies with the thread that starts it.
///
/// What a user's shell says about Postgres connections is forgotten: a test's server is its own.
pub(super) fn guarded(command: &Command, user: Option<User>) -> Command {
    let mut outer = Command::new("setpriv");
    // The kernel forgets the death signal when the user changes; setpriv knows the order.
    outer.args(["--pdeathsig", "KILL"]);
    if let Some(user) = user {
        outer.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
        outer.arg("--clear-groups");
    }
    outer.arg("--").arg(command.get_program()).args(command.get_args());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            outer.env_remove(name);
        }
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null());
    outer
}

/// A thread that starts processes and lives as long as this value.
///
/// "Dies with its parent" means the parent's *thread* to the kernel, and a test's thread may be
/// gone long before a server that it shares with others.
pub(super) struct Keeper {
    orders: mpsc::Sender<(Command, mpsc::Sender<std::io::Result<Child>>)>,
}

impl Keeper {
    pub(super) fn new() -> Self {
        let (orders, inbox) = mpsc::channel::<(Command, mpsc::Sender<_>)>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The receiver waits for the answer until it comes.
                let _ = answer.send(command.spawn());
            }
        });
        Self { orders }
    }

    pub(super) fn spawn(&self, command: Command) -> Child {
        let (answer, inbox) = mpsc::channel();
        self.orders.send((command, answer)).expect("the thread lives as long as this value");
        let child = inbox.recv().expect("every order is answered");
        child.unwrap_or_else(|_| missing("setpriv"))
    }
}

/// Sends `signal` to one process. One that is gone is no error.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Stops a process and all that descend from it, and waits until none of them runs.
///
/// The eldest first: a parent that stands still starts no more children.
pub(super) fn stop_tree(root: u32) {
    let halt = |pid| {
        signal(pid, Signal::STOP);
        wait_while(|| threads(pid).any(|state| !matches!(state, 'T' | 'Z' | 'X')));
    };
    halt(root);
    let mut halted = 0;
    // A child may have started another one just before it stood still.
    loop {
        let family = descendants(root);
        if family.len() == halted {
            return;
        }
        halted = family.len();
        family.into_iter().for_each(halt);
    }
}

/// Whether a process has been stopped from running.
pub(super) fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state == 'T')
}

/// Lets a process and all that descend from it run again.
pub(super) fn resume_tree(root: u32) {
    // The youngest first: a parent that runs may bury its children.
    for pid in descendants(root).into_iter().rev() {
        signal(pid, Signal::CONT);
    }
    signal(root, Signal::CONT);
}

/// Kills a process and all that descend from it, and waits until none of them can act.
pub(super) fn kill_tree(mut child: Child) {
    // Stopped first, nobody can start another process between the look and the kill.
    stop_tree(child.id());
    let family = descendants(child.id());
    signal(child.id(), Signal::KILL);
    for &pid in &family {
        signal(pid, Signal::KILL);
    }
    // A child that can't be waited for is gone.
    let _ = child.wait();
    wait_while(|| family.iter().any(|&pid| acts(pid)));
}

/// Waits as long as `busy` says so, but not for ever: what follows has its own way to notice.
fn wait_while(busy: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while busy() && Instant::now() < deadline {
        sleep(BETWEEN_LOOKS);
    }
}

/// The CPU time of a process and of all that descend from it.
pub(super) fn cpu_seconds_of_tree(root: u32) -> f64 {
    let family = descendants(root).into_iter().chain([root]);
    // One that has just ended has used what nobody can be told.
    family.filter_map(cpu_seconds).sum()
}

/// What all threads of a process have used: the 14th and 15th field, in ticks of 10 ms.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Option<Vec<f64>> = ticks.map(|field| field.parse().ok()).collect();
    Some(ticks?.iter().sum::<f64>() / 100.0)
}

/// All processes that descend from `root`, parents before their children.
fn descendants(root: u32) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = processes().collect();
    let mut family = vec![root];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    family.split_off(1)
}

/// Every process with its parent.
fn processes() -> impl Iterator<Item = (u32, u32)> {
    let entries = fs::read_dir("/proc").expect("/proc is there: the servers need Linux");
    entries.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, stat(pid)?.1))
    })
}

/// Whether any of the process's threads isn't just waiting to be buried.
fn acts(pid: u32) -> bool {
    threads(pid).any(|state| !matches!(state, 'Z' | 'X'))
}

/// The state of each thread of a process. The process's own is that of its first thread, which may
/// have ended or stopped while the others still run and hold what is open.
fn threads(pid: u32) -> impl Iterator<Item = char> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| Some(stat_in(&entry.ok()?.path())?.0))
}

/// A process's state and parent.
fn stat(pid: u32) -> Option<(char, u32)> {
    stat_in(Path::new(&format!("/proc/{pid}")))
}

/// A process's or a thread's state and parent: the fields after its name, which may hold anything.
fn stat_in(folder: &Path) -> Option<(char, u32)> {
    let text = fs::read_to_string(folder.join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
