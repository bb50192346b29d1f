//! The server's type of value: bytes, and what they are.

use bytes::Bytes;

/// What the bytes of a [`Value`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Media {
    /// A JSON text in UTF-8.
    Json,
    /// Bytes whose meaning only the client knows.
    Raw,
}

/// Bytes as a client receives them. Cloning shares them.
///
/// ```
/// use larder_core::{Media, Value};
///
/// let value = Value::json(r#"{"id":42}"#);
/// assert_eq!(value.media, Media::Json);
/// assert_eq!(&value.bytes[..], br#"{"id":42}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The bytes themselves.
    pub bytes: Bytes,
    /// What they are.
    pub media: Media,
}

impl Value {
    /// A JSON text.
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), media: Media::Json }
    }

    /// Opaque bytes.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), media: Media::Raw }
    }
}
