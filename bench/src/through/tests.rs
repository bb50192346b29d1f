//! Every contender reads through, invalidates and fails alike, and the options say who they are.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn terms(capacity: usize) -> Terms {
    Terms { capacity, fresh_for: HOUR, stale_for: Duration::ZERO, stale_on_error: Duration::ZERO }
}

fn within_a_runtime<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime").block_on(test)
}

/// Reads, reads again, invalidates and reads once more: what was read, and the loads so far.
struct Reads(Terms);

impl<K: Key, V: Value> Job<K, V> for Reads {
    type Out = Vec<(Option<u8>, u64)>;

    fn run<C: ReadThrough<K, V>>(self) -> Self::Out {
        within_a_runtime(async {
            let rows = Arc::new(Rows::default());
            let cache = C::new(self.0, Arc::clone(&rows));
            let key = K::numbered(7);
            let read = async || (cache.get(&key).await.map(|value| value.byte()), rows.loads());
            let mut seen = vec![read().await, read().await];
            assert!(cache.holds(&key).await);
            cache.invalidate(&key).await;
            seen.push(read().await);
            seen
        })
    }
}

#[test]
fn every_contender_loads_once_until_it_is_invalidated() {
    let byte = memory::key(7) as u8;
    for contender in Contender::ALL {
        let expected = [(Some(byte), 1), (Some(byte), 1), (Some(byte), 2)];
        let numbers: Vec<_> = contender.run::<u64, u64, _>(Reads(terms(100)));
        assert_eq!(numbers, expected, "{contender:?}");
        let texts: Vec<_> = contender.run::<String, memory::Shared, _>(Reads(terms(100)));
        assert_eq!(texts, expected, "{contender:?}");
    }
}

#[test]
fn those_that_refresh_read_through_as_well() {
    for contender in Contender::ALL.into_iter().filter(|contender| contender.refreshes()) {
        let seen = contender.run::<u64, u64, _>(Reads(Terms { stale_for: HOUR, ..terms(100) }));
        assert_eq!(seen.iter().map(|(_, loads)| *loads).collect::<Vec<_>>()[..2], [1, 1]);
    }
}

/// Reads while the source is down, and then when it is up again.
struct Fails;

impl Job<u64, u64> for Fails {
    type Out = [Option<u64>; 2];

    fn run<C: ReadThrough<u64, u64>>(self) -> Self::Out {
        within_a_runtime(async {
            let rows = Arc::new(Rows::default());
            let cache = C::new(terms(100), Arc::clone(&rows));
            rows.behave(Duration::ZERO, true);
            let down = cache.get(&1).await;
            rows.behave(Duration::ZERO, false);
            // Another key: one that failed may be left alone for a while.
            [down, cache.get(&2).await]
        })
    }
}

#[test]
fn a_failed_load_is_no_value() {
    for contender in Contender::ALL {
        assert_eq!(contender.run(Fails), [None, Some(2)], "{contender:?}");
    }
}

#[test]
fn the_name_is_the_one_on_the_command_line_and_each_cache_has_a_version() {
    for contender in Contender::ALL {
        let value = contender.to_possible_value().expect("no contender is hidden");
        assert_eq!(value.get_name(), contender.name());
        let has_version = contender.title().contains(' ');
        assert_eq!(has_version, contender != Contender::CacheAside, "{contender:?}");
    }
}

#[test]
fn larder_and_the_floor_take_part_whoever_is_named() {
    let of = |peers: &[Contender]| {
        let peers = peers.to_vec();
        Options { quick: false, only: Vec::new(), peers, rounds: None }.contenders()
    };
    assert_eq!(of(&[]), Contender::ALL);
    assert_eq!(
        of(&[Contender::Foyer]),
        [Contender::Larder, Contender::Foyer, Contender::CacheAside]
    );
}

#[test]
fn an_unknown_workload_is_refused_with_those_there_are() {
    let only = vec!["warm".to_owned()];
    let options = Options { quick: true, only, peers: Vec::new(), rounds: None };
    let refused = options.check(&["cold".to_owned()]).expect_err("there is none");
    assert!(refused.contains("warm") && refused.contains("cold"));
}
