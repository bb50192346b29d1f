//! Who follows: a lock of the server's, which lives as long as the connection that holds it.

use std::time::Duration;

use larder_core::{BoxFuture, Error, ErrorKind, Result};
use mysql_async::{Conn, Opts, Params};
use tokio::time::sleep;

use super::control::{fetch, text, within};

/// So often it is looked whether it is still held.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A lock that is held until this is dropped.
pub(super) struct Lock {
    /// The number of the connection that holds it: no other one of this server has it.
    pub(super) holder: u32,
    /// Ends when it is lost, and says how.
    pub(super) lost: BoxFuture<'static, Error>,
}

impl Lock {
    /// Takes the lock of this name.
    ///
    /// # Errors
    ///
    /// `Refused` when somebody else has it.
    pub(super) async fn take(options: Opts, name: &str) -> Result<Self> {
        // The name is of harmless characters.
        let name = format!("'larder_feed_{name}'");
        let taken = format!("SELECT GET_LOCK({name}, 0)");
        let (connection, is_taken) = within(async {
            let mut connection = Conn::new(options).await?;
            let is_taken = is_true(&mut connection, &taken).await?;
            Ok((connection, is_taken))
        })
        .await?;
        if !is_taken {
            return Err(Error::new(ErrorKind::Refused, "another process follows the feed"));
        }
        let held = format!("SELECT IS_USED_LOCK({name}) = CONNECTION_ID()");
        Ok(Self { holder: connection.id(), lost: Box::pin(hold(connection, held)) })
    }
}

/// Looks again and again, until the lock isn't held any more.
async fn hold(mut connection: Conn, held: String) -> Error {
    loop {
        sleep(LOOK_EVERY).await;
        match within(is_true(&mut connection, &held)).await {
            Ok(true) => {}
            Ok(false) => {
                return Error::new(ErrorKind::SourceDown, "the feed's lock was taken away");
            }
            Err(error) => return error,
        }
    }
}

async fn is_true(connection: &mut Conn, sql: &str) -> Result<bool, mysql_async::Error> {
    let rows = fetch(connection, &[sql], &Params::Empty).await?;
    Ok(rows.first().and_then(|row| text(row, 0)).as_deref() == Some("1"))
}
