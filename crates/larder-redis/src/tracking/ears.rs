//! The connections over which servers push what has changed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use larder_core::sync::{AtomicBool, Ordering};
use larder_core::{Error, Result};
use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value, pipe};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::connection::{Connection, Settings};
use crate::errors;
use crate::node::Node;

/// The most pushes that wait to be heard; each is what changed in one turn of a server's loop. One
/// more, and the connection counts as lost.
const PUSHES_MAX: usize = 4_096;

/// What a server pushed.
#[derive(Debug)]
pub(super) enum Heard {
    /// These names changed.
    Changed(Vec<Bytes>),
    /// Everything is gone.
    Flushed,
    /// Something may have been pushed that wasn't heard.
    Lost,
}

/// Who is told what servers push.
#[derive(Clone)]
pub(crate) struct Pushes {
    sender: mpsc::Sender<Heard>,
    /// Whether more was pushed than could wait. Set before the answer that is behind it is given
    /// out by the same task.
    is_deaf: Arc<AtomicBool>,
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pushes")
    }
}

impl AsyncPushSender for Pushes {
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        let heard = match push.kind {
            PushKind::Invalidate => read(push.data),
            PushKind::Disconnection => Heard::Lost,
            // Nothing else is asked for.
            _ => return Ok(()),
        };
        self.sender.try_send(heard).map_err(|_| {
            self.is_deaf.store(true, Ordering::Release);
            SendError
        })
    }
}

/// What a push says. What can't be understood may have said anything.
fn read(data: Vec<Value>) -> Heard {
    let mut data = data.into_iter();
    match (data.next(), data.next()) {
        (Some(Value::Nil), None) => Heard::Flushed,
        (Some(Value::Array(names)), None) => {
            let names = names.into_iter().map(|name| crate::reply::bytes(name).ok());
            names.collect::<Option<_>>().map_or(Heard::Lost, Heard::Changed)
        }
        _ => Heard::Lost,
    }
}

/// A connection to each server that entries live on.
pub(super) struct Ears {
    ears: Vec<(Node, Connection)>,
    pub(super) heard: mpsc::Receiver<Heard>,
    is_deaf: Arc<AtomicBool>,
}

impl Ears {
    /// Opens them. Whatever changes after this returns is heard.
    pub(super) async fn open(client: &Client) -> Result<Self> {
        let (sender, heard) = mpsc::channel(PUSHES_MAX);
        let is_deaf = Arc::new(AtomicBool::new(false));
        let pushes = Some(Pushes { sender, is_deaf: is_deaf.clone() });
        let settings = Arc::new(Settings { pushes, ..Settings::clone(&client.settings) });
        let nodes = client.topology.nodes().await?;
        let ears = nodes.into_iter().map(|node| async {
            let connection = node.another_by(&settings).await?;
            let mut question = pipe();
            question.cmd("CLIENT").arg("TRACKING").arg("ON").arg("BCAST");
            question.arg("PREFIX").arg(&client.names.entries()[..]);
            for answer in connection.ask(&mut question).await? {
                client.refuse_error(&answer)?;
            }
            Ok::<_, Error>((node, connection))
        });
        let ears = try_join_all(ears).await?;
        Ok(Self { ears, heard, is_deaf })
    }

    /// Waits until everything waits in `heard` that was pushed in turns that were over before.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let asked = self.ears.iter().map(|(node, connection)| async move {
            let mut question = pipe();
            question.cmd("PING");
            connection.ask(&mut question).await?;
            // An old master may go on as if nothing had happened.
            if node.is_elsewhere(connection) { Err(errors::odd("such server")) } else { Ok(()) }
        });
        try_join_all(asked).await?;
        if self.is_deaf.load(Ordering::Acquire) {
            return Err(errors::odd("room for pushes"));
        }
        Ok(())
    }

    /// Looks whether entries live on the servers that are listened to, and no others.
    pub(super) async fn look(&self, client: &Client) -> Result<()> {
        let nodes = client.topology.nodes().await?;
        let is_known = |node: &Node| self.ears.iter().any(|(known, _)| known.is(node));
        if nodes.iter().all(is_known) { Ok(()) } else { Err(client.lost_track()) }
    }
}

impl Client {
    /// The error of who can't vouch for what it heard.
    pub(super) fn lost_track(&self) -> Error {
        errors::down(&self.settings.name, "may have pushed what wasn't heard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(kind: PushKind, data: Vec<Value>) -> PushInfo {
        PushInfo { kind, data }
    }

    #[test]
    fn more_pushes_than_may_wait_make_deaf() {
        let (sender, mut heard) = mpsc::channel(1);
        let pushes = Pushes { sender, is_deaf: Arc::default() };
        let names = Value::Array(vec![Value::BulkString(b"a".to_vec())]);
        pushes.send(push(PushKind::Invalidate, vec![names.clone()])).unwrap();
        assert!(!pushes.is_deaf.load(Ordering::Acquire));
        assert!(pushes.send(push(PushKind::Invalidate, vec![names])).is_err());
        assert!(pushes.is_deaf.load(Ordering::Acquire));
        assert!(matches!(heard.try_recv(), Ok(Heard::Changed(names)) if names == ["a"]));
    }

    #[test]
    fn what_is_pushed_in_another_form_is_never_taken_for_nothing() {
        assert!(matches!(read(vec![Value::Nil]), Heard::Flushed));
        for odd in [vec![], vec![Value::Okay], vec![Value::Array(vec![Value::Nil])]] {
            assert!(matches!(read(odd), Heard::Lost));
        }
    }
}
