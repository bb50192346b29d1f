//! Hits: what everybody holds, asked for by wrk.

use std::io::ErrorKind;
use std::process::Command;

use larder_test::Origin;
use larder_test::origin::Response;

use super::Extent;
use super::cores::Cores;
use super::servers::{Contender, Servers, missing};
use crate::figures::{median, range};

/// The objects: what they are called, their path, and their size.
const OBJECTS: [(&str, &str, usize); 2] =
    [("1 KB", "/small", 1 << 10), ("100 KB", "/large", 100 << 10)];

const CONNECTIONS: &str = "64";

/// larder beside a peer, more is better: requests in a second, and the peer's CPU time for a
/// request to its own.
pub(super) struct Ratios {
    pub(super) throughput: f64,
    pub(super) cpu: f64,
}

/// One server in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    requests_per_second: f64,
    cpu_us: f64,
}

/// Prints a table, and returns the worse ratios of both sizes.
pub(super) fn measure(
    servers: &Servers,
    origin: &Origin,
    cores: &Cores,
    extent: Extent,
) -> Result<Vec<(&'static str, Ratios)>, String> {
    let contenders = servers.all();
    println!(
        "Hits, one core for each server, {CONNECTIONS} connections, {} rounds in turn\n",
        extent.rounds
    );
    println!("object  server   requests/s (median, range)        CPU us/request (median, range)");
    let mut worst: Vec<(&'static str, Ratios)> = Vec::new();
    for (size, path, bytes) in OBJECTS {
        let object = Response::new("application/octet-stream", vec![b'x'; bytes]);
        origin.put(path, object.header("Cache-Control", "max-age=86400"));
        // One round that isn't counted: everybody holds it afterwards.
        for contender in contenders {
            run(contender, path, cores, 1)?;
        }
        let asked = origin.count(path);
        let mut rounds = vec![Vec::new(); contenders.len()];
        for _ in 0..extent.rounds {
            for (contender, rounds) in contenders.iter().zip(&mut rounds) {
                rounds.push(run(*contender, path, cores, extent.seconds)?);
            }
        }
        if origin.count(path) != asked {
            return Err(format!("{path} wasn't held: the origin was asked again"));
        }
        for (contender, rounds) in contenders.iter().zip(&rounds) {
            row(size, contender.name, rounds);
        }
        let ours = &rounds[0];
        for (peer, theirs) in contenders.iter().zip(&rounds).skip(1) {
            let ratios = Ratios::of(ours, theirs);
            match worst.iter_mut().find(|(name, _)| *name == peer.name) {
                Some((_, worst)) => worst.worsen(&ratios),
                None => worst.push((peer.name, ratios)),
            }
        }
    }
    println!();
    Ok(worst)
}

impl Ratios {
    fn of(ours: &[Round], theirs: &[Round]) -> Self {
        let ratio = |ratio: fn(&Round, &Round) -> f64| {
            let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ratio(ours, theirs));
            median(&ratios.collect::<Vec<_>>())
        };
        Self {
            throughput: ratio(|ours, theirs| ours.requests_per_second / theirs.requests_per_second),
            cpu: ratio(|ours, theirs| theirs.cpu_us / ours.cpu_us),
        }
    }

    fn worsen(&mut self, other: &Self) {
        self.throughput = self.throughput.min(other.throughput);
        self.cpu = self.cpu.min(other.cpu);
    }
}

/// One run of wrk against one server.
fn run(contender: Contender<'_>, path: &str, cores: &Cores, seconds: u32) -> Result<Round, String> {
    let Contender { name, server, port } = contender;
    let before = server.cpu_seconds();
    let output = cores.for_clients(|| {
        Command::new("wrk")
            .args(["-t", "1", "-c", CONNECTIONS, "-d", &format!("{seconds}s")])
            .arg(format!("http://127.0.0.1:{port}{path}"))
            .output()
    })?;
    let cpu_seconds = server.cpu_seconds() - before;
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing("wrk", "wrk"),
        _ => format!("wrk can't be run: {error}"),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text, cpu_seconds).ok_or_else(|| format!("{name} by wrk: {text}"))
}

/// What wrk says of a run in which everything was answered with a 200.
fn read(text: &str, cpu_seconds: f64) -> Option<Round> {
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return None;
    }
    let requests: f64 =
        text.split_once(" requests in ")?.0.split_whitespace().last()?.parse().ok()?;
    let rate = text.split_once("Requests/sec:")?.1.split_whitespace().next()?;
    Some(Round { requests_per_second: rate.parse().ok()?, cpu_us: cpu_seconds * 1e6 / requests })
}

fn row(size: &str, server: &str, rounds: &[Round]) {
    let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let (rates, cpu) = (of(|round| round.requests_per_second), of(|round| round.cpu_us));
    let ((low, high), (cpu_low, cpu_high)) = (range(&rates), range(&cpu));
    println!(
        "{size:>6}  {server:<7}  {:>9.0} ({low:.0} to {high:.0})\t  {:.2} ({cpu_low:.2} to \
         {cpu_high:.2})",
        median(&rates),
        median(&cpu),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Running 1s test @ http://127.0.0.1:8080/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   501.87us    1.02ms  15.63ms   94.53%
    Req/Sec    40.63k     4.11k   45.06k    90.91%
  44451 requests in 1.10s, 52.16MB read
Requests/sec:  40410.02
Transfer/sec:     47.42MB
";

    #[test]
    fn what_wrk_says_is_read() {
        let read_ = read(SAID, 0.88902);
        assert_eq!(read_, Some(Round { requests_per_second: 40410.02, cpu_us: 20.0 }));
        let failed = SAID.replace("Transfer", "  Non-2xx or 3xx responses: 7\nTransfer");
        assert_eq!(read(&failed, 1.0), None);
        assert_eq!(read("unable to connect to 127.0.0.1:1 Connection refused", 1.0), None);
    }

    #[test]
    fn ratios_are_medians_and_the_worse_one_counts() {
        let round = |rate, cpu_us| Round { requests_per_second: rate, cpu_us };
        let (ours, theirs) =
            ([round(10.0, 3.0); 3], [round(8.0, 3.0), round(5.0, 6.0), round(5.0, 6.0)]);
        let mut ratios = Ratios::of(&ours, &theirs);
        assert_eq!((ratios.throughput, ratios.cpu), (2.0, 2.0));
        ratios.worsen(&Ratios { throughput: 1.5, cpu: 3.0 });
        assert_eq!((ratios.throughput, ratios.cpu), (1.5, 2.0));
    }
}
