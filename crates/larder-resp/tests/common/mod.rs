//! What the tests of the commands have in common: a server without a socket, and a client that
//! talks to one of its sessions.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Clock, Key, KeyTemplate, LoadContext, LoadError, Result, Source, Value};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, Guard, GuardBounds, Plain, memory_tier};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};
use larder_resp::codec::{Reply, ReplyLimits, decode_reply, encode_request};
use larder_resp::key_log::Note;
use larder_resp::{Declared, Host, KeyLog, Keyspace, Next, Pool, PoolName, Service, Session};
use larder_test::{ManualClock, TestSource};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const S: Duration = Duration::from_secs(1);

/// How much of a password-less server with plain keys is to be different.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) password: Option<&'static str>,
    pub(crate) with_plain: bool,
    pub(crate) bounds: Bounds,
    /// Whether plain keys are held apart: by which policy, which of them may be evicted, and
    /// within which bounds.
    pub(crate) plain_apart: Option<(PolicyKind, Candidates, Bounds)>,
    pub(crate) guard: GuardBounds,
    pub(crate) stale_for: Duration,
    /// The templates of the caches; each is named by what stands before its first colon.
    pub(crate) templates: &'static [&'static str],
    /// Which part of the keys is logged, if any.
    pub(crate) sample: Option<f64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            password: None,
            with_plain: true,
            bounds: Bounds::bytes(256 << 20),
            plain_apart: None,
            guard: GuardBounds::default(),
            stale_for: Duration::ZERO,
            templates: &["user:{id:int}", "note:{name:text}"],
            sample: None,
        }
    }
}

/// A server that promises ten seconds, and what stands behind it.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    /// The sources of the caches, in the order of their templates.
    pub(crate) sources: Vec<TestSource<Key, Value>>,
    pub(crate) service: Arc<Service>,
    /// What is noted for the key log.
    pub(crate) notes: Option<Receiver<Note>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    /// A server on the current runtime.
    pub(crate) fn with(setup: Setup) -> Self {
        let clock = ManualClock::new();
        let sources: Vec<_> = setup.templates.iter().map(|_| rows()).collect();
        let (service, notes) = logged_service(Arc::new(clock.clone()), &sources, setup);
        Self { clock, sources, service: Arc::new(service), notes }
    }

    /// The source of the first cache, whose keys are `user:{id:int}`.
    pub(crate) fn users(&self) -> &TestSource<Key, Value> {
        &self.sources[0]
    }

    /// The source of the second cache, whose keys are `note:{name:text}`.
    pub(crate) fn notes(&self) -> &TestSource<Key, Value> {
        &self.sources[1]
    }

    /// How many questions all sources were asked.
    pub(crate) fn questions(&self) -> usize {
        self.sources.iter().map(|source| source.loads() + source.batches().len()).sum()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.service)
    }
}

/// A source in which every key has a row, but those that end with three zeros.
fn rows() -> TestSource<Key, Value> {
    TestSource::answering(|key: &Key| {
        let key = key.as_bytes();
        (!key.ends_with(b"000")).then(|| Value::raw([b"row of ", key].concat()))
    })
    .batching(1000)
}

/// A source that tags each row with `last:` and the last character of its key.
struct Tagging(TestSource<Key, Value>);

impl Tagging {
    fn tag(key: &Key) -> String {
        let last = key.as_bytes().last().copied().map_or('-', char::from);
        format!("last:{last}")
    }
}

impl Source<Key, Value> for Tagging {
    async fn load(&self, key: &Key, context: &mut LoadContext) -> Result<Option<Value>, LoadError> {
        context.tag(Self::tag(key));
        self.0.load(key, context).await
    }

    async fn load_many(
        &self,
        keys: &[Key],
        context: &mut LoadContext,
    ) -> Result<Vec<Option<Value>>, LoadError> {
        for (at, key) in keys.iter().enumerate() {
            context.key(at).tag(Self::tag(key));
        }
        self.0.load_many(keys, context).await
    }

    fn check(&self, key: &Key) -> Result<()> {
        self.0.check(key)
    }

    fn batch_max(&self) -> usize {
        self.0.batch_max()
    }
}

/// The server itself.
pub(crate) fn service(
    clock: Arc<dyn Clock>,
    sources: &[TestSource<Key, Value>],
    setup: Setup,
) -> Service {
    logged_service(clock, sources, setup).0
}

/// The server itself, and what it notes for the key log.
fn logged_service(
    clock: Arc<dyn Clock>,
    sources: &[TestSource<Key, Value>],
    setup: Setup,
) -> (Service, Option<Receiver<Note>>) {
    let engine = Engine::new(clock, Arc::new(TokioSpawn::current().unwrap()));
    let mut pools = vec![pool(PoolName::Shared, PolicyKind::Lru, Candidates::All, setup.bounds)];
    let memory = Arc::clone(&pools[0].memory);
    let guard = Guard::new(setup.guard).unwrap();
    let declared = setup.templates.iter().zip(sources).map(|(template, source)| {
        let cache = Cache::builder(template.split(':').next().unwrap())
            .max_staleness(10 * S)
            .fresh_for(10 * S - setup.stale_for)
            .stale_for(setup.stale_for)
            .jitter(Duration::ZERO)
            .source(Tagging(source.clone()))
            .guard(guard.clone())
            .memory(Arc::clone(&memory))
            .weigher(weigh)
            .engine(&engine)
            .build()
            .unwrap();
        Declared { template: KeyTemplate::parse(template).unwrap(), cache, counter: None }
    });
    let declared = declared.collect();
    if let Some((policy, candidates, bounds)) = setup.plain_apart {
        pools.push(pool(PoolName::Plain, policy, candidates, bounds));
    }
    let plain_memory = &pools[pools.len() - 1].memory;
    let plain = setup.with_plain.then(|| Plain::new(&engine, Arc::clone(plain_memory), weigh));
    let mut keyspace = Keyspace::new(declared, plain).unwrap();
    let mut notes = None;
    if let Some(sample) = setup.sample {
        let (log, taken) = KeyLog::new(sample, engine.clock());
        keyspace = keyspace.with_key_log(log);
        notes = Some(taken);
    }
    let service = Service::new(keyspace, &engine, pools, Arc::new(Process));
    match setup.password {
        Some(password) => (service.with_password(password), notes),
        None => (service, notes),
    }
}

fn pool(name: PoolName, policy: PolicyKind, candidates: Candidates, bounds: Bounds) -> Pool {
    let memory = Arc::new(memory_tier(bounds.candidates(candidates), policy, None));
    Pool { name, memory, policy, candidates }
}

fn weigh(key: &Key, value: Option<&Value>) -> usize {
    key.heap_bytes() + value.map_or(0, |value| value.bytes.len())
}

pub(crate) struct Process;

impl Host for Process {
    fn resident_bytes(&self) -> u64 {
        123_456
    }

    fn cpu_seconds(&self) -> (f64, f64) {
        (1.5, 0.25)
    }

    fn process_id(&self) -> u32 {
        77
    }

    fn port(&self) -> u16 {
        7379
    }
}

/// A client whose connection is a function call.
pub(crate) struct Client {
    session: Session,
    unread: Vec<u8>,
    /// Whether the server has closed the connection.
    pub(crate) closed: bool,
    /// How often it had to wait for reads.
    pub(crate) waits: usize,
    /// The longest that the output ever was before it was sent.
    pub(crate) output_max: usize,
}

impl Client {
    pub(crate) fn new(service: &Arc<Service>) -> Self {
        let session = Session::new(service);
        Self { session, unread: Vec::new(), closed: false, waits: 0, output_max: 0 }
    }

    /// Sends bytes and returns what comes back until the server wants more or closes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        assert!(!self.closed, "the connection is closed");
        self.unread.extend_from_slice(bytes);
        let (mut sent, mut out) = (Vec::new(), Vec::new());
        loop {
            let progress = self.session.run(&self.unread, &mut out);
            self.unread.drain(..progress.consumed);
            let was_sent = out.len();
            self.take(&mut out, &mut sent);
            match progress.next {
                Next::Read(missing) => {
                    assert!(missing > 0);
                    return sent;
                }
                // Otherwise the two would go round in circles.
                Next::Send => assert!(was_sent > 0),
                Next::Await(gathered, protocol) => {
                    self.waits += 1;
                    let mut answered = gathered.answer().await;
                    while answered.write(protocol, &mut out) {
                        self.take(&mut out, &mut sent);
                    }
                    self.take(&mut out, &mut sent);
                }
                Next::Close => {
                    self.closed = true;
                    return sent;
                }
            }
        }
    }

    fn take(&mut self, out: &mut Vec<u8>, sent: &mut Vec<u8>) {
        self.output_max = self.output_max.max(out.len());
        sent.append(out);
    }

    /// Sends all commands at once; their replies.
    pub(crate) async fn pipeline<A: AsRef<[u8]>>(&mut self, commands: &[Vec<A>]) -> Vec<Reply> {
        let mut input = Vec::new();
        commands.iter().for_each(|command| encode_request(&mut input, command));
        replies(&self.send(&input).await)
    }

    /// Sends one command; its reply.
    pub(crate) async fn command(&mut self, arguments: &[impl AsRef<[u8]>]) -> Reply {
        let mut input = Vec::new();
        encode_request(&mut input, arguments);
        one(replies(&self.send(&input).await))
    }

    /// Sends the command whose arguments are the words of `line`; its reply.
    pub(crate) async fn talk(&mut self, line: &str) -> Reply {
        self.command(&words(line)).await
    }

    /// Sends lines of words at once; their replies.
    pub(crate) async fn talk_all(&mut self, lines: &[&str]) -> Vec<Reply> {
        self.pipeline(&lines.iter().map(|line| words(line)).collect::<Vec<_>>()).await
    }
}

/// The arguments of a command without blanks in them; `''` is an empty one.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().map(|word| if word == "''" { "" } else { word }).collect()
}

/// What these bytes are, and nothing may be left.
#[track_caller]
pub(crate) fn replies(bytes: &[u8]) -> Vec<Reply> {
    split(bytes).into_iter().map(|(reply, _)| reply).collect()
}

/// The replies that these bytes are, each with its bytes.
#[track_caller]
pub(crate) fn split(mut bytes: &[u8]) -> Vec<(Reply, &[u8])> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let decoded = decode_reply(bytes, &ReplyLimits::default());
        let (reply, length) = decoded.unwrap().expect("the last reply is whole");
        replies.push((reply, &bytes[..length]));
        bytes = &bytes[length..];
    }
    replies
}

#[track_caller]
pub(crate) fn one(replies: Vec<Reply>) -> Reply {
    let [reply] = <[Reply; 1]>::try_from(replies).expect("there is one reply");
    reply
}

pub(crate) fn bulk(text: &str) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) fn simple(text: &str) -> Reply {
    Reply::Simple(Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) fn error(text: &str) -> Reply {
    Reply::Error(Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) const fn int(number: i64) -> Reply {
    Reply::Integer(number)
}

pub(crate) fn ok() -> Reply {
    simple("OK")
}

/// The row that the sources have for a key.
pub(crate) fn row(key: &str) -> Reply {
    bulk(&format!("row of {key}"))
}

/// The text of an error, a string, or a verbatim text.
#[track_caller]
pub(crate) fn text(reply: &Reply) -> &str {
    let (Reply::Error(text)
    | Reply::Simple(text)
    | Reply::Bulk(text)
    | Reply::Verbatim { text, .. }) = reply
    else {
        panic!("it has no text: {reply:?}");
    };
    std::str::from_utf8(text).unwrap()
}

/// Checks that a reply is an error that begins with `code` and says `what`.
#[track_caller]
pub(crate) fn assert_error(reply: &Reply, code: &str, what: &str) {
    let Reply::Error(_) = reply else { panic!("it is no error: {reply:?}") };
    let text = text(reply);
    assert!(text.starts_with(&format!("{code} ")) && text.contains(what), "{text}");
}

/// The value of a field of a map, which RESP2 sends as an array.
#[track_caller]
pub(crate) fn field<'a>(reply: &'a Reply, name: &str) -> &'a Reply {
    let named = |key: &Reply| matches!(key, Reply::Bulk(key) if key == name.as_bytes());
    let found = match reply {
        Reply::Array(parts) => parts.chunks(2).find(|pair| named(&pair[0])).map(|pair| &pair[1]),
        Reply::Map(pairs) => pairs.iter().find(|(key, _)| named(key)).map(|(_, value)| value),
        other => panic!("it is no map: {other:?}"),
    };
    found.unwrap_or_else(|| panic!("it has no field {name}: {reply:?}"))
}

/// Lets every task that can run do so: on the single-threaded runtime of a test, a task that
/// yields goes behind all that are ready.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
