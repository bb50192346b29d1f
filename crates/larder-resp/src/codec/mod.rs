//! The Redis protocol as pure functions over bytes: no socket, no clock, no runtime, no command.
//!
//! A server turns what a client sends into requests with a [`Decoder`] and writes its replies
//! with a [`Writer`]. The other side, [`encode_request`] and [`decode_reply`], is for whoever
//! talks to a server.
//!
//! Everything is bounded, by [`Limits`] and [`ReplyLimits`]: a declared length is compared with
//! them and with nothing else, and memory is taken only for bytes that have arrived.
//!
//! ```
//! use larder_resp::codec::{Decoder, Limits, Protocol, Writer};
//!
//! let mut decoder = Decoder::new(Limits::default());
//! let input = b"*2\r\n$3\r\nGET\r\n$7\r\nuser:42\r\n";
//! assert_eq!(decoder.decode(&input[..10]), Ok(None));
//! assert_eq!(decoder.decode(input), Ok(Some(input.len())));
//!
//! let request = decoder.request(input).expect("it isn't blank");
//! assert_eq!((request.name(), &request[1]), (&b"GET"[..], &b"user:42"[..]));
//!
//! let mut output = Vec::new();
//! Writer::new(&mut output, Protocol::Resp3).bulk(b"Ada");
//! assert_eq!(output, b"$3\r\nAda\r\n");
//! ```

mod decode;
mod delimit;
mod encode;
mod error;
mod inline;
mod limits;
mod line;
mod reply;
mod reply_reader;
mod request;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use delimit::{Delimited, Delimiter};
pub use encode::{Protocol, Verbatim, Writer, encode_request};
pub use error::{ProtocolError, ReplyError};
pub use limits::{Client, Limits, ReplyLimits};
pub use reply::{Reply, decode_reply};
pub use request::Request;
