//! Which core works for whom: what is started here runs where its starter ran.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A core for the server that is measured, and those for its clients.
pub(super) struct Cores {
    all: CpuSet,
    server: CpuSet,
    clients: CpuSet,
}

impl Cores {
    /// The first core for servers, and the others for clients; the same, if there is but one.
    pub(super) fn of_this_machine() -> Result<Self, String> {
        let all = sched_getaffinity(None).map_err(|error| format!("which cores? {error}"))?;
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|&number| all.is_set(number));
        let first = numbers.next().ok_or("this process may run nowhere")?;
        let (mut server, mut clients) = (CpuSet::new(), CpuSet::new());
        server.set(first);
        numbers.for_each(|number| clients.set(number));
        if clients.count() == 0 {
            println!("There is one core: servers and clients share it.\n");
            clients.set(first);
        }
        Ok(Self { all, server, clients })
    }

    /// Runs `start` on the servers' core, and so all that it starts, for good.
    pub(super) fn for_servers<T>(&self, start: impl FnOnce() -> T) -> Result<T, String> {
        self.on(&self.server, start)
    }

    /// The same on the clients' cores.
    pub(super) fn for_clients<T>(&self, start: impl FnOnce() -> T) -> Result<T, String> {
        self.on(&self.clients, start)
    }

    fn on<T>(&self, cores: &CpuSet, start: impl FnOnce() -> T) -> Result<T, String> {
        let go = |cores| sched_setaffinity(None, cores).map_err(|error| format!("cores: {error}"));
        go(cores)?;
        let started = start();
        go(&self.all)?;
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_runs_on_the_cores_of_its_kind() {
        let cores = Cores::of_this_machine().unwrap();
        let threads_cores = || std::thread::spawn(|| sched_getaffinity(None).unwrap()).join();
        assert_eq!(cores.for_servers(threads_cores).unwrap().unwrap(), cores.server);
        assert_eq!(cores.for_clients(threads_cores).unwrap().unwrap(), cores.clients);
        assert_eq!(threads_cores().unwrap(), cores.all);
        assert_eq!(cores.server.count(), 1);
    }
}
