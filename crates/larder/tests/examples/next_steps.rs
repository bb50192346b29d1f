//! The steps after the start: a write that invalidates, stale answers while the database fails,
//! and ages, over real HTTP, with a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use larder::Engine;
use larder::engine::runtime::TokioSpawn;
use larder_test::ManualClock;
use sqlx::sqlite::SqlitePoolOptions;

use crate::files::next_steps::{app, shop};
use crate::http::{Response, Site};

fn seen(response: &Response) -> (u16, &str, Option<&str>, Option<&str>) {
    let (reason, age) = (response.header("x-reason"), response.header("x-age-ms"));
    (response.status, &response.body, reason, age)
}

#[tokio::test]
async fn a_write_is_seen_at_once_and_old_names_stand_in_while_the_database_fails() {
    let pool =
        SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    for statement in [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO users VALUES (1, 'Ada')",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current().unwrap()));
    let site = Site::serve(app(shop(pool.clone(), &engine).unwrap())).await;

    let user = || site.get("/users/1");
    assert_eq!(seen(&user().await), (200, "Ada", Some("loaded"), Some("0")));
    clock.advance(Duration::from_secs(1));
    assert_eq!(seen(&user().await), (200, "Ada", Some("held"), Some("1000")));

    assert_eq!(site.send("PUT", "/users/1", "Grace").await.status, 204);
    assert_eq!(seen(&user().await), (200, "Grace", Some("loaded"), Some("0")));
    assert_eq!(seen(&site.get("/users/2").await), (404, "", Some("loaded"), Some("0")));

    sqlx::query("DROP TABLE users").execute(&pool).await.unwrap();
    clock.advance(Duration::from_secs(3));
    assert_eq!(seen(&user().await), (200, "Grace", Some("failing"), Some("3000")));
    assert_eq!(site.get("/users/3").await.status, 502);
    assert_eq!(site.send("PUT", "/users/1", "Linus").await.status, 503);

    let stats = site.get("/stats").await.body;
    assert_eq!(stats, "1 hits (17 %), 5 loads\n");
}
