//! What the server wants for each parameter, and whether the key's kind can be sent as that.
//!
//! Only what loses nothing is allowed: an `int` where the column may round it, or a `text` where
//! the server expects a moment in time, is refused with the cast that says what is meant.

use larder_core::template::{Parameter, ParameterKind, ParameterValue};
use larder_core::{Error, ErrorKind};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgStatement, PgTypeInfo};
use sqlx::{Either, Row as _, Statement as _};

use crate::load::postgres_cast;

/// The longest `name`, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// What the catalog says about a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) oid: Oid,
    /// As SQL names it, with its schema where that is needed.
    pub(super) name: String,
    /// The type below all domains.
    base: Oid,
    /// Enums and `citext` have no numbers of their own to be known by.
    is_text_like: bool,
    /// Of what it is an array, if it is one.
    pub(super) element: Option<String>,
}

/// A type that a parameter is sent as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) fact: Fact,
    pub(super) wire: Wire,
}

/// How a value looks on the wire, in the binary format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Int2,
    Int4,
    Int8,
    Oid,
    Numeric,
    Text,
    /// A text of at most 63 bytes.
    Name,
    Uuid,
    Bool,
}

/// The numbers of built-in types, from `pg_type.dat`.
pub(super) mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BYTEA: u32 = 17;
    pub(super) const NAME: u32 = 19;
    pub(in super::super) const INT8: u32 = 20;
    pub(super) const JSON: u32 = 114;
    pub(super) const JSONB: u32 = 3802;
    pub(in super::super) const INT2: u32 = 21;
    pub(in super::super) const INT4: u32 = 23;
    pub(in super::super) const TEXT: u32 = 25;
    pub(super) const OID: u32 = 26;
    pub(super) const FLOAT4: u32 = 700;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const BPCHAR: u32 = 1042;
    pub(in super::super) const VARCHAR: u32 = 1043;
    pub(super) const NUMERIC: u32 = 1700;
    pub(in super::super) const UUID: u32 = 2950;
}

impl Fact {
    pub(super) const fn is_bytea(&self) -> bool {
        self.base.0 == oid::BYTEA
    }

    pub(super) const fn is_json(&self) -> bool {
        matches!(self.base.0, oid::JSON | oid::JSONB)
    }

    /// Whether two values that differ are two values for every column of this type; of texts only
    /// where no collation takes some for equal that differ.
    pub(super) const fn tells_apart(&self) -> bool {
        matches!(
            self.base.0,
            oid::INT2
                | oid::INT4
                | oid::INT8
                | oid::OID
                | oid::NUMERIC
                | oid::UUID
                | oid::BOOL
                | oid::TEXT
                | oid::VARCHAR
        )
    }

    /// Whether the binary format is the text itself.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.base.0, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME)
    }

    fn wire(&self, kind: ParameterKind) -> Option<Wire> {
        Some(match (kind, self.base.0) {
            (ParameterKind::Int, oid::INT2) => Wire::Int2,
            (ParameterKind::Int, oid::INT4) => Wire::Int4,
            (ParameterKind::Int, oid::INT8) => Wire::Int8,
            (ParameterKind::Int, oid::OID) => Wire::Oid,
            (ParameterKind::Int, oid::NUMERIC) => Wire::Numeric,
            (ParameterKind::Text, oid::NAME) => Wire::Name,
            (ParameterKind::Text, _) if self.is_text() || self.is_text_like => Wire::Text,
            (ParameterKind::Uuid, oid::UUID) => Wire::Uuid,
            (ParameterKind::Bool, oid::BOOL) => Wire::Bool,
            _ => return None,
        })
    }

    /// The kind of parameter that is sent as this type without a cast.
    fn kind(&self) -> Option<ParameterKind> {
        ParameterKind::ALL.into_iter().find(|&kind| self.wire(kind).is_some())
    }
}

impl Wanted {
    pub(super) fn name(&self) -> &str {
        &self.fact.name
    }

    /// Why no column of this type can hold `value`, as the end of a sentence.
    pub(super) fn misfit(&self, value: &ParameterValue) -> Option<String> {
        let fits = match (self.wire, value) {
            (Wire::Int2, ParameterValue::Int(number)) => i16::try_from(*number).is_ok(),
            (Wire::Int4, ParameterValue::Int(number)) => i32::try_from(*number).is_ok(),
            (Wire::Oid, ParameterValue::Int(number)) => u32::try_from(*number).is_ok(),
            (Wire::Name, ParameterValue::Text(text)) => text.len() <= NAME_BYTES_MAX,
            _ => true,
        };
        (!fits).then(|| format!("which no {} can hold", self.fact.name))
    }
}

/// The types of the parameters of a statement.
pub(super) fn oids(statement: &PgStatement, count: usize) -> Result<Vec<Oid>, sqlx::Error> {
    let types: &[PgTypeInfo] = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    let oids: Vec<Oid> = types.iter().filter_map(PgTypeInfo::oid).collect();
    if oids.len() == count {
        return Ok(oids);
    }
    Err(sqlx::Error::Protocol(format!("{} types for {count} parameters", oids.len())))
}

/// Asks the catalog about types: the parameters', then the columns'.
pub(super) async fn look_up(
    connection: &mut PgConnection,
    parameters: &[Oid],
    columns: &[Oid],
) -> Result<Vec<Fact>, sqlx::Error> {
    let oids: Vec<Oid> = parameters.iter().chain(columns).copied().collect();
    let rows = sqlx::query(
        "WITH RECURSIVE chain(ordinal, oid, base) AS (
             SELECT ordinal, oid, oid
             FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS given(oid, ordinal)
             UNION ALL
             SELECT chain.ordinal, chain.oid, domain.typbasetype
             FROM chain JOIN pg_catalog.pg_type AS domain ON domain.oid = chain.base
             WHERE domain.typtype = 'd'
         )
         SELECT chain.oid, pg_catalog.format_type(chain.oid, -1), chain.base,
                base.typtype = 'e' OR base.typname = 'citext',
                CASE WHEN base.typcategory = 'A'
                     THEN pg_catalog.format_type(NULLIF(base.typelem, 0), -1) END
         FROM chain JOIN pg_catalog.pg_type AS base ON base.oid = chain.base
         WHERE base.typtype <> 'd' ORDER BY chain.ordinal",
    )
    .bind(&oids)
    .fetch_all(connection)
    .await?;
    let fact = |row: &sqlx::postgres::PgRow| {
        Ok(Fact {
            oid: row.try_get(0)?,
            name: row.try_get(1)?,
            base: row.try_get(2)?,
            is_text_like: row.try_get(3)?,
            element: row.try_get(4)?,
        })
    };
    let facts = rows.iter().map(fact).collect::<Result<Vec<_>, sqlx::Error>>()?;
    if facts.len() == oids.len() {
        return Ok(facts);
    }
    Err(sqlx::Error::Protocol("a type that the catalog does not have".to_owned()))
}

/// How each parameter is sent.
pub(super) fn wanted(bound: &[Parameter], facts: Vec<Fact>) -> Result<Vec<Wanted>, Error> {
    let one = |(parameter, fact): (&Parameter, Fact)| match fact.wire(parameter.kind) {
        Some(wire) => Ok(Wanted { fact, wire }),
        None => Err(Error::new(ErrorKind::Config, cure(parameter, &fact))),
    };
    bound.iter().zip(facts).map(one).collect()
}

fn cure(Parameter { name, kind }: &Parameter, fact: &Fact) -> String {
    let wants = &fact.name;
    let own = postgres_cast(*kind);
    let cast = match (kind, fact.base.0) {
        // A number goes through no text on its way to a float.
        (ParameterKind::Int, oid::FLOAT4 | oid::FLOAT8) => format!("{{{name}}}{own}"),
        _ => format!("{{{name}}}{own}::{wants}"),
    };
    let declare = match fact.kind() {
        Some(fits) => format!(", or declare it {{{name}:{fits}}} in key"),
        None => String::new(),
    };
    format!(
        "load wants {wants} for {{{name}}}, which is declared {{{name}:{kind}}}: write \
         {cast}{declare}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(name: &str, base: u32, wire: Wire) -> Wanted {
        let oid = Oid(base);
        Wanted {
            fact: Fact { oid, name: name.into(), base: oid, is_text_like: false, element: None },
            wire,
        }
    }

    #[test]
    fn a_value_beyond_the_columns_range_is_told_so() {
        let int2 = wants("smallint", oid::INT2, Wire::Int2);
        let int4 = wants("integer", oid::INT4, Wire::Int4);
        let unsigned = wants("oid", oid::OID, Wire::Oid);
        for (wanted, least, most) in [
            (&int2, i64::from(i16::MIN), i64::from(i16::MAX)),
            (&int4, i64::from(i32::MIN), i64::from(i32::MAX)),
            (&unsigned, 0, i64::from(u32::MAX)),
        ] {
            for fits in [least, most] {
                assert_eq!(wanted.misfit(&ParameterValue::Int(fits)), None);
            }
            for beyond in [least - 1, most + 1] {
                let what = wanted.misfit(&ParameterValue::Int(beyond)).unwrap();
                assert_eq!(what, format!("which no {} can hold", wanted.name()));
            }
        }
        let name = wants("name", oid::NAME, Wire::Name);
        assert_eq!(name.misfit(&ParameterValue::Text("x".repeat(63))), None);
        assert!(name.misfit(&ParameterValue::Text("x".repeat(64))).is_some());
    }
}
