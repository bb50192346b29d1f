//! Functions whose result changes without a row that does.
//!
//! What the catalog calls immutable depends on its arguments alone. What it calls stable depends on
//! something else as well, which for the server's own functions is known: on the session's
//! settings, which are the same for all loads, or on the clock, the session or the catalog. Those
//! of the first kind are listed here, so that a function that a later version brings is refused
//! until somebody has looked at it. What users call stable may read tables.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;

use super::tree::Tree;
use super::{OWN_OID_MAX, asked};
use crate::pool::Failure;
use crate::reads::refused;

/// The server's own stable functions that depend on nothing but their arguments and what a
/// connection is set to, or what only DDL changes.
const STEADY: &str = "
    anytextcat textanycat array_to_json array_to_string concat concat_ws convert convert_from
    convert_to date date_add date_part date_subtract date_trunc enum_first enum_last enum_range
    extract format generate_series in_range interval_pl_timestamptz length make_timestamptz money
    numeric overlaps quote_literal quote_nullable time timestamp timestamptz timestamptz_mi_interval
    timestamptz_pl_interval timetz timezone to_char to_date to_number to_timestamp xml
    xml_is_well_formed current_database pg_collation_for pg_typeof version
    json_agg json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique
    json_object_agg_unique_strict json_build_array json_build_object jsonb_agg jsonb_agg_strict
    jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_agg_unique_strict
    jsonb_build_array jsonb_build_object row_to_json to_json to_jsonb
    jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_tz jsonb_path_query_array_tz
    jsonb_path_query_first_tz
    to_tsquery to_tsvector plainto_tsquery phraseto_tsquery websearch_to_tsquery json_to_tsvector
    jsonb_to_tsvector ts_headline ts_match_tq ts_match_tt";

/// Comparisons of one kind of moment with another one.
fn compares_moments(name: &str) -> bool {
    const KINDS: [&str; 3] = ["date", "timestamp", "timestamptz"];
    const HOW: [&str; 7] = ["cmp", "eq", "ge", "gt", "le", "lt", "ne"];
    let mut parts = name.split('_');
    let is = |part: Option<&str>, of: &[&str]| part.is_some_and(|part| of.contains(&part));
    is(parts.next(), &KINDS) && is(parts.next(), &HOW) && is(parts.next(), &KINDS)
}

/// What an aggregate is made of counts as well: users may call it immutable whatever it does.
const FUNCTIONS: &str = "\
WITH named AS (
    SELECT oid FROM pg_catalog.unnest($1::oid[]) AS given(oid)
    UNION SELECT oprcode::oid FROM pg_catalog.pg_operator WHERE oid = ANY ($2)
), made AS (
    SELECT oid FROM named
    UNION SELECT part FROM named JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = named.oid
    CROSS JOIN LATERAL (VALUES (a.aggtransfn::oid), (a.aggfinalfn::oid), (a.aggmtransfn::oid),
                               (a.aggminvtransfn::oid), (a.aggmfinalfn::oid)) AS parts(part)
    WHERE a.aggfnoid::oid >= 16384
)
SELECT p.oid, p.proname::text, p.provolatile::text, n.nspname::text
FROM made JOIN pg_catalog.pg_proc p ON p.oid = made.oid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace ORDER BY p.oid";

/// Refuses those whose results change by themselves; of the others, one that users have made.
pub(super) async fn check(
    connection: &mut PgConnection,
    tree: &Tree,
) -> Result<Option<String>, Failure> {
    let oids = |numbers: &mut dyn Iterator<Item = &u32>| numbers.copied().map(Oid).collect();
    let functions: Vec<Oid> = oids(&mut tree.functions.iter());
    let operators: Vec<Oid> = oids(&mut tree.operators.iter());
    let rows = asked(FUNCTIONS).bind(functions).bind(operators).fetch_all(connection).await?;
    let mut own = None;
    for row in &rows {
        let (oid, name): (Oid, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (volatility, schema): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
        let is_steady = || {
            STEADY.split_ascii_whitespace().any(|steady| steady == name) || compares_moments(name)
        };
        match (volatility, oid.0 < OWN_OID_MAX) {
            ("i", true) => {}
            ("i", false) => own = Some(format!("{schema}.{name}()")),
            ("s", true) if is_steady() => {}
            (_, true) => {
                return Err(refused(format!(
                    "calls {name}(), whose result may change without a row that does"
                )));
            }
            (_, false) => {
                return Err(refused(format!(
                    "calls {schema}.{name}(), which is not declared IMMUTABLE: it may read tables, \
                     the clock or the session"
                )));
            }
        }
    }
    Ok(own)
}
