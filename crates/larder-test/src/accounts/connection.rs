//! A connection to a Postgres of this kit: simple queries and their answers, version 3 of the
//! protocol, as the chapter "Frontend/Backend Protocol" of its documentation has it.
//!
//! It knows no passwords and no TLS, because the kit's Postgres asks for none, and reads what it
//! needs by its own few lines: what is tested must not be its own witness.

use std::io::{BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::PATIENCE;

/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;
/// The longest message that is taken for one: nothing here asks for more.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

/// What a query returned.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The first column of the last row.
    pub(super) value: Option<String>,
    /// What the last statement says that it did.
    pub(super) tag: String,
}

impl Connection {
    pub(super) fn open(address: impl ToSocketAddrs) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream: BufReader::new(stream) };
        connection.set_patience(PATIENCE)?;
        let mut greeting = VERSION.to_be_bytes().to_vec();
        greeting.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
        connection.send(None, &greeting)?;
        connection.answer()?;
        Ok(connection)
    }

    pub(super) fn set_patience(&mut self, patience: Duration) -> Result<()> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        self.stream.get_ref().set_write_timeout(Some(patience))
    }

    /// Asks, and waits for the answer. After an error of the kind `Other`, which is Postgres's
    /// own, it can be asked again.
    pub(super) fn query(&mut self, sql: &str) -> Result<Answer> {
        self.send(Some(b'Q'), &[sql.as_bytes(), b"\0"].concat())?;
        self.answer()
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(Error::other)?;
        let mut bytes: Vec<u8> = kind.into_iter().collect();
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes)
    }

    /// Everything up to where Postgres is ready to be asked again.
    fn answer(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        let mut refusal = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'Z' => return refusal.map_or(Ok(answer), Err),
                b'E' => refusal = Some(Error::other(told(&body))),
                b'C' => answer.tag = text(body.strip_suffix(b"\0").unwrap_or(&body))?,
                b'D' => answer.value = first_column(&body)?,
                b'R' if body != [0; 4] => return Err(invalid("it asks for a password")),
                // Settings, notices and the names of columns are not asked for.
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(Error::other)?;
        let length = length.checked_sub(4).filter(|length| *length <= MESSAGE_BYTES_MAX);
        let mut body = vec![0; length.ok_or_else(|| invalid("a length"))?];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// Of a row: how many columns, and each one's length and text; a length of −1 is NULL.
fn first_column(row: &[u8]) -> Result<Option<String>> {
    let length = row.get(2..).and_then(<[u8]>::first_chunk);
    let length = i32::from_be_bytes(*length.ok_or_else(|| invalid("a row"))?);
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let column = row.get(6..6 + length).ok_or_else(|| invalid("a column"))?;
    text(column).map(Some)
}

/// The message among an error's fields, each a letter and a text.
fn told(body: &[u8]) -> String {
    let message = body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(message.unwrap_or(b"an error")).into_owned()
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not the protocol: {what}"))
}
