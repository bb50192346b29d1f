//! Requests, and how they are written.

use bytes::{BufMut, Bytes, BytesMut};
use larder_core::shared::Invalidation;

use crate::name::Name;

/// The client flags of an item with data. A stub has none, so that it is told from an empty value.
pub(crate) const DATA: u32 = 1;

/// The most seconds that the server takes as a length of time; more is a moment.
pub(crate) const SECONDS_MAX: u32 = 30 * 24 * 60 * 60;

/// The latest moment that an item may be given: one that [`RECACHE`] is still behind.
const MOMENT_MAX: u32 = i32::MAX as u32 - 1;

/// Every item with a lifetime ends before this, so that asking to refresh what ends before it
/// wins unless somebody else has won already.
const RECACHE: u32 = i32::MAX as u32;

/// What is asked of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// An item with its data.
    Get { name: Name, ask: Option<Ask> },
    /// What an item's CAS is.
    Look { name: Name },
    /// Stores an item in place of the one with this CAS.
    Store { name: Name, cas: u64, expiry: Expiry, client: u32, head: Bytes, body: Bytes },
    /// Deletes an item or marks it stale; with a CAS, only that one.
    Delete { name: Name, cas: Option<u64>, strike: Invalidation },
    /// Stores the item with this CAS anew as it is, by appending nothing to it: nobody has won it
    /// then. It would no longer be stale, so it is for items that aren't.
    Rewrite { name: Name, cas: u64 },
    /// What the server says about itself: its time and its version.
    Clock,
    /// What it was started with: how long items may be.
    Settings,
    /// Nothing; it answers.
    Ping,
}

/// A question for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// How long the stub lives that is left where nothing is, in seconds.
    pub(crate) seconds: u32,
    /// Whether to win an item that isn't stale, too.
    pub(crate) recache: bool,
}

/// When an item ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// So many seconds after the server gets to it.
    After(u32),
    /// At this second of the server's own clock.
    At(u32),
}

impl Request {
    /// Writes it behind what is in `out`.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Get { name, ask } => {
                put_name(out, b"mg ", name);
                out.put_slice(b" v c t f");
                if let Some(ask) = ask {
                    put_number(out, b" N", ask.seconds.min(SECONDS_MAX).into());
                    if ask.recache {
                        put_number(out, b" R", RECACHE.into());
                    }
                }
            }
            Self::Look { name } => {
                put_name(out, b"mg ", name);
                out.put_slice(b" c f");
            }
            Self::Store { name, cas, expiry, client, head, body } => {
                out.reserve(name.wire().len() + head.len() + body.len() + 96);
                out.put_slice(b"ms ");
                out.put_slice(name.wire());
                put_number(out, b" ", (head.len() + body.len()) as u64);
                put_base64(out, name);
                put_number(out, b" C", *cas);
                put_number(out, b" T", expiry.seconds().into());
                put_number(out, b" F", (*client).into());
                out.put_slice(b" c\r\n");
                out.put_slice(head);
                out.put_slice(body);
            }
            Self::Delete { name, cas, strike } => {
                put_name(out, b"md ", name);
                if let Some(cas) = cas {
                    put_number(out, b" C", *cas);
                }
                if *strike == Invalidation::MarkStale {
                    out.put_slice(b" I");
                }
            }
            Self::Rewrite { name, cas } => {
                out.put_slice(b"ms ");
                out.put_slice(name.wire());
                out.put_slice(b" 0");
                put_base64(out, name);
                put_number(out, b" C", *cas);
                out.put_slice(b" MA\r\n");
            }
            Self::Clock => out.put_slice(b"stats"),
            Self::Settings => out.put_slice(b"stats settings"),
            Self::Ping => out.put_slice(b"mn"),
        }
        out.put_slice(b"\r\n");
    }
}

impl Expiry {
    fn seconds(self) -> u32 {
        match self {
            Self::After(seconds) => seconds.min(SECONDS_MAX),
            Self::At(moment) => moment.min(MOMENT_MAX),
        }
    }
}

fn put_name(out: &mut BytesMut, command: &[u8], name: &Name) {
    out.put_slice(command);
    out.put_slice(name.wire());
    put_base64(out, name);
}

fn put_base64(out: &mut BytesMut, name: &Name) {
    if name.is_base64() {
        out.put_slice(b" b");
    }
}

fn put_number(out: &mut BytesMut, before: &[u8], number: u64) {
    out.put_slice(before);
    out.put_slice(number.to_string().as_bytes());
}
