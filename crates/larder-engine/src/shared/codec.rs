//! A value as bytes, for the shared tier.
//!
//! Cached bytes outlive the program that wrote them: during a deploy two versions read the same
//! tier. [`MessagePack`] writes the names of fields, so a version that adds one with a default
//! reads the other's values; what can't be read is a counted miss. Where the meaning of a field
//! changes, raise the cache's [schema](crate::CacheBuilder::schema).

use bytes::Bytes;
use larder_core::envelope::encoding;
use larder_core::{LoadError, Media, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes values as bytes and reads them back.
///
/// ```
/// use larder_engine::{Codec, MessagePack};
///
/// let (encoding, bytes) = MessagePack.encode(&("Ada".to_owned(), 36)).unwrap();
/// let back: (String, u32) = MessagePack.decode(encoding, &bytes).unwrap();
/// assert_eq!(back, ("Ada".to_owned(), 36));
/// ```
pub trait Codec<V>: Send + Sync + 'static {
    /// The bytes of a value, and how they are to be read: a number of
    /// [`encoding`](larder_core::envelope::encoding).
    ///
    /// # Errors
    ///
    /// When the value can't be written; it is then not shared.
    fn encode(&self, value: &V) -> Result<(u8, Bytes), LoadError>;

    /// The value.
    ///
    /// # Errors
    ///
    /// When these bytes are none; it is then a miss.
    fn decode(&self, encoding: u8, bytes: &Bytes) -> Result<V, LoadError>;
}

/// MessagePack with the names of fields: for every type with `serde`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

impl<V: Serialize + DeserializeOwned> Codec<V> for MessagePack {
    fn encode(&self, value: &V) -> Result<(u8, Bytes), LoadError> {
        Ok((encoding::MESSAGE_PACK, rmp_serde::to_vec_named(value)?.into()))
    }

    fn decode(&self, encoding: u8, bytes: &Bytes) -> Result<V, LoadError> {
        match encoding {
            encoding::MESSAGE_PACK => Ok(rmp_serde::from_slice(bytes)?),
            other => Err(unknown(other)),
        }
    }
}

/// The bytes of a [`Value`] as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec<Value> for Raw {
    fn encode(&self, value: &Value) -> Result<(u8, Bytes), LoadError> {
        let encoding = match value.media {
            Media::Json => encoding::JSON,
            Media::Raw => encoding::RAW,
        };
        Ok((encoding, value.bytes.clone()))
    }

    fn decode(&self, encoding: u8, bytes: &Bytes) -> Result<Value, LoadError> {
        let media = match encoding {
            encoding::JSON => Media::Json,
            encoding::RAW => Media::Raw,
            other => return Err(unknown(other)),
        };
        Ok(Value { bytes: bytes.clone(), media })
    }
}

fn unknown(encoding: u8) -> LoadError {
    format!("the encoding {encoding} isn't one that this cache reads").into()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize)]
    struct Old {
        name: String,
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct New {
        name: String,
        #[serde(default)]
        age: u32,
    }

    #[test]
    fn a_version_that_adds_a_field_reads_what_the_other_wrote() {
        let old = rmp_serde::to_vec_named(&Old { name: "Ada".into() }).unwrap();
        let new: New = MessagePack.decode(encoding::MESSAGE_PACK, &old.into()).unwrap();
        assert_eq!(new, New { name: "Ada".into(), age: 0 });
    }

    #[test]
    fn what_another_codec_wrote_is_not_read() {
        let (encoding, bytes) = Raw.encode(&Value::json("[1]")).unwrap();
        assert!(Codec::<Vec<u8>>::decode(&MessagePack, encoding, &bytes).is_err());
        assert_eq!(Raw.decode(encoding, &bytes).unwrap(), Value::json("[1]"));
        assert!(Raw.decode(encoding::MESSAGE_PACK, &bytes).is_err());
    }
}
