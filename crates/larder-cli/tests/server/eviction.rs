//! What leaves when memory is full, as the configuration says it: policies, candidates, and
//! parts of memory that don't touch each other.

use larder_test::{Larder, Reply, RespClient};
use tempfile::NamedTempFile;

use crate::page::Page;
use crate::support::{connect, error_code, get, serve};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn ok() -> Reply {
    Reply::Simple("OK".into())
}

/// A database without tables is enough for loads that ask for none.
struct Numbers(NamedTempFile);

impl Numbers {
    fn new() -> Self {
        Self(NamedTempFile::new().unwrap())
    }

    /// The database as a source.
    fn source(&self) -> String {
        format!("[source.numbers]\nurl = \"sqlite:{}\"\n", self.0.path().display())
    }
}

/// A cache of this name, whose rows take about half a KiB, with more lines.
fn cache(name: &str, lines: &str) -> String {
    format!(
        "[cache.{name}]
         key = \"{name}:{{n:int}}\"
         load = \"SELECT {{n}} AS n, printf('%0500d', {{n}}) AS text\"
         max_staleness = \"1h\"
         {lines}\n"
    )
}

/// Reads rows of a cache, all of which must come.
fn load(client: &mut RespClient, name: &str, numbers: std::ops::Range<u32>) {
    for hundred in numbers.clone().step_by(100) {
        let numbers = hundred..numbers.end.min(hundred + 100);
        let keys = numbers.clone().map(|n| format!("{name}:{n}"));
        let mget: Vec<String> = std::iter::once("MGET".to_owned()).chain(keys).collect();
        let Reply::Array(rows) = client.command(&mget) else { panic!("no rows") };
        for (n, row) in numbers.zip(rows) {
            assert_eq!(row, Reply::bulk(format!("{{\"n\":{n},\"text\":\"{n:0500}\"}}")));
        }
    }
}

/// A line of INFO.
fn info(larder: &Larder, name: &str) -> String {
    let info = connect(larder).command(&["INFO"]);
    let line = info.text().lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name} in {}", info.text())).to_owned()
}

/// What a part of memory counts.
fn part(page: &Page, name: &str, memory: &str) -> u64 {
    page.sum(&format!("larder_memory_{name}"), &[("memory", memory)])
}

fn evicted(page: &Page, memory: &str) -> u64 {
    page.sum("larder_memory_removals_total", &[("memory", memory), ("cause", "evicted")])
}

#[test]
fn keys_without_an_expiry_stay_and_the_next_one_is_out_of_memory() {
    let larder = serve("[memory]\nlimit = \"1MiB\"\n[plain]\ncandidates = \"expiring\"\n");
    let mut client = connect(&larder);
    let value = "v".repeat(1_000);
    let key = |number: u64| format!("key:{number:04}");
    let full = (0..2_000)
        .find(|&number| match client.command(&["SET", &key(number), &value]) {
            reply if reply == ok() => false,
            reply => {
                assert_eq!(error_code(&reply), "OOM");
                assert!(reply.text().contains("delete some, give them an expiry"), "{reply:?}");
                true
            }
        })
        .expect("two megabytes don't fit into one");
    assert!((800..1_000).contains(&full), "{full} keys of a kilobyte in a MiB");
    // Nor does one that would expire find room. Nothing that is held is lost.
    let expiring = client.command(&["SET", "expiring", &value, "EX", "100"]);
    assert_eq!(error_code(&expiring), "OOM");
    for number in 0..full {
        assert_eq!(get(&mut client, &key(number)), Reply::bulk(&value));
    }
    assert_eq!(client.command(&["DBSIZE"]), Reply::Integer(full as i64));

    // A key deleted makes room, which may go to one that expires.
    assert_eq!(client.command(&["DEL", &key(0)]), Reply::Integer(1));
    assert_eq!(client.command(&["SET", "expiring", &value, "EX", "100"]), ok());
    assert_eq!(get(&mut client, "expiring"), Reply::bulk(&value));
    // That one gives way, to one with an expiry as to one without.
    assert_eq!(client.command(&["SET", "other", &value, "EX", "100"]), ok());
    assert_eq!(get(&mut client, "expiring"), Reply::Null);
    assert_eq!(client.command(&["SET", &key(full), &value]), ok());
    assert_eq!(get(&mut client, "other"), Reply::Null);
    for number in 1..=full {
        assert_eq!(get(&mut client, &key(number)), Reply::bulk(&value));
    }
    assert_eq!(error_code(&client.command(&["SET", "one more", &value])), "OOM");

    let page = Page::of(&larder);
    assert_eq!(part(&page, "no_room_total", "plain"), 3);
    assert_eq!(part(&page, "entries", "plain"), full);
    assert_eq!(evicted(&page, "plain"), 2);
    assert_eq!(info(&larder, "larder_no_room"), "3");
    assert_eq!(info(&larder, "maxmemory_policy"), "volatile-lru");
}

/// Four times what fits, one value after the other, of sizes from some bytes to a good part of
/// the whole: each is there when it has been set.
fn what_was_set_is_there(client: &mut RespClient) {
    let sizes = [0, 10, 100, 1_000, 1_000, 10_000, 100_000];
    let heaviest = std::iter::once(1_000_000);
    let sizes = sizes.into_iter().cycle().take(280).chain(heaviest).chain([10, 1_000]);
    let text = "v".repeat(1_000_000);
    let mut set = 0;
    for (number, size) in sizes.enumerate() {
        let (key, value) = (format!("key:{number}"), &text[..size]);
        set += size as u64;
        let replies = client.pipeline([vec!["SET", &key, value], vec!["GET", &key]]);
        assert!(replies == [ok(), Reply::bulk(value)], "{key} of {size} bytes");
    }
    assert!(set > 4 * MIB);
}

/// A server with little memory, in which this policy decides for plain keys and for a cache.
fn serves_with(policy: &str) {
    let numbers = Numbers::new();
    let larder = serve(&format!(
        "[memory]
         limit = \"2MiB\"
         policy = \"{policy}\"
         [plain]
         policy = \"{policy}\"
         {}{}",
        numbers.source(),
        cache("row", "")
    ));
    let mut client = connect(&larder);
    assert_eq!(info(&larder, "maxmemory_policy"), format!("allkeys-{policy}"));
    what_was_set_is_there(&mut client);
    // Some rows again and again, among many that are read once.
    for round in 0..4 {
        load(&mut client, "row", 0..100);
        load(&mut client, "row", 1_000 * (round + 1)..1_000 * (round + 2));
    }
    let page = Page::of(&larder);
    for memory in ["plain", "shared"] {
        let (bytes, limit) = (part(&page, "bytes", memory), part(&page, "limit_bytes", memory));
        assert_eq!(limit, MIB);
        assert!(bytes <= limit && evicted(&page, memory) > 0, "{policy}, {memory}: {bytes}");
    }
    assert!(part(&page, "bytes", "shared") > MIB / 2, "{policy}");
    assert_eq!(part(&page, "no_room_total", "plain"), 0);
}

#[test]
fn every_policy_serves_and_what_was_set_is_there() {
    for policy in ["lru", "lfu", "fifo", "random", "sieve", "s3fifo", "tinylfu", "cost", "adaptive"]
    {
        serves_with(policy);
    }
}

#[test]
fn parts_of_memory_take_no_room_from_each_other() {
    let numbers = Numbers::new();
    let larder = serve(&format!(
        "[memory]
         limit = \"4MiB\"
         [plain]
         memory = \"2MiB\"
         {}{}{}",
        numbers.source(),
        cache("own", "memory = \"1MiB\"\npolicy = \"lru\""),
        cache("other", "")
    ));
    let mut client = connect(&larder);
    load(&mut client, "own", 0..200);
    let value = "v".repeat(1_000);
    let keep = |number: u64| vec!["SET".to_owned(), format!("keep:{number}"), value.clone()];
    client.pipeline((0..200).map(keep));

    // A flood of loads into the pool touches neither the other cache nor the plain keys.
    load(&mut client, "other", 0..8_000);
    let page = Page::of(&larder);
    let misses = |page: &Page| page.sum("larder_cache_misses_total", &[("cache", "own")]);
    assert!(evicted(&page, "shared") > 4_000);
    assert_eq!((evicted(&page, "plain"), evicted(&page, "cache.own")), (0, 0));
    let held = client.pipeline((0..200).map(|number| ["GET".to_owned(), format!("keep:{number}")]));
    assert!(held.iter().all(|reply| *reply == Reply::bulk(&value)));

    // Neither does a flood of plain keys touch the caches.
    for batch in 0..40 {
        let flood = (0..100)
            .map(|number| vec!["SET".to_owned(), format!("{batch}:{number}"), value.clone()]);
        client.pipeline(flood);
    }
    load(&mut client, "own", 0..200);
    let page = Page::of(&larder);
    assert_eq!(misses(&page), 200, "each was loaded once");
    assert!(evicted(&page, "plain") > 2_000);
    assert_eq!(evicted(&page, "cache.own"), 0);
    for (memory, limit) in [("cache.own", MIB), ("shared", MIB), ("plain", 2 * MIB)] {
        assert_eq!(part(&page, "limit_bytes", memory), limit);
        assert!(part(&page, "bytes", memory) <= limit);
    }
    let sum = |name: &str| page.sum(name, &[]);
    assert_eq!(info(&larder, "maxmemory"), (4 * MIB).to_string());
    assert_eq!(info(&larder, "used_memory"), sum("larder_memory_bytes").to_string());
    let Reply::Integer(keys) = client.command(&["DBSIZE"]) else { panic!("no number of keys") };
    assert_eq!(keys as u64, sum("larder_memory_entries"));
}

/// Several clients write more than fits at the same time, and loads flood the pool beside them:
/// what a client has set it reads, as long as others can't have written all memory full since.
#[test]
fn a_new_write_is_readable_whatever_the_pressure() {
    let numbers = Numbers::new();
    let larder =
        serve(&format!("[memory]\nlimit = \"8MiB\"\n{}{}", numbers.source(), cache("row", "")));
    let value = "v".repeat(4_000);
    std::thread::scope(|scope| {
        let (larder, value) = (&larder, &value);
        for name in ["a", "b", "c"] {
            scope.spawn(move || {
                let mut client = connect(larder);
                for number in 0..1_500 {
                    let key = format!("{name}:{number}");
                    let replies = client.pipeline([vec!["SET", &key, value], vec!["GET", &key]]);
                    assert!(replies == [ok(), Reply::bulk(value)], "{key} is not there");
                }
            });
        }
        scope.spawn(move || load(&mut connect(larder), "row", 0..10_000));
    });
    let page = Page::of(&larder);
    assert!(evicted(&page, "plain") > 500 && evicted(&page, "shared") > 1_000);
}
