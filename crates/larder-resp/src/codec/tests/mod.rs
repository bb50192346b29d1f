//! What the codec promises, with examples. `tests/fuzz_codec.rs` asks the same of any bytes.

mod decode;
mod encode;
mod inline;
mod reply;

use super::{Decoder, Limits, ProtocolError};

/// Everything that is in `input`, as text: the requests, and what is wrong after them.
fn requests(input: &[u8], limits: Limits) -> (Vec<String>, Result<(), ProtocolError>) {
    let mut decoder = Decoder::new(limits);
    let mut rest = input;
    let mut found = Vec::new();
    loop {
        match decoder.decode(rest) {
            Ok(Some(consumed)) => {
                found.extend(decoder.request(rest).map(|request| format!("{request:?}")));
                rest = &rest[consumed..];
            }
            Ok(None) => return (found, Ok(())),
            Err(error) => return (found, Err(error)),
        }
    }
}

/// A request of one argument after a name of one byte.
fn request(argument_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    super::encode_request(&mut bytes, &[&b"x"[..], &vec![b'y'; argument_bytes]]);
    bytes
}
