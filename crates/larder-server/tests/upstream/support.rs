//! What all tests of the upstream need: larder in front of a Redis, and clients of both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use larder_core::{Key, KeyTemplate, Value};
use larder_engine::behind::WriteBehind;
use larder_engine::{Cache, Engine, Raw, Sharing, memory_tier};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;
use larder_redis::{RedisOptions, RedisTier, Servers};
use larder_resp::codec::encode_request;
use larder_resp::{Declared, Keyspace, Pool, PoolName, Service};
use larder_server::host::ThisProcess;
use larder_server::listen::resp::{RespListener, Setup};
use larder_server::upstream::{Options, RedisUpstream};
use larder_test::{Redis, Reply, RespClient, TestJournal, TestSink, TestSource};
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(crate) use larder_test::{PATIENCE, until};

/// larder with the cache `user:{id:int}`, whose rows are `row of user:…`, the cache
/// `count:{id:int}`, which has none and is written behind, and a Redis for everything else.
pub(crate) struct Bench<R = Redis> {
    pub(crate) redis: R,
    pub(crate) upstream: Arc<RedisUpstream>,
    pub(crate) source: TestSource<Key, Value>,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

/// How a Redis is reached, and how much is asked of it.
pub(crate) struct Behind {
    pub(crate) redis: RedisOptions,
    pub(crate) options: Options,
}

impl Behind {
    /// What is usual for this URL, changed.
    fn changed(url: String, change: impl FnOnce(&mut Self)) -> Self {
        let mut behind = Self { redis: RedisOptions::new(url), options: Options::default() };
        change(&mut behind);
        behind
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Redis::start(), |_| ())
    }

    pub(crate) fn with(redis: Redis, change: impl FnOnce(&mut Behind)) -> Self {
        let url = redis.url();
        Self::over(redis, url, None, change)
    }

    /// larder looks out for tags and leases of every plain key that is named.
    pub(crate) fn guarding() -> Self {
        let redis = Redis::start();
        let url = redis.url();
        Self::guarding_over(redis, url, |_| ())
    }

    /// A client of the Redis itself.
    pub(crate) fn straight(&self) -> RespClient {
        RespClient::connect(("127.0.0.1", self.redis.port()))
    }
}

impl<R> Bench<R> {
    /// Over the Redis at this URL. larder asks its own clients for this password.
    pub(crate) fn over(
        redis: R,
        url: String,
        password: Option<&str>,
        change: impl FnOnce(&mut Behind),
    ) -> Self {
        Self::build(redis, &Behind::changed(url, change), password, false)
    }

    /// The same, and larder looks out for tags and leases of every plain key that is named.
    pub(crate) fn guarding_over(redis: R, url: String, change: impl FnOnce(&mut Behind)) -> Self {
        Self::build(redis, &Behind::changed(url, change), None, true)
    }

    fn build(redis: R, behind: &Behind, password: Option<&str>, guards: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let source = TestSource::answering(|key: &Key| {
            Some(Value::raw([b"row of ", key.as_bytes()].concat()))
        });
        let source = source.batching(1000);
        let engine = Engine::on_tokio().unwrap();
        if guards {
            let tier = RedisTier::connect(behind.redis.clone()).unwrap();
            let bus = Arc::new(tier.bus());
            let sharing = Sharing::over(Arc::new(tier)).own_bus(bus);
            runtime.block_on(engine.share(sharing)).unwrap();
            runtime.block_on(engine.announce_companions()).unwrap();
            assert!(engine.may_have_companions());
        }
        let policy = PolicyKind::Lru;
        let memory = Arc::new(memory_tier(Bounds::bytes(64 << 20), policy, None));
        let pools = vec![Pool {
            name: PoolName::Shared,
            memory: Arc::clone(&memory),
            policy,
            candidates: larder_memory::Candidates::All,
        }];
        let cache = Cache::builder("user")
            .max_staleness(Duration::from_secs(3600))
            .source(source.clone())
            .sink(TestSink::adding(&source, add))
            .memory(Arc::clone(&memory))
            .weigher(|key: &Key, _: Option<&Value>| key.heap_bytes())
            .engine(&engine)
            .build()
            .unwrap();
        let counts = TestSource::of([]);
        let writes = WriteBehind::over(Arc::new(TestJournal::default()));
        let count = Cache::builder("count")
            .max_staleness(Duration::from_secs(3600))
            .source(counts.clone())
            .sink(TestSink::adding(&counts, add).behind())
            .behind(&writes, Raw)
            .add_with(|held, difference| Ok(add(held, difference).expect("a count is a number")))
            .memory(memory)
            .engine(&engine)
            .build()
            .unwrap();
        runtime.block_on(writes.start(&engine)).unwrap();
        let declare = |template: &str, cache| {
            let template = KeyTemplate::parse(template).unwrap();
            Declared { template, cache, counter: None }
        };
        let servers = Servers::new(&behind.redis).unwrap();
        let upstream = Arc::new(RedisUpstream::new(&servers, &behind.options));
        let declared = vec![declare("user:{id:int}", cache), declare("count:{id:int}", count)];
        let keyspace = Keyspace::new(declared, None).unwrap();
        let mut keyspace = keyspace.with_upstream(Arc::clone(&upstream) as _);
        if guards {
            keyspace = keyspace.with_companions("larder");
        }
        let host = Arc::new(ThisProcess { port: 0 });
        let service = Service::new(keyspace, &engine, pools, host);
        let service = Arc::new(match password {
            Some(password) => service.with_password(password),
            None => service,
        });
        let setup = Setup { clients_max: 1000, workers: 2, stop_within: Duration::from_secs(5) };
        let listener = RespListener::bind(([127, 0, 0, 1], 0).into(), setup).unwrap();
        let address = listener.address().unwrap();
        let (stop, stopped) = watch::channel(false);
        runtime.spawn(listener.serve(service, stopped));
        drop(entered);
        Self { redis, upstream, source, address, stop, runtime: Some(runtime) }
    }

    /// A client of larder.
    pub(crate) fn client(&self) -> RespClient {
        RespClient::connect(self.address)
    }

    /// Has larder stop.
    pub(crate) fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    /// Waits until so many dedicated connections are in use.
    pub(crate) fn until_dedicated(&self, count: usize) {
        until("dedicated connections", || self.upstream.dedicated() == count);
    }
}

impl<R> Drop for Bench<R> {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// What becomes of a count.
fn add(held: Option<&Value>, difference: i64) -> Option<Value> {
    let held = held.map_or("0", |held| std::str::from_utf8(&held.bytes).unwrap());
    let sum = held.parse::<i64>().ok()?.checked_add(difference)?;
    Some(Value::raw(sum.to_string()))
}

/// Sends the words of a line; its reply.
pub(crate) fn talk(client: &mut RespClient, line: &str) -> Reply {
    client.command(&words(line))
}

/// The words of a line; `''` is an empty one.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().map(|word| if word == "''" { "" } else { word }).collect()
}

/// Sends lines at once; their replies.
pub(crate) fn pipeline(client: &mut RespClient, lines: &[&str]) -> Vec<Reply> {
    client.pipeline(lines.iter().map(|line| words(line)))
}

/// The text of an error.
#[track_caller]
pub(crate) fn refusal(reply: &Reply) -> &str {
    match reply {
        Reply::Error(text) => text,
        other => panic!("not refused: {other:?}"),
    }
}

/// The values of an array.
#[track_caller]
fn values(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(values) => values,
        other => panic!("no array: {other:?}"),
    }
}

pub(crate) fn ok() -> Reply {
    Reply::Simple("OK".into())
}

pub(crate) fn int(number: i64) -> Reply {
    Reply::Integer(number)
}

pub(crate) fn queued() -> Reply {
    Reply::Simple("QUEUED".into())
}

/// The bytes that a server answers to requests that come at once, up to the reply to an ECHO
/// behind them.
pub(crate) fn raw(address: SocketAddr, requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    const END: &[u8] = b"$15\r\nthe-end-of-this\r\n";
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    requests.iter().for_each(|request| encode_request(&mut bytes, request));
    encode_request(&mut bytes, &["ECHO", "the-end-of-this"]);
    // What is written must be read at the same time, or both sides may wait for ever.
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&bytes).unwrap());
    let mut came = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while !came.ends_with(END) {
        let read = stream.read(&mut piece).unwrap();
        let begin = came.len().saturating_sub(500);
        assert!(read > 0, "closed after: {}", came[begin..].escape_ascii());
        came.extend_from_slice(&piece[..read]);
    }
    writing.join().unwrap();
    came.truncate(came.len() - END.len());
    came
}

/// Checks that plain keys have tags and leases: what a tag has struck is gone to the next command,
/// and nobody fills a key that somebody else has set meanwhile.
pub(crate) fn check_tags_and_leases<R>(bench: &Bench<R>) {
    let mut client = bench.client();
    assert_eq!(talk(&mut client, "MSET other 1 count 5"), ok());
    for strike in ["LARDER.INVALIDATE TAGS red", "LARDER.INVALIDATE SOFT TAGS blue"] {
        assert_eq!(talk(&mut client, "LARDER.SET tagged old EX 1000 TAGS red blue"), ok());
        assert_eq!(talk(&mut client, "LARDER.SET count 5 TAGS red blue"), ok());
        assert_eq!(talk(&mut client, "APPEND tagged er"), int(5));
        assert_eq!(values(&talk(&mut client, "MGET tagged user:1 other"))[0], Reply::bulk("older"));
        assert_eq!(talk(&mut client, strike), int(1));
        let whole = ["WATCH tagged", "MULTI", "GET tagged", "INCR count", "UNWATCH", "EXEC"];
        let done = pipeline(&mut client, &whole).pop().unwrap();
        assert_eq!(values(&done), [Reply::Null, int(1), ok()], "{strike}");
        assert_eq!(values(&talk(&mut client, "MGET tagged user:1 other"))[0], Reply::Null);
    }
    assert_eq!(talk(&mut client, "DEL leased"), int(0));
    let token = || values(&talk(&mut bench.client(), "LARDER.GET leased LEASE"))[9].clone();
    let fill = |token: &Reply, value: &str| {
        talk(&mut bench.client(), &format!("LARDER.FILL leased {} {value} TAGS red", token.text()))
    };
    let first = token();
    assert_eq!(talk(&mut client, "SETRANGE leased 0 x"), int(1));
    assert_eq!(fill(&first, "late"), int(0), "it was set since");
    assert_eq!(talk(&mut client, "DEL leased user:9"), int(1));
    let second = token();
    assert_eq!(fill(&second, "filled"), int(1));
    assert_eq!(talk(&mut client, "GET leased"), Reply::bulk("filled"));
    assert_eq!(talk(&mut client, "LARDER.INVALIDATE TAGS red"), int(1));
    assert_eq!(talk(&mut client, "EXISTS leased other user:1"), int(2));
}
