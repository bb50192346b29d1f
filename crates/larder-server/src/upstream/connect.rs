//! How a connection is made: the socket, who we are, which version of the protocol and which
//! database. Where Sentinels say which server is the one to ask, it says that it is a master.

use std::borrow::Cow;
use std::future::poll_fn;

use larder_core::{Error, ErrorKind, Result};
use larder_redis::{Address, Servers};
use larder_resp::codec::{Protocol, Reply, ReplyLimits, decode_reply, encode_request};

use super::down;
use super::seat::Seat;
use super::wire::{Came, Wire};

/// A connection, and where it leads.
pub(super) struct Connected {
    pub(super) wire: Wire,
    pub(super) address: Address,
    /// How often the server had moved when it was looked for.
    pub(super) epoch: u64,
}

/// Makes a connection to the server that sits there now, within the time that options give it.
pub(super) async fn connect(seat: &Seat, protocol: Protocol) -> Result<Connected> {
    let epoch = seat.epoch();
    let made = tokio::time::timeout(seat.options().connect_timeout, async {
        match seat.address() {
            Some(address) => make(seat.servers(), address.clone(), protocol).await,
            None => {
                let open = |address| -> larder_core::BoxFuture<'_, _> {
                    Box::pin(make(seat.servers(), address, protocol))
                };
                seat.servers().reach(open).await
            }
        }
    });
    let made = made.await;
    let made = made
        .unwrap_or_else(|_| Err(down("the shared Redis can't be reached: no connection in time")));
    let (wire, address) = made?;
    seat.found(&address);
    Ok(Connected { wire, address, epoch })
}

async fn make(servers: &Servers, address: Address, protocol: Protocol) -> Result<(Wire, Address)> {
    let socket = servers
        .dial(&address)
        .await
        .map_err(|error| down("the shared Redis can't be reached").caused_by(error))?;
    let mut wire = Wire::new(socket);
    let greetings = greetings(servers, protocol);
    for greeting in &greetings {
        let mut bytes = Vec::new();
        let arguments: Vec<_> = greeting.iter().map(|argument| argument.as_bytes()).collect();
        encode_request(&mut bytes, &arguments);
        wire.send(&bytes);
    }
    for greeting in &greetings {
        let came = poll_fn(|context| wire.poll_reply(context)).await;
        let came = came.map_err(|error| down("the shared Redis hung up").caused_by(error))?;
        accepted(&greeting[0], came)?;
    }
    Ok((wire, address))
}

/// What is said first. A server that is too old for HELLO serves the clients of RESP2 all the same.
fn greetings(servers: &Servers, protocol: Protocol) -> Vec<Vec<Cow<'_, str>>> {
    let (user, password) = servers.login();
    let mut greetings = Vec::new();
    let user = user.or(password.map(|_| "default"));
    if let (Some(user), password) = (user, password.unwrap_or("")) {
        greetings.push(vec!["AUTH".into(), user.into(), password.into()]);
    }
    if protocol == Protocol::Resp3 {
        greetings.push(vec!["HELLO".into(), "3".into()]);
    }
    if servers.database() != 0 {
        greetings.push(vec!["SELECT".into(), servers.database().to_string().into()]);
    }
    if servers.has_sentinels() {
        greetings.push(vec!["ROLE".into()]);
    }
    greetings
}

/// Whether a greeting was accepted. What Redis says is passed on; what was said to it may be a
/// secret.
fn accepted(name: &str, came: Came) -> Result<()> {
    let Came::Reply(bytes) = came else {
        return Err(down("the shared Redis didn't answer as a Redis does"));
    };
    match decode_reply(&bytes, &ReplyLimits::default()) {
        // An access list may forbid the question. Writes show it then.
        Ok(Some((Reply::Error(_), _))) if name == "ROLE" => Ok(()),
        Ok(Some((Reply::Error(error), _))) => {
            let error = String::from_utf8_lossy(&error);
            let message = format!("the shared Redis refused {name}: {error}");
            Err(Error::new(ErrorKind::SharedDown, message))
        }
        Ok(Some((Reply::Array(role), _))) if name == "ROLE" => match role.first() {
            Some(Reply::Bulk(role)) if role[..] == *b"master" => Ok(()),
            _ => Err(down("the shared Redis is a replica, whatever its Sentinels say")),
        },
        Ok(_) => Ok(()),
        Err(error) => Err(down("the shared Redis didn't answer as a Redis does").caused_by(error)),
    }
}
