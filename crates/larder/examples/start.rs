//! Names from a SQLite table, over HTTP: one query for as many readers as you like.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Router, http::StatusCode, routing::get};
use larder::{Cache, LoadContext, LoadError, Source};
use sqlx::SqlitePool;

struct Users(SqlitePool);

impl Source<i64, String> for Users {
    async fn load(&self, id: &i64, _: &mut LoadContext) -> Result<Option<String>, LoadError> {
        let query = sqlx::query_scalar("SELECT name FROM users WHERE id = ?").bind(id);
        Ok(query.fetch_optional(&self.0).await?)
    }
}

async fn user(users: State<Cache<i64, String>>, id: Path<i64>) -> Result<String, StatusCode> {
    let name = users.get(&id).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    name.ok_or(StatusCode::NOT_FOUND)
}

pub(crate) async fn app(database: &str) -> Result<Router, LoadError> {
    let source = Users(SqlitePool::connect(database).await?);
    let users =
        Cache::builder("user").max_staleness(Duration::from_secs(2)).source(source).build()?;
    Ok(Router::new().route("/users/{id}", get(user)).with_state(users))
}

#[tokio::main]
async fn main() -> Result<(), LoadError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app("sqlite:shop.db").await?).await?)
}
