//! A blocking client of a running server: it asks for keys.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use larder_core::Key;
use larder_resp::codec::{Reply, ReplyLimits, decode_reply, encode_request};

/// How long connecting, and each answer, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Found,
    Absent,
    /// Its error, as it says it.
    Failed(String),
}

/// What the server says of one key when it is asked for everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its bytes; `None` is an absence.
    pub(crate) value: Option<Vec<u8>>,
    /// Where it came from: `memory`, `shared` or `source`.
    pub(crate) tier: String,
    /// Why it was served: `held`, `loaded` and so on.
    pub(crate) reason: String,
}

/// A connection to a server.
pub(crate) struct Client {
    stream: TcpStream,
    to: String,
    /// What has arrived and was not read yet.
    input: Vec<u8>,
}

impl Client {
    /// Connects, and says the password if there is one.
    pub(crate) fn connect(to: &str, password: Option<&str>) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("can't connect to {to}: {error}");
        let mut last = None;
        for address in to.to_socket_addrs().map_err(fault)? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
                    stream.set_write_timeout(Some(PATIENCE)).map_err(fault)?;
                    let mut client = Self { stream, to: to.to_owned(), input: Vec::new() };
                    if let Some(password) = password {
                        client.authenticate(password)?;
                    }
                    return Ok(client);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(fault(last.unwrap_or_else(|| ErrorKind::NotFound.into())))
    }

    fn authenticate(&mut self, password: &str) -> Result<(), String> {
        let mut request = Vec::new();
        encode_request(&mut request, &["AUTH", password]);
        self.send(&request)?;
        match self.reply()? {
            Reply::Error(error) => {
                Err(format!("{} refuses the password: {}", self.to, text(&error)))
            }
            _ => Ok(()),
        }
    }

    /// Asks for all of `keys` at once, and shows each answer to `take` in their order.
    pub(crate) fn get(&mut self, keys: &[Key], mut take: impl FnMut(Answer)) -> Result<(), String> {
        let mut requests = Vec::new();
        for key in keys {
            encode_request(&mut requests, &[b"GET", key.as_bytes()]);
        }
        self.send(&requests)?;
        for _ in keys {
            take(match self.reply()? {
                Reply::Error(error) => Answer::Failed(text(&error)),
                Reply::Null => Answer::Absent,
                _ => Answer::Found,
            });
        }
        Ok(())
    }

    /// Asks for one key, with what the server knows of it.
    pub(crate) fn served(&mut self, key: &Key) -> Result<Served, String> {
        let mut request = Vec::new();
        encode_request(&mut request, &[b"LARDER.GET", key.as_bytes()]);
        self.send(&request)?;
        let fields = match self.reply()? {
            Reply::Error(error) => return Err(format!("{}: {}", self.to, text(&error))),
            // A server that wasn't told of RESP3 writes a map as a list.
            Reply::Array(fields) => fields,
            _ => return Err(format!("{} doesn't answer as a larder", self.to)),
        };
        let mut served = Served { value: None, tier: String::new(), reason: String::new() };
        for pair in fields.chunks_exact(2) {
            match (bytes(&pair[0]), bytes(&pair[1])) {
                (Some(b"value"), value) => served.value = value.map(<[u8]>::to_vec),
                (Some(b"tier"), Some(tier)) => served.tier = text(tier),
                (Some(b"reason"), Some(reason)) => served.reason = text(reason),
                _ => {}
            }
        }
        Ok(served)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| self.lost(&error))
    }

    fn reply(&mut self) -> Result<Reply, String> {
        let limits = ReplyLimits::default();
        let mut chunk = [0; 64 << 10];
        loop {
            let wrong = |error| format!("{} doesn't answer as a larder: {error}", self.to);
            if let Some((reply, length)) = decode_reply(&self.input, &limits).map_err(wrong)? {
                self.input.drain(..length);
                return Ok(reply);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    fn lost(&self, error: &std::io::Error) -> String {
        format!("lost the connection to {}: {error}", self.to)
    }
}

/// The bytes of a text, and none of anything else.
fn bytes(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Bulk(bytes) | Reply::Simple(bytes) => Some(bytes),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
