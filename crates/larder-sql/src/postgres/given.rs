//! What a write binds, as Postgres takes it.
//!
//! What the key holds is sent as a load sends it. A field of a value is sent as text and cast by
//! the server to the type that it wants there, so that every type which the server reads can be
//! written, with all its digits; a `bytea` is sent as its bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use larder_core::template::{Parameter, ParameterKind, ParameterValue};
use larder_core::{Error, ErrorKind, Result};
use sqlx::postgres::types::Oid;

use super::encode::push;
use super::types::{Fact, Wanted, wanted};
use crate::changes::Bound;
use crate::document::{Field, Given};
use crate::statement::{Taken, What};

/// The numbers of built-in types, from `pg_type.dat`.
const BYTEA: Oid = Oid(17);
const TEXT: Oid = Oid(25);

/// How what stands behind a name is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    name: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// As loads send it.
    Parameter(Wanted),
    /// A text that the server casts.
    Text(Fact),
    /// JSON as it was written.
    Json(Fact),
    Bytes(Fact),
    /// A JSON array, whose elements the server casts.
    Array(Fact, String),
}

impl Sent {
    /// How each of `takes` is sent, for which the server wants these types.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if a parameter can't be sent as the type that is wanted.
    pub(super) fn all(takes: &[Taken], facts: Vec<Fact>) -> Result<Vec<Self>> {
        let one = |(taken, fact): (&Taken, Fact)| {
            let parameter = |kind| {
                let parameter = Parameter { name: taken.name.clone(), kind };
                let wanted = wanted(&[parameter], vec![fact.clone()])?;
                let found = wanted.into_iter().next().map(Way::Parameter);
                found.ok_or_else(|| Error::new(ErrorKind::Internal, "a parameter without a type"))
            };
            let way = match taken.what {
                What::Key(_, kind) => parameter(kind)?,
                What::Delta => parameter(ParameterKind::Int)?,
                What::Field | What::Whole if fact.is_bytea() => Way::Bytes(fact),
                What::Field if fact.is_json() => Way::Json(fact),
                What::Field => match fact.element.clone() {
                    Some(element) => Way::Array(fact, element),
                    None => Way::Text(fact),
                },
                What::Whole => Way::Text(fact),
            };
            Ok(Self { name: taken.name.clone(), way })
        };
        takes.iter().zip(facts).map(one).collect()
    }

    /// What the server wants.
    pub(super) fn fact(&self) -> &Fact {
        match &self.way {
            Way::Parameter(wanted) => &wanted.fact,
            Way::Text(fact) | Way::Json(fact) | Way::Bytes(fact) | Way::Array(fact, _) => fact,
        }
    }

    /// The type that it is sent as, as SQL names it.
    pub(super) fn sent_as(&self) -> &str {
        match &self.way {
            Way::Parameter(wanted) => wanted.name(),
            Way::Bytes(_) => "pg_catalog.bytea",
            Way::Text(_) | Way::Json(_) | Way::Array(..) => "pg_catalog.text",
        }
    }

    fn oid(&self) -> Oid {
        match &self.way {
            Way::Parameter(wanted) => wanted.fact.oid,
            Way::Bytes(_) => BYTEA,
            Way::Text(_) | Way::Json(_) | Way::Array(..) => TEXT,
        }
    }

    /// What stands in the statement for it, where `place` is a value of the type that it is sent
    /// as.
    pub(super) fn cast(&self, place: &str) -> String {
        match &self.way {
            Way::Parameter(_) => place.to_owned(),
            Way::Text(fact) | Way::Json(fact) | Way::Bytes(fact) => {
                format!("({place}::{})", fact.name)
            }
            Way::Array(fact, element) => format!(
                "(CASE WHEN {place} IS NULL THEN NULL ELSE ARRAY(SELECT larder_item::{element} \
                 FROM pg_catalog.jsonb_array_elements_text({place}::pg_catalog.jsonb) \
                 AS larder_item) END::{})",
                fact.name
            ),
        }
    }

    /// The bytes of one value in the binary format; none for `NULL`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadKey`] or [`ErrorKind::Refused`] if the type can't hold it.
    fn bytes(&self, bound: &Bound<'_>) -> Result<Option<Vec<u8>>> {
        match (&self.way, bound) {
            (Way::Parameter(wanted), Bound::Parameter(value)) => {
                self.parameter(wanted, value, ErrorKind::BadKey)
            }
            (Way::Parameter(wanted), Bound::Delta(delta)) => {
                self.parameter(wanted, &ParameterValue::Int(*delta), ErrorKind::Refused)
            }
            (Way::Bytes(_) | Way::Text(_), Bound::Whole(bytes)) => Ok(Some(bytes.to_vec())),
            (_, Bound::Field(given)) => self.field(given),
            _ => Err(Error::new(ErrorKind::Internal, "a value of another kind than its name")),
        }
    }

    fn parameter(
        &self,
        wanted: &Wanted,
        value: &ParameterValue,
        kind: ErrorKind,
    ) -> Result<Option<Vec<u8>>> {
        let misfit = |what: String| {
            Error::new(kind, format!("the parameter {} is {value}, {what}", self.name))
        };
        if let Some(what) = wanted.misfit(value) {
            return Err(misfit(what));
        }
        let mut bytes = Vec::new();
        push(wanted.wire, value, &mut bytes).map_err(|error| misfit(error.to_string()))?;
        Ok(Some(bytes))
    }

    fn field(&self, given: &Given<'_>) -> Result<Option<Vec<u8>>> {
        let refused = |what: &str| {
            let wants = &self.fact().name;
            let what = format!("the field {} is {what}, and its column is {wants}", self.name);
            Err(Error::new(ErrorKind::Refused, what))
        };
        let text = |text: &str| Ok(Some(text.as_bytes().to_vec()));
        match (&self.way, &given.field) {
            (_, Field::Null) => Ok(None),
            (Way::Json(_), _) => text(given.json),
            (Way::Bytes(_), Field::Text(base64)) => match STANDARD.decode(base64.as_bytes()) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => refused("no base64"),
            },
            (Way::Bytes(_), _) => refused("no string in base64"),
            (Way::Array(..), Field::Nested(json)) if json.starts_with('[') => text(json),
            (Way::Array(..), _) => refused("no array"),
            (_, Field::Bool(truth)) => text(if *truth { "true" } else { "false" }),
            (_, Field::Number(number)) => text(number),
            (_, Field::Text(given)) => text(given),
            (_, Field::Nested(json)) => text(json),
        }
    }
}

/// The arguments of one write.
pub(super) fn single(sent: &[Sent], bound: &[Bound<'_>]) -> Result<Vec<(Oid, Option<Vec<u8>>)>> {
    sent.iter().zip(bound).map(|(sent, bound)| Ok((sent.oid(), sent.bytes(bound)?))).collect()
}

/// The arguments of many: an array for each name.
pub(super) fn batch(sent: &[Sent], bound: &[&[Bound<'_>]]) -> Result<Vec<Vec<u8>>> {
    let too_many = || Error::new(ErrorKind::Refused, "a batch too large for an array");
    let count = i32::try_from(bound.len()).map_err(|_| too_many())?;
    let array = |(at, sent): (usize, &Sent)| {
        let (dimensions, may_have_nulls, lower_bound) = (1_i32, 1_i32, 1_i32);
        let mut array = Vec::new();
        array.extend_from_slice(&dimensions.to_be_bytes());
        array.extend_from_slice(&may_have_nulls.to_be_bytes());
        array.extend_from_slice(&sent.oid().0.to_be_bytes());
        array.extend_from_slice(&count.to_be_bytes());
        array.extend_from_slice(&lower_bound.to_be_bytes());
        for bound in bound {
            match sent.bytes(&bound[at])? {
                None => array.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(bytes) => {
                    let length = i32::try_from(bytes.len()).map_err(|_| too_many())?;
                    array.extend_from_slice(&length.to_be_bytes());
                    array.extend_from_slice(&bytes);
                }
            }
        }
        Ok(array)
    };
    sent.iter().enumerate().map(array).collect()
}
