//! What dead letters do alike from outside, whichever the database.

use larder_core::sink::{Numbered, Sequence};
use larder_core::{ErrorKind, Key, Sink, Value, Write};
use larder_sql::{DeadLetters, LETTERS_MAX, LetterPage, SqlSink, WriteTables};

use super::sinks::{Shop, counters, fates, numbered, user, users};

/// Buries writes, one after the other, each under the next number.
async fn bury(sink: &SqlSink, epoch: u64, writes: impl IntoIterator<Item = (&str, Write<Value>)>) {
    for (at, (key, write)) in writes.into_iter().enumerate() {
        let write = numbered(key, write, epoch, at as u64 + 1);
        sink.bury(epoch, &write, "refused").await.unwrap();
    }
}

/// The only letter that was requeued, as the owner would apply it under this number.
async fn taken(sink: &SqlSink, epoch: u64, number: u64) -> Numbered<Key, Value> {
    let letters = sink.requeued(10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    Numbered { sequence: Sequence { epoch, number }, ..letter.numbered.clone() }
}

pub async fn letters_are_listed_in_pages_of_one_cache_or_of_all(shop: &impl Shop) {
    let letters = DeadLetters::of(shop.database());
    assert_eq!(letters.list(&LetterPage::default()).await.unwrap(), []);
    let (users, counters) = (users(shop), counters(shop));
    let (of_users, of_counters) = (users.own("a").await.unwrap(), counters.own("a").await.unwrap());
    bury(&users, of_users, [("user:1", user(1, "a")), ("user:2", Write::Delete)]).await;
    bury(&counters, of_counters, [("counter:1", Write::Add(-5))]).await;
    bury(&users, of_users, [("user:3", user(3, "c")), ("user:4", user(4, "d"))]).await;

    let keys = async |page: &LetterPage| {
        let listed = letters.list(page).await.unwrap();
        let keys = listed.iter().map(|letter| letter.key.clone()).collect::<Vec<_>>();
        (keys.join(" "), listed.last().map_or(0, |last| last.id))
    };
    let all = "user:1 user:2 counter:1 user:3 user:4";
    assert_eq!(keys(&LetterPage::default()).await.0, all);
    let mut page = LetterPage { limit: 2, ..LetterPage::default() };
    for expected in ["user:1 user:2", "counter:1 user:3", "user:4", ""] {
        let (found, last) = keys(&page).await;
        assert_eq!(found, expected);
        page.after = last;
    }
    page = LetterPage { limit: 3, ..LetterPage::of_cache("user") };
    for expected in ["user:1 user:2 user:3", "user:4", ""] {
        let (found, last) = keys(&page).await;
        assert_eq!(found, expected);
        page.after = last;
    }
    for cache in ["", "users", "user' OR '1'='1", "%"] {
        assert_eq!(keys(&LetterPage::of_cache(cache)).await.0, "", "{cache}");
    }
    assert_eq!(keys(&LetterPage { limit: 0, ..LetterPage::default() }).await.0, "");
    assert_eq!(keys(&LetterPage { after: u64::MAX, ..LetterPage::default() }).await.0, "");

    // However many are asked for.
    let rows: Vec<_> =
        (0..LETTERS_MAX).map(|at| format!("('many','{at}','delete',1,1,'')")).collect();
    shop.sql(&shop.words(&format!(
        "INSERT INTO larder_dead_letters (cache, key, verb, epoch, seq, reason) VALUES {}",
        rows.join(",")
    )))
    .await;
    let page = LetterPage { limit: usize::MAX, ..LetterPage::default() };
    assert_eq!(letters.list(&page).await.unwrap().len(), LETTERS_MAX);
}

pub async fn what_a_letter_says_is_shown_as_text_and_bounded(shop: &impl Shop) {
    let letters = DeadLetters::of(shop.database());
    let (users, counters) = (users(shop), counters(shop));
    let epoch = users.own("a").await.unwrap();
    let long = "ü".repeat(100_000);
    let stored = [
        ("user:1", Write::Store(Value::json(r#"{"name":"Zoë"}"#))),
        ("user:2", Write::Store(Value::json(b"\x00\xff'\\".to_vec()))),
        ("user:3", Write::Store(Value::json(long.clone()))),
        ("user:4", Write::Store(Value::json(""))),
        ("user:5", Write::Delete),
    ];
    bury(&users, epoch, stored).await;
    let of_counters = counters.own("a").await.unwrap();
    bury(&counters, of_counters, [("counter:1", Write::Add(i64::MIN))]).await;

    let listed = letters.list(&LetterPage::default()).await.unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|letter| letter.value.as_ref().map(|value| (&*value.text, value.bytes)))
        .collect();
    let expected = [
        Some((r#"{"name":"Zoë"}"#, 15)),
        Some((r"\x00\xff'\\", 4)),
        Some((&long[..256], 200_000)),
        Some(("", 0)),
        None,
        None,
    ];
    assert_eq!(shown, expected);
    let verbs: Vec<_> = listed.iter().map(|letter| (&*letter.verb, letter.delta)).collect();
    assert_eq!(verbs[3..], [("store", None), ("delete", None), ("add", Some(i64::MIN))]);
    let first = &listed[0];
    assert_eq!((&*first.cache, &*first.key, &*first.reason), ("user", "user:1", "refused"));
    assert_eq!((first.epoch, first.number, first.is_requeued), (epoch, 1, false));
    // As RFC 3339 has it.
    let digits: String =
        first.at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(digits, "0000-00-00T00:00:00Z");

    let third = letters.show(listed[2].id).await.unwrap().unwrap();
    let value = third.value.unwrap();
    assert_eq!((&*value.text, value.is_cut()), (&long[..64 << 10], true));
    assert_eq!(letters.show(listed[0].id).await.unwrap().as_ref(), Some(first));
    letters.requeue(listed[3].id).await.unwrap();
    assert_eq!(taken(&users, epoch, 9).await.write, Write::Store(Value::json("")));
    for id in [0, 999, u64::MAX] {
        assert_eq!(letters.show(id).await.unwrap(), None);
    }
}

pub async fn requeued_letters_are_what_the_owner_takes(shop: &impl Shop) {
    let letters = DeadLetters::of(shop.database());
    let (users, counters) = (users(shop), counters(shop));
    let epoch = users.own("a").await.unwrap();
    let deletes = ["user:1", "user:2", "user:3", "user:4"].map(|key| (key, Write::Delete));
    bury(&users, epoch, deletes).await;
    let of_counters = counters.own("a").await.unwrap();
    bury(&counters, of_counters, [("counter:1", Write::Add(1))]).await;
    let ids: Vec<_> = letters.list(&LetterPage::default()).await.unwrap();
    let ids: Vec<_> = ids.iter().map(|letter| letter.id).collect();
    let requeued = async |sink: &SqlSink| {
        let letters = sink.requeued(10).await.unwrap();
        letters.iter().map(|letter| letter.id).collect::<Vec<_>>()
    };

    assert!(letters.requeue(ids[1]).await.unwrap());
    assert!(letters.requeue(ids[1]).await.unwrap());
    assert!(!letters.requeue(ids[4] + 1).await.unwrap());
    assert!(!letters.requeue(u64::MAX).await.unwrap());
    assert_eq!(requeued(&users).await, [ids[1]]);
    assert!(letters.show(ids[1]).await.unwrap().unwrap().is_requeued);

    // By pages, each once, and of this cache only.
    let mut page = LetterPage { limit: 2, ..LetterPage::of_cache("user") };
    assert_eq!(letters.requeue_page(&page).await.unwrap(), [ids[0], ids[2]]);
    page.after = ids[2];
    // It is refused again meanwhile.
    let again = Numbered { letter: Some(ids[0]), ..numbered("user:1", Write::Delete, epoch, 9) };
    users.bury(epoch, &again, "once more").await.unwrap();
    assert_eq!(letters.requeue_page(&page).await.unwrap(), [ids[3]]);
    page.after = ids[3];
    assert_eq!(letters.requeue_page(&page).await.unwrap(), [0; 0]);
    assert_eq!(requeued(&users).await, [ids[1], ids[2], ids[3]]);
    assert_eq!(requeued(&counters).await, [0; 0]);
    let odd = LetterPage::of_cache("user' OR '1'='1");
    assert_eq!(letters.requeue_page(&odd).await.unwrap(), [0; 0]);
    let all = letters.requeue_page(&LetterPage::default()).await.unwrap();
    assert_eq!(all, [ids[0], ids[4]]);
}

pub async fn a_dropped_letter_is_never_applied(shop: &impl Shop) {
    let letters = DeadLetters::of(shop.database());
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let counters = counters(shop);
    let epoch = counters.own("a").await.unwrap();
    bury(&counters, epoch, ["counter:1"; 3].map(|key| (key, Write::Add(1)))).await;
    let ids: Vec<_> = letters.list(&LetterPage::default()).await.unwrap();
    let [one, two, three] = ids.iter().map(|letter| letter.id).collect::<Vec<_>>()[..] else {
        panic!("{ids:?}")
    };
    // The owner has it in hand already.
    letters.requeue(one).await.unwrap();
    let taken_one = taken(&counters, epoch, 10).await;
    let dropped = letters.drop(one).await.unwrap().unwrap();
    assert_eq!((dropped.id, dropped.is_requeued, dropped.delta), (one, true, Some(1)));
    assert_eq!(letters.drop(one).await.unwrap(), None);
    assert_eq!(fates(&counters.apply(epoch, &[taken_one]).await.unwrap()), ["before"]);
    assert_eq!(shop.sql("SELECT n FROM counters").await, "0");
    // Refused once more, it doesn't come back.
    letters.requeue(two).await.unwrap();
    let taken_two = taken(&counters, epoch, 11).await;
    letters.drop(two).await.unwrap().unwrap();
    counters.bury(epoch, &taken_two, "once more").await.unwrap();
    assert_eq!(letters.show(two).await.unwrap(), None);
    // What was applied can't be dropped.
    letters.requeue(three).await.unwrap();
    let taken_three = taken(&counters, epoch, 12).await;
    assert_eq!(fates(&counters.apply(epoch, &[taken_three]).await.unwrap()), ["value"]);
    assert_eq!(letters.drop(three).await.unwrap(), None);
    assert!(!letters.requeue(three).await.unwrap());
    assert_eq!(shop.sql("SELECT n FROM counters").await, "1");
    assert_eq!(letters.drop(u64::MAX).await.unwrap(), None);
}

pub async fn of_a_drop_and_an_apply_exactly_one_finds_the_letter(shop: &impl Shop) {
    let letters = DeadLetters::of(shop.database());
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let counters = counters(shop);
    let epoch = counters.own("a").await.unwrap();
    let mut applied = 0;
    for round in 1..=20 {
        let add = numbered("counter:1", Write::Add(1), epoch, 2 * round);
        counters.bury(epoch, &add, "refused").await.unwrap();
        let all = letters.requeue_page(&LetterPage::default()).await.unwrap();
        let again = [taken(&counters, epoch, 2 * round + 1).await];
        let (fate, dropped) = tokio::join!(counters.apply(epoch, &again), letters.drop(all[0]));
        let is_applied = fates(&fate.unwrap()) == ["value"];
        assert_ne!(is_applied, dropped.unwrap().is_some());
        applied += u64::from(is_applied);
        assert_eq!(shop.sql("SELECT n FROM counters").await, applied.to_string());
        assert_eq!(letters.list(&LetterPage::default()).await.unwrap(), []);
    }
}

pub async fn what_was_applied_can_be_asked_from_outside(shop: &impl Shop) {
    let tables = WriteTables::of(shop.database());
    let users = users(shop);
    let epoch = users.own("a").await.unwrap();
    users.apply(epoch, &[numbered("user:1", user(1, "a"), epoch, 7)]).await.unwrap();
    let keys = ["user:2", "user:1", "user:1' OR '1'='1"];
    let at = Some(Sequence { epoch, number: 7 });
    assert_eq!(tables.applied("user", &keys).await.unwrap(), [None, at, None]);
    assert_eq!(tables.applied("other", &keys).await.unwrap(), [None; 3]);
    assert_eq!(tables.applied("user", &[]).await.unwrap(), []);
    assert_eq!(tables.applied("user", &["user:1"; 1_000]).await.unwrap(), [at; 1_000]);
    let error = tables.applied("user", &["user:1"; 1_001]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

pub async fn without_the_tables_it_is_said_that_they_are_missing(shop: &impl Shop) {
    let letters = DeadLetters::of(shop.database());
    let tables = WriteTables::of(shop.database());
    tables.remove().await.unwrap();
    let errors = [
        letters.list(&LetterPage::default()).await.unwrap_err(),
        letters.show(1).await.unwrap_err(),
        letters.requeue(1).await.unwrap_err(),
        letters.requeue_page(&LetterPage::of_cache("user")).await.unwrap_err(),
        letters.drop(1).await.unwrap_err(),
        tables.applied("user", &["user:1"]).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
        assert!(error.to_string().contains("install them"), "{error}");
    }
}
