//! How a connection is made: the socket, who we are, which version of the protocol and which
//! database.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;

use larder_core::{Error, ErrorKind, Result};
use larder_resp::codec::{Protocol, Reply, ReplyLimits, decode_reply, encode_request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::down;
use super::options::{Address, Options};
use super::wire::{Came, Wire};
use crate::config::Secret;

/// A socket of either kind.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Makes a connection within the time that `options` give it.
pub(super) async fn connect(options: &Options, protocol: Protocol) -> Result<Wire> {
    let made = tokio::time::timeout(options.connect_timeout, make(options, protocol)).await;
    made.unwrap_or_else(|_| Err(down("the shared Redis can't be reached: no connection in time")))
}

async fn make(options: &Options, protocol: Protocol) -> Result<Wire> {
    let socket = open(&options.address)
        .await
        .map_err(|error| down("the shared Redis can't be reached").caused_by(error))?;
    let mut wire = Wire::new(socket);
    let greetings = greetings(options, protocol);
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
    Ok(wire)
}

async fn open(address: &Address) -> io::Result<Box<dyn Socket>> {
    Ok(match address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// What is said first. A server that is too old for HELLO serves the clients of RESP2 all the same.
fn greetings(options: &Options, protocol: Protocol) -> Vec<Vec<Cow<'_, str>>> {
    let user = options.user.as_deref();
    let password = options.password.as_ref().map(Secret::expose);
    let mut greetings = Vec::new();
    let user = user.or(password.map(|_| "default"));
    if let (Some(user), password) = (user, password.unwrap_or("")) {
        greetings.push(vec!["AUTH".into(), user.into(), password.into()]);
    }
    if protocol == Protocol::Resp3 {
        greetings.push(vec!["HELLO".into(), "3".into()]);
    }
    if options.database != 0 {
        greetings.push(vec!["SELECT".into(), options.database.to_string().into()]);
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
        Ok(Some((Reply::Error(error), _))) => {
            let error = String::from_utf8_lossy(&error);
            let message = format!("the shared Redis refused {name}: {error}");
            Err(Error::new(ErrorKind::SharedDown, message))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(down("the shared Redis didn't answer as a Redis does").caused_by(error)),
    }
}
