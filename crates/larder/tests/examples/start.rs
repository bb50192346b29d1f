//! The start of the documentation, over a SQLite file and real HTTP.

use sqlx::SqlitePool;
use tempfile::TempDir;

use crate::files::start::app;
use crate::http::Site;

/// A folder with a database of users, which is gone when it is dropped.
async fn database() -> (TempDir, SqlitePool, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let pool = SqlitePool::connect(&format!("{url}?mode=rwc")).await.unwrap();
    for statement in [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    (folder, pool, url)
}

#[tokio::test]
async fn it_serves_rows_absence_and_failure() {
    let (_folder, pool, url) = database().await;
    let site = Site::serve(app(&url).await.unwrap()).await;
    let ada = site.get("/users/1").await;
    assert_eq!((ada.status, ada.body.as_str()), (200, "Ada"));
    assert_eq!(site.get("/users/3").await.status, 404);
    assert_eq!(site.get("/users/ada").await.status, 400);
    sqlx::query("DROP TABLE users").execute(&pool).await.unwrap();
    assert_eq!(site.get("/users/2").await.status, 503);
}

/// The machine's clock runs here, and a slow machine may take longer than the window between two
/// requests; not every time.
#[tokio::test]
async fn it_answers_from_memory_within_its_window() {
    let (_folder, pool, url) = database().await;
    let site = Site::serve(app(&url).await.unwrap()).await;
    for round in 0..20 {
        let before = site.get("/users/1").await.body;
        let new = format!("Ada {round}");
        sqlx::query("UPDATE users SET name = ?").bind(&new).execute(&pool).await.unwrap();
        let after = site.get("/users/1").await.body;
        if after == before {
            return;
        }
        assert_eq!(after, new);
    }
    panic!("it asked the database each time");
}
