//! Batches: numbered writes that count once, their owners, and dead letters.

use larder_core::sink::{Applied, Numbered, Sequence, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{SqlSink, WRITES_MAX, WriteTables, Writes};

use super::{Shop, counters, fates, numbered, user, user_writes, users};

pub async fn a_batch_that_comes_twice_changes_nothing_the_second_time(shop: &impl Shop) {
    shop.sql("INSERT INTO counters SELECT value, 0 FROM (SELECT 1 AS value UNION SELECT 2) AS v")
        .await;
    let (users, counters) = (users(shop), counters(shop));
    let (of_users, of_counters) = (users.own("a").await.unwrap(), counters.own("a").await.unwrap());
    let batch = [
        numbered("user:2", user(2, "b"), of_users, 1),
        numbered("user:1", user(1, "a"), of_users, 2),
        numbered("user:3", Write::Delete, of_users, 3),
    ];
    assert_eq!(fates(&users.apply(of_users, &batch).await.unwrap()), ["value", "value", "absent"]);
    shop.sql("UPDATE users SET name = 'changed' WHERE id = 1").await;
    assert_eq!(fates(&users.apply(of_users, &batch).await.unwrap()), ["before"; 3]);
    assert_eq!(shop.sql("SELECT id, name FROM users ORDER BY id").await, "1|changed\n2|b");

    let adds = [
        numbered("counter:1", Write::Add(5), of_counters, 1),
        numbered("counter:2", Write::Add(-7), of_counters, 2),
        numbered("counter:3", Write::Add(1), of_counters, 3),
    ];
    let applied = counters.apply(of_counters, &adds).await.unwrap();
    assert_eq!(applied[0], Applied::Now(Written::Value(Value::raw("5"))));
    assert_eq!(fates(&applied), ["value", "value", "absent"]);
    for _ in 0..3 {
        assert_eq!(fates(&counters.apply(of_counters, &adds).await.unwrap()), ["before"; 3]);
    }
    // Only what is later than the last one of its key.
    let mixed = [
        numbered("counter:1", Write::Add(1), of_counters, 1),
        numbered("counter:2", Write::Add(1), of_counters, 4),
    ];
    assert_eq!(fates(&counters.apply(of_counters, &mixed).await.unwrap()), ["before", "value"]);
    assert_eq!(shop.sql("SELECT id, n FROM counters ORDER BY id").await, "1|5\n2|-6");
    let keys = ["counter:2", "counter:9", "counter:1"].map(Key::from);
    let at = |number| Some(Sequence { epoch: of_counters, number });
    assert_eq!(counters.applied(&keys).await.unwrap(), [at(4), None, at(1)]);
    // The other cache's keys are its own.
    assert_eq!(users.applied(&keys).await.unwrap(), [None; 3]);
    assert_eq!(counters.apply(of_counters, &[]).await.unwrap(), []);
}

pub async fn who_owned_a_cache_before_is_refused(shop: &impl Shop) {
    let users = users(shop);
    let first = users.own("a").await.unwrap();
    let error = users.own("b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("written behind by a"), "{error}");
    // The same one comes back after a crash, and what it was then counts no more.
    let second = users.own("a").await.unwrap();
    assert!(second > first);
    let late = [numbered("user:1", user(1, "late"), first, 9)];
    let error = users.apply(first, &late).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Disowned);
    let error = users.bury(first, &late[0], "late").await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Disowned);
    users.disown(first).await.unwrap();
    assert!(users.own("b").await.is_err());
    users.disown(second).await.unwrap();
    let error = users.apply(second, &late).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Disowned);
    let third = users.own("b").await.unwrap();
    assert!(third > second);
    assert_eq!(shop.sql("SELECT count(*) FROM users").await, "0");
    assert_eq!(shop.sql("SELECT count(*) FROM larder_applied").await, "0");
    assert_eq!(shop.sql("SELECT count(*) FROM larder_dead_letters").await, "0");
    // Even if its row is lost, the epoch is beyond what was applied.
    users.apply(third, &[numbered("user:1", user(1, "now"), third, 1)]).await.unwrap();
    shop.sql("DELETE FROM larder_owner").await;
    assert!(users.own("c").await.unwrap() > third);
}

pub async fn one_write_that_is_refused_rolls_the_batch_back(shop: &impl Shop) {
    shop.sql("INSERT INTO counters VALUES (1, 0); INSERT INTO counters VALUES (2, 999999)").await;
    let counters = counters(shop);
    let epoch = counters.own("a").await.unwrap();
    let batch = [
        numbered("counter:1", Write::Add(1), epoch, 1),
        numbered("counter:2", Write::Add(1), epoch, 2),
    ];
    for _ in 0..2 {
        let error = counters.apply(epoch, &batch).await.unwrap_err();
        assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
        assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, "0\n999999");
        assert_eq!(shop.sql("SELECT count(*) FROM larder_applied").await, "0");
    }
    // By halves it is found.
    assert!(counters.apply(epoch, &batch[..1]).await.is_ok());
    let error = counters.apply(epoch, &batch[1..]).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
}

pub async fn a_dead_letter_counts_as_applied_and_is_applied_once_when_requeued(shop: &impl Shop) {
    shop.sql("INSERT INTO counters VALUES (1, 999999)").await;
    let counters = counters(shop);
    let epoch = counters.own("a").await.unwrap();
    let add = numbered("counter:1", Write::Add(1), epoch, 7);
    counters.bury(epoch, &add, "too\0 much").await.unwrap();
    counters.bury(epoch, &add, "too much, again").await.unwrap();
    let keys = [Key::from("counter:1")];
    let at = |number| Some(Sequence { epoch, number });
    assert_eq!(counters.applied(&keys).await.unwrap(), [at(7)]);
    let before = fates(&counters.apply(epoch, std::slice::from_ref(&add)).await.unwrap());
    assert_eq!(before, ["before"]);
    assert_eq!(counters.requeued(10).await.unwrap(), []);

    shop.sql("UPDATE larder_dead_letters SET requeued = TRUE").await;
    let letters = counters.requeued(10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.reason, "too\u{fffd} much");
    assert_eq!((letter.numbered.letter, &letter.numbered.write), (Some(letter.id), &Write::Add(1)));
    assert_eq!(letter.numbered.sequence, Sequence { epoch, number: 7 });
    assert_eq!(counters.requeued(0).await.unwrap(), []);
    // It still can't be written, and goes back to where it was.
    let again = Numbered { sequence: Sequence { epoch, number: 8 }, ..letter.numbered.clone() };
    let error = counters.apply(epoch, std::slice::from_ref(&again)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    counters.bury(epoch, &again, "still too much").await.unwrap();
    assert_eq!(counters.requeued(10).await.unwrap(), []);
    assert_eq!(
        shop.sql("SELECT id, seq, reason FROM larder_dead_letters").await,
        format!("{}|8|still too much", letter.id)
    );
    // Now it can.
    shop.sql("UPDATE counters SET n = 0; UPDATE larder_dead_letters SET requeued = TRUE").await;
    let letters = counters.requeued(10).await.unwrap();
    let once = Numbered { sequence: Sequence { epoch, number: 9 }, ..letters[0].numbered.clone() };
    let batch = std::slice::from_ref(&once);
    assert_eq!(fates(&counters.apply(epoch, batch).await.unwrap()), ["value"]);
    assert_eq!(fates(&counters.apply(epoch, batch).await.unwrap()), ["before"]);
    // Requeued under yet another number, it still is the same letter.
    let later = Numbered { sequence: Sequence { epoch, number: 12 }, ..once.clone() };
    assert_eq!(fates(&counters.apply(epoch, &[later]).await.unwrap()), ["before"]);
    assert_eq!(shop.sql("SELECT n FROM counters").await, "1");
    assert_eq!(shop.sql("SELECT count(*) FROM larder_dead_letters").await, "0");

    let users = users(shop);
    let epoch = users.own("a").await.unwrap();
    users
        .bury(epoch, &numbered("user:1", user(1, "ü\"x"), epoch, 1), &"ü".repeat(5_000))
        .await
        .unwrap();
    users.bury(epoch, &numbered("user:2", Write::Delete, epoch, 2), "").await.unwrap();
    users.bury(epoch, &numbered("no key of ours", Write::Delete, epoch, 3), "").await.unwrap();
    shop.sql("UPDATE larder_dead_letters SET requeued = TRUE").await;
    let letters = users.requeued(2).await.unwrap();
    assert_eq!(letters[0].numbered.write, user(1, "ü\"x"));
    assert_eq!(letters[0].reason, "ü".repeat(2_048));
    assert_eq!((letters.len(), &letters[1].numbered.write), (2, &Write::Delete));
}

/// Batches are cut anywhere, come again from anywhere, and across takeovers: each write counts
/// once.
pub async fn every_add_counts_once_however_the_journal_is_replayed(shop: &impl Shop) {
    const KEYS: u64 = 5;
    shop.sql("INSERT INTO counters SELECT value, 0 FROM (SELECT 1 AS value UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) AS v").await;
    let sink = counters(shop);
    let mut state = 7_u64;
    let mut random = |below: u64| {
        // Knuth's linear congruential generator, TAOCP 3.3.4.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut epoch = sink.own("a").await.unwrap();
    let (mut journal, mut sums) = (Vec::new(), vec![0_i64; KEYS as usize]);
    for _ in 0..120 {
        let (id, delta) = (random(KEYS), i64::try_from(random(100)).unwrap() - 50);
        sums[id as usize] += delta;
        let number = journal.len() as u64 + 1;
        let key = format!("counter:{}", id + 1);
        journal.push(numbered(&key, Write::Add(delta), epoch, number));
        if random(4) > 0 {
            continue;
        }
        // From somewhere not later than what isn't applied yet, in batches of one write a key.
        let mut rest = &journal[random(journal.len() as u64) as usize / 2..];
        let from = journal.len() - rest.len();
        let known: Vec<Key> =
            (1..=KEYS).map(|id| Key::from(format!("counter:{id}").as_str())).collect();
        let applied = sink.applied(&known).await.unwrap();
        let is_applied = |write: &Numbered<Key, Value>| {
            let at = known.iter().position(|key| *key == write.key).unwrap();
            applied[at] >= Some(write.sequence)
        };
        if !journal[..from].iter().all(is_applied) {
            rest = &journal;
        }
        while !rest.is_empty() {
            let mut seen = std::collections::HashSet::new();
            let size = rest.iter().take_while(|write| seen.insert(write.key.clone())).count();
            let (batch, later) = rest.split_at(size.min(1 + random(KEYS) as usize));
            sink.apply(epoch, batch).await.unwrap();
            rest = later;
        }
        if random(5) == 0 {
            epoch = sink.own("a").await.unwrap();
        }
    }
    for write in &journal {
        sink.apply(epoch, std::slice::from_ref(write)).await.unwrap();
    }
    let expected: Vec<_> = sums.iter().map(ToString::to_string).collect();
    assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, expected.join("\n"));
}

pub async fn limits_are_told(shop: &impl Shop) {
    let sink = users(shop);
    let key = Key::from("user:1");
    let large = Write::Store(Value::json("x".repeat(larder_sql::RESULT_BYTES_MAX + 1)));
    let error = sink.write(&key, &large).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.to_string().contains("16777216 are the most"), "{}", error.error);

    let epoch = sink.own("a").await.unwrap();
    let delete = |at: usize| numbered(&format!("user:{at}"), Write::Delete, epoch, 1);
    let mut batch: Vec<_> = (0..WRITES_MAX).map(delete).collect();
    assert_eq!(sink.apply(epoch, &batch).await.unwrap().len(), WRITES_MAX);
    batch.push(delete(WRITES_MAX));
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.to_string().contains("10000 writes"), "{}", error.error);
    let error = sink.apply(epoch, &[delete(1), delete(1)]).await.unwrap_err();
    assert!(error.error.to_string().contains("two writes of one key"), "{}", error.error);

    let large = Value::json("x".repeat(larder_sql::RESULT_BYTES_MAX));
    let store = |at: u64| numbered(&format!("user:{at}"), Write::Store(large.clone()), epoch, 2);
    let batch: Vec<_> = (0..5).map(store).collect();
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.to_string().contains("apply fewer at a time"), "{}", error.error);

    let names: Vec<_> = (0..1_000).map(|at| format!("{{f{at}}}")).collect();
    let store = format!("INSERT INTO users VALUES ({{id}}, {})", names.join(", "));
    let writes = Writes { store: Some(store), ..user_writes() };
    let error = SqlSink::new(shop.database(), writes).unwrap_err();
    assert!(error.to_string().contains("binds 1001 names, and 1000 are the most"), "{error}");
}

pub async fn the_tables_are_made_once_and_kept_while_they_are_needed(shop: &impl Shop) {
    let tables = WriteTables::of(shop.database());
    assert!(tables.ddl().matches("CREATE TABLE IF NOT EXISTS").count() == 3);
    let status = tables.status().await.unwrap();
    assert!(status.is_installed() && status.caches.is_empty());
    let (one, other) = tokio::join!(tables.install(), tables.install());
    one.unwrap();
    other.unwrap();
    let users = users(shop);
    let epoch = users.own("a").await.unwrap();
    let error = tables.remove().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("user is written behind by a"), "{error}");
    users.bury(epoch, &numbered("user:1", Write::Delete, epoch, 1), "odd").await.unwrap();
    users.disown(epoch).await.unwrap();
    let status = tables.status().await.unwrap();
    let [cache] = &status.caches[..] else { panic!("{status:?}") };
    assert_eq!((&*cache.cache, &cache.owner, cache.epoch), ("user", &None, epoch));
    assert_eq!((cache.letters, cache.requeued), (1, 0));
    let error = tables.remove().await.unwrap_err();
    assert!(error.to_string().contains("has 1 dead letters"), "{error}");
    shop.sql("DELETE FROM larder_dead_letters").await;
    tables.remove().await.unwrap();
    let status = tables.status().await.unwrap();
    assert_eq!(status.missing, ["larder_applied", "larder_owner", "larder_dead_letters"]);
    tables.remove().await.unwrap();
    // Without them nothing is written behind, and the error says what is missing.
    let error =
        users.apply(epoch, &[numbered("user:1", Write::Delete, epoch, 1)]).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient);
    assert!(error.error.chain().contains("larder_"), "{}", error.error.chain());
    tables.install().await.unwrap();
    users.own("a").await.unwrap();
    tables.remove_by_force().await.unwrap();
    assert!(!tables.status().await.unwrap().is_installed());
}
