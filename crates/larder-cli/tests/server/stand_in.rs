//! `stale_on_error`: what is held beyond the promise stands in while the database is down or
//! slow, says so, and is fresh again once the database is back.

use std::time::{Duration, Instant};

use larder_test::{Larder, Postgres, Reply, RespClient};

use crate::page::Page;
use crate::support::{connect, error_code, get, serve, until};

fn start(more: &str) -> (Postgres, Larder) {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         INSERT INTO users VALUES (1, 'old')",
    );
    let larder = serve(&format!(
        "[source.shop]
         url = \"{}\"
         connect_timeout = \"500ms\"
         load_timeout = \"20s\"
         [cache.user]
         key = \"user:{{id:int}}\"
         load = \"SELECT name FROM users WHERE id = {{id}}\"
         max_staleness = \"200ms\"
         jitter = \"0s\"
         stale_on_error = \"10m\"
         deadline = \"25s\"
         {more}\n",
        postgres.url()
    ));
    (postgres, larder)
}

/// What LARDER.GET tells: the value, the age, the state and the reason.
fn ask(client: &mut RespClient, key: &str) -> (String, Duration, String, String) {
    let reply = client.command(&["LARDER.GET", key]);
    let Reply::Array(fields) = reply else { panic!("{reply:?}") };
    let field = |name: &str| {
        let at = fields.iter().step_by(2).position(|field| *field == Reply::bulk(name)).unwrap();
        &fields[2 * at + 1]
    };
    let Reply::Integer(age) = field("age_ms") else { panic!("{fields:?}") };
    let age = Duration::from_millis(u64::try_from(*age).unwrap());
    let text = |name: &str| field(name).text().to_owned();
    (text("value"), age, text("state"), text("reason"))
}

const OLD: &str = "{\"name\":\"old\"}";
const NEW: &str = "{\"name\":\"new\"}";
const PROMISE: Duration = Duration::from_millis(200);

#[test]
fn while_the_database_is_down_old_answers_say_so_and_then_they_are_fresh_again() {
    let (postgres, larder) = start("wait = \"20s\"");
    let mut client = connect(&larder);
    assert_eq!(ask(&mut client, "user:1").0, OLD);
    postgres.stop();
    let mut stood_in = 0;
    until("it stands in", || {
        let (value, age, state, reason) = ask(&mut client, "user:1");
        assert_eq!(value, OLD);
        match (state.as_str(), reason.as_str()) {
            ("fresh" | "stale", "held" | "refreshing" | "loaded") => assert!(age <= 2 * PROMISE),
            ("stale", "failing") => {
                assert!(age >= PROMISE, "{age:?}");
                stood_in += 1;
            }
            other => panic!("{other:?}"),
        }
        stood_in == 3
    });
    // To whoever only wants the value it is a value.
    assert_eq!(get(&mut client, "user:1"), Reply::bulk(OLD));
    assert_eq!(error_code(&get(&mut client, "user:9")), "SOURCEDOWN");
    let user: &[(&str, &str)] = &[("cache", "user")];
    let counted = Page::of(&larder).sum("larder_cache_stood_in_age_seconds_count", user);
    assert_eq!(counted, stood_in + 1);
    let stats = client.command(&["LARDER.STATS", "user"]);
    let Reply::Array(fields) = stats else { panic!("{stats:?}") };
    let at = fields.iter().position(|field| *field == Reply::bulk("stood_in")).unwrap();
    assert_eq!(fields[at + 1], Reply::Integer(i64::try_from(counted).unwrap()));

    postgres.restart();
    postgres.psql("UPDATE users SET name = 'new'");
    until("it is fresh again", || {
        let (value, _, state, _) = ask(&mut client, "user:1");
        value == NEW && state == "fresh"
    });
}

#[test]
fn while_the_database_stands_still_a_read_waits_no_longer_than_it_was_told() {
    let (postgres, larder) = start("wait = \"50ms\"");
    let mut client = connect(&larder);
    assert_eq!(ask(&mut client, "user:1").0, OLD);
    postgres.pause();
    until("it stands in", || {
        let start = Instant::now();
        let (value, age, state, reason) = ask(&mut client, "user:1");
        assert_eq!(value, OLD);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let stands_in = (state.as_str(), reason.as_str()) == ("stale", "slow");
        assert!(!stands_in || age >= PROMISE, "{age:?}");
        stands_in
    });
    postgres.resume();
    until("it is fresh again", || ask(&mut client, "user:1").2 == "fresh");
}
