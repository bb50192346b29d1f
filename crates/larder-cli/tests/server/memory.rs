//! The process stays near its limit, whatever is put through it. Each test prints what it
//! measures: `cargo test -p larder-cli --test server memory:: -- --nocapture`.

use std::thread;

use larder_test::{Larder, Reply, RespClient};

use crate::page::Page;
use crate::support::{accounts, bank, connect, serve};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// How many commands are sent before their replies are read.
const PIPELINE: usize = 500;

/// A server with so little memory, and what the process takes before anything is in it.
fn limited(limit: u64, config: &str) -> (Larder, u64) {
    let larder = serve(&format!("[memory]\nlimit = \"{}MiB\"\n{config}", limit / MIB));
    // Buffers, threads and tables of a server that is in use, and nothing held.
    let mut client = connect(&larder);
    client.pipeline(vec![["GET", "nothing"]; PIPELINE]);
    let baseline = larder.rss_bytes();
    (larder, baseline)
}

/// Sets new keys with values of these sizes in turn, until `bytes` have been set.
fn set(client: &mut RespClient, name: &str, sizes: impl IntoIterator<Item = usize>, bytes: u64) {
    let value = "v".repeat(128 * KIB as usize);
    let (mut sent, mut number) = (0, 0_u64);
    let mut sizes = sizes.into_iter();
    while sent < bytes {
        let mut commands = Vec::new();
        // No more than a MiB at once, so that neither side waits for the other.
        let mut batch = 0;
        while commands.len() < PIPELINE && batch < MIB && sent < bytes {
            let size = sizes.next().unwrap();
            let key = format!("{name}:{number:08}");
            number += 1;
            let bytes = (key.len() + size) as u64;
            (sent, batch) = (sent + bytes, batch + bytes);
            commands.push(["SET".to_owned(), key, value[..size].to_owned()]);
        }
        let replies = client.pipeline(commands);
        assert!(replies.iter().all(|reply| *reply == Reply::Simple("OK".into())), "{replies:?}");
    }
}

/// The sizes between `from` and `to`, as many small as large on a logarithmic scale, shuffled.
fn mixed(from: f64, to: f64) -> impl Iterator<Item = usize> {
    // A linear congruential generator (Knuth's MMIX), whose upper bits are random enough.
    let mut state = 42_u64;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
        (from * (to / from).powf(share)) as usize
    })
}

/// Prints what the process takes beyond its baseline, and expects no more than so many times the
/// limit; that nearly all of the limit is used; and that evictions made it so, by every count.
fn stays_near(what: &str, larder: &Larder, limit: u64, baseline: u64, times: f64) {
    let resident = larder.rss_bytes();
    let page = Page::of(larder);
    let held = page.sum("larder_memory_bytes", &[]);
    let evicted = page.sum("larder_memory_removals_total", &[("cause", "evicted")]);
    let ratio = (resident.saturating_sub(baseline)) as f64 / limit as f64;
    println!(
        "{what}: {} MiB resident, {} MiB at the start, limit {} MiB: {ratio:.2} times the limit \
         ({} MiB counted, {evicted} evicted)",
        resident / MIB,
        baseline / MIB,
        limit / MIB,
        held / MIB
    );
    assert!(ratio <= times, "{what}: {ratio:.2} times the limit");
    assert!(held <= limit && held > limit / 100 * 90, "{what}: {held} bytes held");
    assert!(evicted > 0);
    let info = connect(larder).command(&["INFO", "stats"]);
    let line = format!("\r\nevicted_keys:{evicted}\r\n");
    assert!(info.text().contains(&line), "{line:?} in {}", info.text());
}

#[test]
fn ten_times_the_limit_of_plain_values_of_a_kilobyte() {
    let limit = 64 * MIB;
    let (larder, baseline) = limited(limit, "");
    thread::scope(|scope| {
        for client in 0..4 {
            let larder = &larder;
            let name = format!("client{client}");
            scope.spawn(move || {
                let sizes = std::iter::repeat(1_000);
                set(&mut connect(larder), &name, sizes, 10 * limit / 4);
            });
        }
    });
    stays_near("plain values of 1 kB", &larder, limit, baseline, 1.35);
}

#[test]
fn ten_times_the_limit_of_loaded_rows_of_a_hundred_bytes() {
    let limit = 16 * MIB;
    let bank = bank();
    accounts(&bank, "rows");
    let (larder, baseline) = limited(
        limit,
        &format!(
            "[source.bank]
             url = \"{}\"
             [cache.account]
             key = \"account:{{aid:int}}\"
             load = \"SELECT aid, rpad(aid::text, 75, '.') AS text FROM rows WHERE aid = {{aid}}\"
             max_staleness = \"10m\"
             [plain]
             enabled = false\n",
            bank.url()
        ),
    );
    let mut client = connect(&larder);
    for thousand in 0..900 {
        let keys = (1..=1_000).map(|aid| format!("account:{}", 1_000 * thousand + aid));
        let mget: Vec<String> = std::iter::once("MGET".to_owned()).chain(keys).collect();
        let Reply::Array(values) = client.command(&mget) else { panic!("no values") };
        assert!(values.iter().all(|value| (90..=110).contains(&value.text().len())), "{values:?}");
    }
    stays_near("loaded rows of 100 B", &larder, limit, baseline, 1.35);
    let page = Page::of(&larder);
    let held = page.sum("larder_memory_entries", &[]);
    assert!(held * 10 <= 900_000, "{held} rows held, and not ten times as many loaded");
}

#[test]
fn values_of_all_sizes_shuffled() {
    let limit = 64 * MIB;
    let (larder, baseline) = limited(limit, "");
    set(&mut connect(&larder), "mixed", mixed(20.0, 20_000.0), 10 * limit);
    stays_near("20 B to 20 kB, shuffled", &larder, limit, baseline, 1.35);
}

#[test]
fn values_that_change_their_size() {
    let limit = 64 * MIB;
    let (larder, baseline) = limited(limit, "");
    let mut client = connect(&larder);
    set(&mut client, "small", std::iter::repeat(100), 2 * limit);
    stays_near("100 B", &larder, limit, baseline, 1.35);
    set(&mut client, "large", std::iter::repeat(100_000), 10 * limit);
    // Holes of the old size stay, whatever the allocator: docs/decisions/0002-allocator.md.
    stays_near("then 100 kB", &larder, limit, baseline, 1.6);
}
