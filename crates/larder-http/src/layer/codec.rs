//! A stored response as bytes, for the shared tier.
//!
//! Numbers are big-endian; times are in nanoseconds from the beginning of the load.
//!
//! ```text
//!  0  1  version: 1
//!  1  1  kind: 1 a response, 2 the list of a URI's variants, 3 that of what responses of a path
//!        say of queries
//!
//! a response:
//!  2  1  flags: 1 its ETag was made here
//!  3  2  status
//!  5  8  when it was asked for      13  8  when its head had come
//! 21  8  the calendar's time then, in seconds since 1970, signed
//! 29  4  length of its fields       33  4  length of its Vary
//! 37  8  length of its body
//! 45     fields: for each the length of its name (2), of its line (4), and both
//!        Vary: for each field the length of its name (2), whether it was there (1), the length of
//!        what was asked (4), and both
//!        body, to the end
//!
//! a list: its stamp (8), the place that is given next (4), the number of sets of fields (2), for
//! each the number of fields (2), for each the length of its name (2) and the name; the number of
//! places (2), and for each the hash of its values (8)
//!
//! a path's list: its stamp (8), and for each thing that was said the length of its text (2), and
//! the text, as the value of No-Vary-Search
//! ```
//!
//! What the fields mean is read from them again, by the rules of the reader. Programs of another
//! version don't read it: a counted miss.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_core::envelope::encoding;
use larder_core::{LoadError, Moment};
use larder_engine::Codec;

use super::entry::{Entry, Kept, KeptBody, ResponseEntry};
use super::searches::Searches;
use super::variants::Variants;
use crate::{Date, Received, Rules, Stored, Vary, effective};

/// How the bytes are called in an envelope.
pub const RESPONSE_ENCODING: u8 = encoding::OWN;

const VERSION: u8 = 1;
const RESPONSE: u8 = 1;
const VARIANTS: u8 = 2;
const SEARCHES: u8 = 3;
const HEAD_BYTES: usize = 45;

/// Writes stored responses for the shared tier and reads them back; see the module's source for the
/// format, which stays readable.
#[derive(Clone, Debug)]
pub struct ResponseCodec {
    body_max: usize,
    rules: Rules,
}

impl ResponseCodec {
    /// A codec for bodies of at most so many bytes, in a cache with these rules.
    #[must_use]
    pub fn new(body_max: usize, rules: Rules) -> Self {
        Self { body_max, rules }
    }

    fn response(&self, kept: &Kept) -> Result<Bytes, LoadError> {
        let KeptBody::Memory(body) = &kept.body else {
            return Err("the body isn't whole in memory".into());
        };
        if body.len() > self.body_max {
            return Err("the body is longer than what is shared".into());
        }
        let stored = &kept.stored;
        let mut fields = BytesMut::new();
        for (name, line) in stored.headers() {
            fields.put_u16(u16::try_from(name.as_str().len())?);
            fields.put_u32(u32::try_from(line.len())?);
            fields.put_slice(name.as_str().as_bytes());
            fields.put_slice(line.as_bytes());
        }
        let mut vary = BytesMut::new();
        for (name, asked) in stored.vary().fields() {
            vary.put_u16(u16::try_from(name.as_str().len())?);
            vary.put_u8(asked.is_some().into());
            vary.put_u32(u32::try_from(asked.map_or(0, <[u8]>::len))?);
            vary.put_slice(name.as_str().as_bytes());
            vary.put_slice(asked.unwrap_or_default());
        }
        let received = stored.received();
        let mut out = BytesMut::with_capacity(HEAD_BYTES + fields.len() + vary.len() + body.len());
        out.put_slice(&[VERSION, RESPONSE, kept.etag_made.into()]);
        out.put_u16(stored.status().as_u16());
        out.put_u64(received.asked.as_nanos());
        out.put_u64(received.came.as_nanos());
        out.put_i64(received.wall.as_unix());
        out.put_u32(u32::try_from(fields.len())?);
        out.put_u32(u32::try_from(vary.len())?);
        out.put_u64(body.len() as u64);
        out.put_slice(&fields);
        out.put_slice(&vary);
        out.put_slice(body);
        Ok(out.freeze())
    }

    fn read_response(&self, mut bytes: Bytes) -> Option<Kept> {
        let etag_made = bytes.try_get_u8().ok()? & 1 != 0;
        let status = StatusCode::from_u16(bytes.try_get_u16().ok()?).ok()?;
        let asked = Moment::from_nanos(bytes.try_get_u64().ok()?);
        let came = Moment::from_nanos(bytes.try_get_u64().ok()?);
        let wall = Date::from_unix(bytes.try_get_i64().ok()?);
        let fields = bytes.try_get_u32().ok()? as usize;
        let vary = bytes.try_get_u32().ok()? as usize;
        let length = bytes.try_get_u64().ok()?;
        if fields.checked_add(vary)?.checked_add(usize::try_from(length).ok()?)? != bytes.len() {
            return None;
        }
        let headers = read_fields(&bytes.split_to(fields))?;
        let vary = read_vary(&bytes.split_to(vary))?;
        let (control, origin) = effective(&headers, &self.rules);
        let received = Received { asked, came, wall };
        let stored = Stored { status, headers, vary, received, control, origin };
        let mut kept = Kept::new(stored, KeptBody::Memory(bytes), length, &self.rules);
        kept.etag_made = etag_made;
        Some(kept)
    }
}

impl Codec<ResponseEntry> for ResponseCodec {
    fn encode(&self, value: &ResponseEntry) -> Result<(u8, Bytes), LoadError> {
        let bytes = match &value.0 {
            Entry::Response(kept) => self.response(kept)?,
            Entry::Variants(list) => {
                let mut out = vec![VERSION, VARIANTS];
                list.write(&mut out);
                out.into()
            }
            Entry::Searches(list) => {
                let mut out = vec![VERSION, SEARCHES];
                list.write(&mut out);
                out.into()
            }
        };
        Ok((RESPONSE_ENCODING, bytes))
    }

    fn decode(&self, encoding: u8, bytes: &Bytes) -> Result<ResponseEntry, LoadError> {
        if encoding != RESPONSE_ENCODING {
            return Err(format!("the encoding {encoding} isn't that of a response").into());
        }
        let entry = match bytes.split_at_checked(2) {
            Some(([VERSION, RESPONSE], _)) => {
                let kept = self.read_response(bytes.slice(2..));
                kept.map(|kept| Entry::Response(Arc::new(kept)))
            }
            Some(([VERSION, VARIANTS], mut rest)) => {
                let list = Variants::read(&mut rest).filter(|_| rest.is_empty());
                list.map(|list| Entry::Variants(Arc::new(list)))
            }
            Some(([VERSION, SEARCHES], mut rest)) => {
                let list = Searches::read(&mut rest).filter(|_| rest.is_empty());
                list.map(|list| Entry::Searches(Arc::new(list)))
            }
            _ => None,
        };
        entry.map(ResponseEntry).ok_or_else(|| "these bytes are no stored response".into())
    }
}

fn read_fields(mut bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() {
        let name = usize::from(bytes.try_get_u16().ok()?);
        let line = bytes.try_get_u32().ok()? as usize;
        let (name, rest) = bytes.split_at_checked(name)?;
        let (line, rest) = rest.split_at_checked(line)?;
        let name = HeaderName::from_bytes(name).ok()?;
        headers.try_append(name, HeaderValue::from_bytes(line).ok()?).ok()?;
        bytes = rest;
    }
    Some(headers)
}

fn read_vary(mut bytes: &[u8]) -> Option<Vary> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let name = usize::from(bytes.try_get_u16().ok()?);
        let there = bytes.try_get_u8().ok()? != 0;
        let asked = bytes.try_get_u32().ok()? as usize;
        let (name, rest) = bytes.split_at_checked(name)?;
        let (asked, rest) = rest.split_at_checked(asked)?;
        fields.push((HeaderName::from_bytes(name).ok()?, there.then(|| asked.to_vec())));
        bytes = rest;
    }
    Some(Vary::of(fields))
}
