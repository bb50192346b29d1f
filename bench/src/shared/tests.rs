//! Both sides answer what the table says, and see what changed.

use super::*;

/// Rows of these tests, few enough to be filled at once.
const FEW: u64 = 1_000;

#[test]
fn a_row_is_about_two_hundred_bytes() {
    let bytes = rmp_serde::to_vec_named(&Table::new(FEW).row(7)).unwrap().len();
    assert!((180..=220).contains(&bytes), "{bytes} bytes");
}

#[test]
fn both_sides_read_from_redis_and_see_what_they_changed() {
    async fn check<R: Reads>(side: &R, table: &Table) {
        let loads = table.loads();
        for id in 0..FEW {
            assert_eq!(side.read(id).await.unwrap(), table.row(id));
        }
        assert_eq!(table.loads(), loads, "what was filled is loaded again");
        table.change(7);
        side.changed(7).await.unwrap();
        let row = side.read(7).await.unwrap();
        assert_eq!((row.version, row), (1, table.row(7)));
        assert_eq!(table.loads(), loads + 1);
    }
    let redis = Redis::start();
    runtime().block_on(async {
        let table = Arc::new(Table::new(FEW));
        Larder::fill(&redis.url(), &table, FEW).await.unwrap();
        let larder = Larder::new(&redis.url(), &table, FEW as usize / 10).await.unwrap();
        check(&larder, &table).await;
        let table = Arc::new(Table::new(FEW));
        let direct = Direct::new(&redis.url(), &table).await.unwrap();
        direct.fill(FEW).await.unwrap();
        check(&direct, &table).await;
    });
}

#[test]
fn both_sides_count_what_they_did_in_a_round() {
    let redis = Redis::start();
    let table = Arc::new(Table::new(FEW));
    // Three times each, so that one request in seven is for another row each time.
    let requests: Arc<[u64]> = (0..3 * FEW).map(|at| at % FEW).collect();
    let round = |reads_per_change| Round {
        table: &table,
        requests: &requests,
        reads_per_change,
        number: 1,
        window: Duration::from_millis(50),
    };
    runtime().block_on(async {
        let larder = Arc::new(Larder::new(&redis.url(), &table, FEW as usize).await.unwrap());
        larder.warm(FEW).await.unwrap();
        let held = round(None).run(&larder).await.unwrap();
        assert_eq!((held.hits, held.loads), (held.reads, 0));
        assert!(held.reads > 0 && held.elapsed >= Duration::from_millis(50));
        // How much is read in a round is the machine's affair; sooner or later something changes.
        let mut loads = 0;
        for _ in 0..100 {
            loads += round(Some(7)).run(&larder).await.unwrap().loads;
            if loads > 0 {
                break;
            }
        }
        assert!(loads > 0);

        let direct = Arc::new(Direct::new(&redis.url(), &table).await.unwrap());
        let loaded = round(None).run(&direct).await.unwrap();
        assert_eq!(loaded.hits, 0);
        assert!((1..=loaded.reads).contains(&loaded.loads));
    });
}
