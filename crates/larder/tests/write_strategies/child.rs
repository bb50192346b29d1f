//! The process that is killed: this test program itself, with its place in its environment.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::mode::Mode;
use crate::process::{Place, Process};
use crate::sink::Step;

const PLACE: &str = "LARDER_PLACE_OF_CHILD";
/// What it says where it stands still. What the test program says for itself is no such line.
const REACHED: &str = ": reached .";

pub(crate) struct Doomed {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Doomed {
    /// Starts one that writes `new` under this key, and stands still at this step.
    pub(crate) fn start(place: &Place, id: u64, step: Step) -> Self {
        let Place { mode, cache, database, tier, journal, .. } = place;
        let (mode, journal) = (mode.number(), journal.as_deref().unwrap());
        let committed = u8::from(step == Step::Committed);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::child", "--nocapture", "--test-threads=1"])
            .env(PLACE, format!("{mode} {cache} {tier} {id} {committed} {journal} {database}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits until it stands still, and kills it.
    pub(crate) fn kill(mut self) {
        let mut lines = (&mut self.output).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == REACHED), "it ended before it was killed");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reached() {
    let line = format!("\n{REACHED}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Does nothing when it is a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(place) = env::var(PLACE) else { return };
    let words: Vec<&str> = place.splitn(7, ' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let (id, stops_in_sink) = (number(3), number(4) == 1);
    let port = u16::try_from(number(2)).unwrap();
    let place = Place {
        mode: Mode::numbered(number(0)),
        cache: words[1].to_owned(),
        database: words[6].to_owned(),
        tier: port,
        bus: port,
        journal: Some(words[5].to_owned()),
    };
    let process = Process::open(&place, stops_in_sink.then_some(reached)).await.unwrap();
    process.joined().await;
    process.hold(id).await;
    process.write(id, "new").await;
    if stops_in_sink {
        process.apply().await;
    }
    reached();
    std::future::pending::<()>().await;
}
