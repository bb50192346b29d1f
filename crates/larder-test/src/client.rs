//! A small blocking client of the Redis protocol, for tests of whoever speaks it.
//!
//! It reads replies by its own few lines and not by the codec of larder-resp: what is tested must
//! not be its own witness.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::PATIENCE;

/// What a server answered, in either version of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+OK`
    Simple(String),
    /// `-ERR …`, or `!` with its length.
    Error(String),
    /// `:42`
    Integer(i64),
    /// `$` and bytes.
    Bulk(Vec<u8>),
    /// `=` and a text with its format, `txt:` or `mkd:`, before it.
    Verbatim(String),
    /// `_`, or a string or array of the length −1.
    Null,
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `(` and digits.
    BigNumber(String),
    /// `*` and replies.
    Array(Vec<Self>),
    /// `~` and replies.
    Set(Vec<Self>),
    /// `>` and replies.
    Push(Vec<Self>),
    /// `%` and pairs of replies.
    Map(Vec<(Self, Self)>),
}

impl Reply {
    /// A string of bytes, as a test expects it.
    #[must_use]
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// The text of a simple string, an error, or a string of bytes.
    ///
    /// # Panics
    ///
    /// When the reply is none of them, or isn't UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Simple(text) | Self::Error(text) | Self::Verbatim(text) => text,
            Self::Bulk(bytes) => std::str::from_utf8(bytes)
                .unwrap_or_else(|_| panic!("the reply is no text: {}", bytes.escape_ascii())),
            other => panic!("the reply is no text: {other:?}"),
        }
    }
}

/// A connection to a server that speaks the Redis protocol.
///
/// ```
/// use larder_test::{Redis, RespClient, Reply};
///
/// let redis = Redis::start();
/// let mut client = RespClient::connect(("127.0.0.1", redis.port()));
/// assert_eq!(client.command(&["SET", "greeting", "hello"]), Reply::Simple("OK".into()));
/// assert_eq!(client.command(&["GET", "greeting"]), Reply::bulk("hello"));
/// assert_eq!(client.command(&["GET", "nothing"]), Reply::Null);
/// ```
#[derive(Debug)]
pub struct RespClient {
    stream: BufReader<TcpStream>,
}

impl RespClient {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn connect(address: impl ToSocketAddrs) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connect: {error}"))
    }

    /// Connects, if somebody listens there.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_connect(address: impl ToSocketAddrs) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Waits no longer than this for a reply, instead of 30 seconds.
    ///
    /// # Errors
    ///
    /// When that is no time at all.
    pub fn set_patience(&mut self, patience: Duration) -> Result<()> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        self.stream.get_ref().set_write_timeout(Some(patience))
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Panics
    ///
    /// When the connection ends or no reply comes within 30 seconds.
    pub fn command(&mut self, arguments: &[impl AsRef<[u8]>]) -> Reply {
        self.send(&request(arguments));
        self.receive()
    }

    /// Sends a command and waits for its reply, from a server that may go meanwhile.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive) does, or what the system said when it was sent.
    pub fn try_command(&mut self, arguments: &[impl AsRef<[u8]>]) -> Result<Reply> {
        self.stream.get_mut().write_all(&request(arguments))?;
        self.try_receive()
    }

    /// Sends all commands at once and waits for as many replies.
    ///
    /// # Panics
    ///
    /// When the connection ends or no reply comes within 30 seconds.
    pub fn pipeline<A: AsRef<[u8]>>(
        &mut self,
        commands: impl IntoIterator<Item = impl AsRef<[A]>>,
    ) -> Vec<Reply> {
        let requests: Vec<_> = commands.into_iter().map(|one| request(one.as_ref())).collect();
        self.send(&requests.concat());
        requests.iter().map(|_| self.receive()).collect()
    }

    /// Sends bytes as they are: a part of a request, or none at all.
    ///
    /// # Panics
    ///
    /// When the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.get_mut().write_all(bytes);
        sent.unwrap_or_else(|error| panic!("send: {error}"));
    }

    /// Waits for one reply.
    ///
    /// # Panics
    ///
    /// When the connection ends or no reply comes within 30 seconds.
    pub fn receive(&mut self) -> Reply {
        self.try_receive().unwrap_or_else(|error| panic!("receive: {error}"))
    }

    /// Waits for one reply, or for the end.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` or `ConnectionReset` when the server has closed the connection,
    /// `WouldBlock` when no reply came within 30 seconds, `InvalidData` when it isn't the
    /// protocol.
    pub fn try_receive(&mut self) -> Result<Reply> {
        let line = self.line()?;
        let (mark, rest) = line.split_at_checked(1).ok_or_else(|| invalid(&line))?;
        Ok(match mark {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(rest.parse().map_err(|_| invalid(&line))?),
            "," => Reply::Double(rest.parse().map_err(|_| invalid(&line))?),
            "(" => Reply::BigNumber(rest.to_owned()),
            "#" if rest == "t" || rest == "f" => Reply::Boolean(rest == "t"),
            "_" if rest.is_empty() => Reply::Null,
            "$" | "*" if rest == "-1" => Reply::Null,
            _ => {
                let length = rest.parse().map_err(|_| invalid(&line))?;
                self.sized(mark, length)?
            }
        })
    }

    /// Whether the server closes the connection without a further reply.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        matches!(
            self.try_receive().map_err(|error| error.kind()),
            Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
        )
    }

    /// A reply that begins with its length.
    fn sized(&mut self, mark: &str, length: usize) -> Result<Reply> {
        Ok(match mark {
            "$" => Reply::Bulk(self.bytes(length)?),
            "!" => Reply::Error(text(self.bytes(length)?)?),
            "=" => Reply::Verbatim(text(self.bytes(length)?)?),
            "*" => Reply::Array(self.replies(length)?),
            "~" => Reply::Set(self.replies(length)?),
            ">" => Reply::Push(self.replies(length)?),
            "%" => {
                let pair = |_| Ok((self.try_receive()?, self.try_receive()?));
                Reply::Map((0..length).map(pair).collect::<Result<_>>()?)
            }
            _ => return Err(invalid(mark)),
        })
    }

    fn replies(&mut self, count: usize) -> Result<Vec<Reply>> {
        (0..count).map(|_| self.try_receive()).collect()
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        let end = self.line()?;
        if end.is_empty() { Ok(bytes) } else { Err(invalid(&end)) }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None if line.ends_with('\n') => Err(invalid(&line)),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn request(arguments: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn invalid(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not the protocol: {line:?}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A client whose server says `bytes` and goes.
    fn told(bytes: &[u8]) -> RespClient {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let client = RespClient::connect(listener.local_addr().unwrap());
        listener.accept().unwrap().0.write_all(bytes).unwrap();
        client
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let mut client = told(
            b"+OK\r\n-ERR no\r\n!3\r\nE x\r\n:-7\r\n$4\r\na\r\nb\r\n=5\r\ntxt:a\r\n\
              _\r\n$-1\r\n*-1\r\n,1.5\r\n#t\r\n(123\r\n*2\r\n:1\r\n*0\r\n~1\r\n#f\r\n\
              >1\r\n+m\r\n%1\r\n+k\r\n:2\r\n",
        );
        let one = |reply| vec![reply];
        for expected in [
            Reply::Simple("OK".into()),
            Reply::Error("ERR no".into()),
            Reply::Error("E x".into()),
            Reply::Integer(-7),
            Reply::bulk("a\r\nb"),
            Reply::Verbatim("txt:a".into()),
            Reply::Null,
            Reply::Null,
            Reply::Null,
            Reply::Double(1.5),
            Reply::Boolean(true),
            Reply::BigNumber("123".into()),
            Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![])]),
            Reply::Set(one(Reply::Boolean(false))),
            Reply::Push(one(Reply::Simple("m".into()))),
            Reply::Map(vec![(Reply::Simple("k".into()), Reply::Integer(2))]),
        ] {
            assert_eq!(client.receive(), expected);
        }
        assert!(client.is_closed());
    }

    #[test]
    fn what_is_not_the_protocol_is_an_error() {
        for bytes in ["?1\r\n", ":x\r\n", "\r\n", "+a\n", "$1\r\nab\r\n", "#x\r\n", "$-2\r\n"] {
            let error = told(bytes.as_bytes()).try_receive().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
        for bytes in ["", "+O", "$5\r\na", "*2\r\n:1\r\n"] {
            let error = told(bytes.as_bytes()).try_receive().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{bytes:?}");
        }
    }
}
