//! From replies, and from requests, to bytes.
//!
//! A [`Writer`] knows which version of the protocol the client speaks, so that nobody else needs
//! to: what RESP3 has and RESP2 doesn't is written as Redis writes it to a RESP2 client.

use std::fmt::{self, Write};

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// What every client speaks until it says `HELLO 3`.
    #[default]
    Resp2,
    /// The version with maps, truth values, doubles and pushes.
    Resp3,
}

/// What the text of a verbatim string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verbatim {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
}

/// Writes replies behind what is in a buffer already.
///
/// An aggregate is a header with the number of its elements, and then exactly so many replies.
/// The writer doesn't count them.
///
/// ```
/// use larder_resp::codec::{Protocol, Writer};
///
/// let write = |protocol| {
///     let mut output = Vec::new();
///     let mut writer = Writer::new(&mut output, protocol);
///     writer.map(1);
///     writer.bulk(b"ready");
///     writer.boolean(true);
///     output
/// };
/// assert_eq!(write(Protocol::Resp2), b"*2\r\n$5\r\nready\r\n:1\r\n");
/// assert_eq!(write(Protocol::Resp3), b"%1\r\n$5\r\nready\r\n#t\r\n");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`. It costs nothing: make one for each reply.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The version that it writes.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Writes in this version from now on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// A whole reply as it came from elsewhere, in the version that is written here.
    pub(crate) fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    /// A short text like `OK`. An end of line in it becomes a blank.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error: a word in capitals that programs understand, and a text for people. An end of
    /// line in either becomes a blank.
    ///
    /// ```
    /// # use larder_resp::codec::{Protocol, ProtocolError, Writer};
    /// let mut output = Vec::new();
    /// Writer::new(&mut output, Protocol::Resp2).error("ERR", ProtocolError::InvalidBulkLength);
    /// assert_eq!(output, b"-ERR Protocol error: invalid bulk length\r\n");
    /// ```
    pub fn error(&mut self, code: &str, message: impl fmt::Display) {
        self.out.push(b'-');
        one_line(self.out, code);
        self.out.push(b' ');
        // Only a Display that fails by itself is an error here. What it has written is a line.
        let _ = write!(OneLine(self.out), "{message}");
        self.out.extend_from_slice(b"\r\n");
    }

    /// A whole number.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        match u8::try_from(number) {
            Ok(digit @ 0..=9) => self.out.extend_from_slice(&[b':', b'0' + digit, b'\r', b'\n']),
            _ => number_line(self.out, b':', number),
        }
    }

    /// A string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        bulk(self.out, bytes);
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No array, where a RESP2 client expects one.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array: `elements` replies follow.
    #[inline]
    pub fn array(&mut self, elements: usize) {
        header(self.out, b'*', elements);
    }

    /// The header of a map: `pairs` times two replies follow, key and value. RESP2 has an array
    /// of twice the length instead.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => header(self.out, b'*', pairs * 2),
            Protocol::Resp3 => header(self.out, b'%', pairs),
        }
    }

    /// The header of a set: `elements` replies follow. RESP2 has an array instead.
    pub fn set(&mut self, elements: usize) {
        self.aggregate(b'~', elements);
    }

    /// The header of a message that answers no request: `elements` replies follow, the first one
    /// its kind. RESP2 has an array instead.
    pub fn push(&mut self, elements: usize) {
        self.aggregate(b'>', elements);
    }

    /// A floating-point number, in the shortest spelling that is read back as the same one. RESP2
    /// has a string instead.
    pub fn double(&mut self, number: f64) {
        let text = match number.abs() {
            magnitude if magnitude.is_nan() => "nan".to_owned(),
            magnitude if magnitude.is_infinite() => number.to_string(),
            magnitude if magnitude == 0.0 || (1e-5..1e17).contains(&magnitude) => {
                number.to_string()
            }
            _ => format!("{number:e}"),
        };
        self.text(b',', &text);
    }

    /// A truth value. RESP2 has the number 1 or 0 instead.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// A text that is meant to be shown as it is. RESP2 has a string instead.
    pub fn verbatim(&mut self, kind: Verbatim, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                header(self.out, b'=', text.len() + 4);
                self.out.extend_from_slice(match kind {
                    Verbatim::Text => b"txt:",
                    Verbatim::Markdown => b"mkd:",
                });
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A whole number of any size, as its digits. RESP2 has a string instead.
    pub fn big_number(&mut self, digits: &str) {
        self.text(b'(', digits);
    }

    /// A line of its own type in RESP3, a string in RESP2.
    fn text(&mut self, mark: u8, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(mark, text),
        }
    }

    fn aggregate(&mut self, mark: u8, elements: usize) {
        match self.protocol {
            Protocol::Resp2 => header(self.out, b'*', elements),
            Protocol::Resp3 => header(self.out, mark, elements),
        }
    }

    fn line(&mut self, mark: u8, text: &str) {
        self.out.push(mark);
        one_line(self.out, text);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a request as every client sends it: an array of strings.
///
/// ```
/// use larder_resp::codec::encode_request;
///
/// let mut output = Vec::new();
/// encode_request(&mut output, &["GET", "user:42"]);
/// assert_eq!(output, b"*2\r\n$3\r\nGET\r\n$7\r\nuser:42\r\n");
/// ```
pub fn encode_request(out: &mut Vec<u8>, arguments: &[impl AsRef<[u8]>]) {
    header(out, b'*', arguments.len());
    for argument in arguments {
        bulk(out, argument.as_ref());
    }
}

#[inline]
fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    // A header has at most 23 bytes, and one reservation is cheaper than three.
    out.reserve(bytes.len() + 25);
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn header(out: &mut Vec<u8>, mark: u8, length: usize) {
    let digit = |value: usize| b'0' + value as u8;
    match length {
        0..10 => out.extend_from_slice(&[mark, digit(length), b'\r', b'\n']),
        10..100 => {
            out.extend_from_slice(&[mark, digit(length / 10), digit(length % 10), b'\r', b'\n']);
        }
        _ => number_line(out, mark, length),
    }
}

#[inline(never)]
fn number_line(out: &mut Vec<u8>, mark: u8, number: impl itoa::Integer) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `text` with blanks in the place of its ends of lines.
fn one_line(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    }));
}

/// Formatted text on its way into a line.
struct OneLine<'a>(&'a mut Vec<u8>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        one_line(self.0, text);
        Ok(())
    }
}
