//! The format of stored responses in a shared tier.

use std::fmt::Write;

use bolero::check;
use bytes::Bytes;
use larder_core::Key;
use larder_engine::Codec;
use larder_http::{RESPONSE_ENCODING, ResponseCodec, ResponseEntry, Rules};

use crate::kit::{App, Origin};

fn codec() -> ResponseCodec {
    ResponseCodec::new(1000, Rules::shared())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "<{byte:02x}>").unwrap(),
        }
    }
    text
}

async fn entry() -> ResponseEntry {
    let origin = Origin::of(&["200\ncache-control: max-age=60\nx: 1\nx: 2\n\nhello"]);
    let app = App::with(&origin, |builder| builder.etags(larder_http::Etags::AsSent));
    app.get_with("/", "a: 1").await;
    let key = Key::from("http://x.example/");
    app.cache.cache().peek(&key).unwrap().value.unwrap()
}

/// The bytes are what other processes, of this version and of later ones, read.
#[tokio::test]
async fn the_format_is_this() {
    let (encoding, bytes) = codec().encode(&entry().await).unwrap();
    assert_eq!(encoding, RESPONSE_ENCODING);
    let wrote = hex(&bytes);
    let fields = "<00><0d><00><00><00><0a>cache-controlmax-age=60<00><01><00><00><00><01>x1\
                  <00><01><00><00><00><01>x2<00><04><00><00><00><1d>date\
                  Thu, 01 Jan 2026 00:00:00 GMT<00><0e><00><00><00><01>content-length5";
    let head = "<01><01><00><00><c8><00><00><00><00><00><00><00><00><00><00><00><00><00><00><00>\
                <00><00><00><00><00>iU<b9><00><00><00><00>i<00><00><00><00><00><00><00><00><00>\
                <00><00><05>";
    assert_eq!(wrote, format!("{head}{fields}hello"));
    let read = codec().decode(encoding, &bytes).unwrap();
    assert_eq!(codec().encode(&read).unwrap().1, bytes);
}

/// Bytes that are none of a response are a miss, whatever they are.
#[test]
fn any_bytes_are_read_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (encoding, whole) = codec().encode(&runtime.block_on(entry())).unwrap();
    for cut in 0..whole.len() {
        let cut = whole.slice(..cut);
        assert!(codec().decode(encoding, &cut).is_err(), "{} bytes", cut.len());
    }
    assert!(codec().decode(encoding + 1, &whole).is_err());
    let said = [&[1, 3][..], &[7; 8], &[0, 23], b"key-order, params=(\"a\")"].concat();
    assert!(codec().decode(encoding, &Bytes::from(said.clone())).is_ok());
    check!().with_iterations(20_000).with_type::<(Vec<(u16, u8)>, u8)>().for_each(
        |(changes, kind)| {
            let mut bytes = match kind % 4 {
                0 => whole.to_vec(),
                1 => said.clone(),
                _ => [&whole[..1], &[kind % 4], &whole[2..]].concat(),
            };
            for (at, byte) in changes {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *byte;
            }
            if let Ok(read) = codec().decode(encoding, &Bytes::from(bytes)) {
                // What is read can be written, and is then read as the same.
                if let Ok((encoding, wrote)) = codec().encode(&read) {
                    let again = codec().decode(encoding, &wrote).unwrap();
                    assert_eq!(codec().encode(&again).unwrap().1, wrote);
                }
            }
        },
    );
}
