//! The start, some steps further: a write that invalidates, old names while the database fails,
//! and answers that say how old they are.
//!
//! It makes its own database, `cargo run -p larder --example next_steps`, and then:
//!
//! ```sh
//! curl -i localhost:3000/users/1
//! curl -X PUT localhost:3000/users/1 -d Grace
//! curl localhost:3000/stats
//! ```

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use larder::{Cache, Engine, LoadContext, LoadError, Source};
use sqlx::SqlitePool;

#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) database: SqlitePool,
    pub(crate) users: Cache<i64, String>,
}

struct Users(SqlitePool);

impl Source<i64, String> for Users {
    async fn load(&self, id: &i64, _: &mut LoadContext) -> Result<Option<String>, LoadError> {
        let query = sqlx::query_scalar("SELECT name FROM users WHERE id = ?").bind(id);
        Ok(query.fetch_optional(&self.0).await?)
    }
}

fn cache(database: &SqlitePool, engine: &Engine) -> larder::Result<Cache<i64, String>> {
    Cache::builder("user")
        .max_staleness(Duration::from_secs(2)) // the promise
        .stale_on_error(Duration::from_secs(3600)) // but an hour, while the database fails
        .entries_max(100_000)
        .weigher(|_, name: Option<&String>| name.map_or(0, String::capacity))
        .source(Users(database.clone()))
        .engine(engine)
        .build()
}

async fn user(State(shop): State<Shop>, Path(id): Path<i64>) -> Response {
    match shop.users.ask(&id).await {
        Ok(answer) => {
            let age = answer.age.as_millis().to_string();
            let seen = [("x-age-ms", age.as_str()), ("x-reason", answer.reason.as_str())];
            match answer.value {
                Some(name) => (seen, name).into_response(),
                None => (StatusCode::NOT_FOUND, seen).into_response(),
            }
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().http_status());
            (status.unwrap_or(StatusCode::BAD_GATEWAY), error.to_string()).into_response()
        }
    }
}

async fn rename(State(shop): State<Shop>, Path(id): Path<i64>, name: String) -> StatusCode {
    let query = sqlx::query("UPDATE users SET name = ? WHERE id = ?").bind(name).bind(id);
    if query.execute(&shop.database).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    // Committed. From here on nobody gets the old name.
    match shop.users.invalidate(&id).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn stats(State(shop): State<Shop>) -> String {
    let stats = shop.users.stats();
    let ratio = stats.hit_ratio().unwrap_or(0.0) * 100.0;
    format!("{} hits ({ratio:.0} %), {} loads\n", stats.hits(), stats.loads.count())
}

pub(crate) fn shop(database: SqlitePool, engine: &Engine) -> larder::Result<Shop> {
    let users = cache(&database, engine)?;
    Ok(Shop { database, users })
}

pub(crate) fn app(shop: Shop) -> Router {
    let users = get(user).put(rename);
    Router::new().route("/users/{id}", users).route("/stats", get(stats)).with_state(shop)
}

#[tokio::main]
async fn main() -> Result<(), LoadError> {
    let database = SqlitePool::connect("sqlite:next_steps.db?mode=rwc").await?;
    for statement in [
        "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "INSERT OR IGNORE INTO users VALUES (1, 'Ada')",
    ] {
        sqlx::query(statement).execute(&database).await?;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let shop = shop(database, &Engine::on_tokio()?)?;
    Ok(axum::serve(listener, app(shop)).await?)
}
