//! Postgres counts what it runs at the same time, gate by gate.

use std::thread;

use larder_test::{Postgres, concurrency};

#[test]
fn the_most_queries_at_one_time_are_counted_at_each_gate() {
    let postgres = Postgres::start();
    concurrency::create(&postgres);
    thread::scope(|scope| {
        for _ in 0..5 {
            // Whoever has to wait for the others would wait longer than any of them takes to come.
            scope.spawn(|| postgres.psql("SELECT * FROM concurrency(1, 5000)"));
        }
        for _ in 0..2 {
            postgres.psql("SELECT * FROM concurrency(2, 0); SELECT * FROM concurrency(2, 0)");
        }
    });
    assert_eq!([1, 2, 3].map(|gate| concurrency::most(&postgres, gate)), [5, 1, 0]);
    // A query that failed, and whose transaction is undone, was there all the same.
    let together = "SELECT 1 / (concurrency(3, 0) - 1)";
    postgres.psql(&format!("DO $$ BEGIN PERFORM ({together}); EXCEPTION WHEN OTHERS THEN END $$"));
    assert_eq!(concurrency::most(&postgres, 3), 1);
}
