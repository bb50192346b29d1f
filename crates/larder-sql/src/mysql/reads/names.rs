//! What a query of MySQL or MariaDB names: tables, views and functions.
//!
//! Functions are listed that depend on their arguments alone, or on what a connection is set to.
//! What isn't in the list may be the clock, a random number, the session, or something that a user
//! has made, and is refused. No function of a user's can have one of these names without saying
//! which database it is of.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArguments, Ident, ObjectName, Query, Select, SetExpr, TableFactor, Visit, Visitor,
};

use crate::reads::{Equality, aside, equalities_of, parse};
use crate::statement::Dialect;

const STEADY: &str = "
    abs acos asin atan atan2 ceil ceiling conv cos cot crc32 crc32c degrees exp floor ln log log10
    log2 mod pi pow power radians round sign sin sqrt tan truncate bit_count
    ascii bin bit_length char char_length character_length chr concat concat_ws elt export_set field
    find_in_set format from_base64 hex insert instr lcase left length lengthb locate lower lpad
    ltrim make_set mid oct octet_length ord position quote repeat replace reverse right rpad rtrim
    soundex space strcmp substr substring substring_index to_base64 to_char trim ucase unhex upper
    weight_string regexp_instr regexp_like regexp_replace regexp_substr natural_sort_key
    coalesce if ifnull isnull nullif nvl nvl2 greatest least interval
    adddate addtime add_months convert_tz date date_add date_format date_sub datediff day dayname
    dayofmonth dayofweek dayofyear from_days from_unixtime get_format hour last_day makedate
    maketime microsecond minute month monthname period_add period_diff quarter sec_to_time second
    str_to_date subdate subtime time time_format time_to_sec timediff timestamp timestampadd
    timestampdiff to_days to_seconds week weekday weekofyear year yearweek
    any_value avg bit_and bit_or bit_xor count group_concat grouping json_arrayagg json_objectagg
    max median min percentile_cont percentile_disc std stddev stddev_pop stddev_samp sum var_pop
    var_samp variance
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
    json_array json_array_append json_array_insert json_array_intersect json_compact json_contains
    json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert
    json_keys json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize
    json_object json_overlaps json_pretty json_query json_quote json_remove json_replace
    json_schema_valid json_search json_set json_type json_unquote json_valid json_value
    md5 sha sha1 sha2 compress uncompress uncompressed_length
    inet_aton inet_ntoa inet6_aton inet6_ntoa is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid
    uuid_to_bin bin_to_uuid charset coercibility collation database schema version";

/// What stands for a function's call without brackets.
const BARE: [&str; 10] = [
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
];

/// A table or view as it is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

/// What a query names.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) relations: BTreeSet<Name>,
    /// What stands behind a `WITH`, in small letters: such a name may be a table elsewhere in it.
    pub(super) local: BTreeSet<String>,
    /// The columns that are equal to parameters.
    pub(super) equalities: Result<Vec<Equality>, String>,
}

/// The names in the query `sql`, or the rest of a sentence that says why they aren't known or
/// aren't all that it reads.
pub(super) async fn names(sql: String) -> Result<Names, String> {
    aside(move || {
        let query = parse(&sql, Dialect::Mysql)?;
        let mut looks = Looks::default();
        if let ControlFlow::Break(why) = query.visit(&mut looks) {
            return Err(why);
        }
        let equalities = equalities_of(&query, Dialect::Mysql);
        Ok(Names { relations: looks.relations, local: looks.local, equalities })
    })
    .await
}

#[derive(Default)]
struct Looks {
    relations: BTreeSet<Name>,
    local: BTreeSet<String>,
}

impl Visitor for Looks {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.local.extend(tables.map(|table| table.alias.name.value.to_lowercase()));
        if !query.locks.is_empty() {
            return no("locks rows (FOR UPDATE or FOR SHARE)");
        }
        body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        match &select.into {
            Some(_) => no("has an INTO"),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        let parts: Option<Vec<_>> =
            relation.0.iter().map(|part| part.as_ident().map(|name| name.value.clone())).collect();
        let name = match parts.as_deref() {
            Some([name]) => Name { schema: None, name: name.clone() },
            Some([schema, name]) => Name { schema: Some(schema.clone()), name: name.clone() },
            _ => return no(format!("reads {relation}, which is no table")),
        };
        self.relations.insert(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        match factor {
            TableFactor::Table { args: Some(_), name, .. } => {
                no(format!("reads {name}(), which is not known here"))
            }
            TableFactor::Table { version: Some(_), name, .. } => {
                no(format!("reads {name} as it was, and nobody tells when that is forgotten"))
            }
            TableFactor::Table { sample: Some(_), .. } => no("reads a sample"),
            TableFactor::Table { .. }
            | TableFactor::Derived { sample: None, .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            other => no(format!("reads {other}, which is not known here")),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<String> {
        let names = match expression {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(names) => names,
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                // Without an argument it is the clock.
                let is_told = matches!(&function.args,
                    FunctionArguments::List(list) if !list.args.is_empty());
                let is_steady = STEADY.split_ascii_whitespace().any(|steady| steady == name)
                    || name.starts_with("st_")
                    || (name == "unix_timestamp" && is_told);
                if !is_steady || function.uses_odbc_syntax {
                    return no(format!(
                        "calls {name}(), whose result may change without a row that does"
                    ));
                }
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        let unquoted = |name: &&Ident| name.quote_style.is_none();
        match names.first().filter(unquoted).map(|name| name.value.to_lowercase()) {
            Some(name) if name.starts_with('@') => no(format!("reads the variable {name}")),
            Some(name) if names.len() == 1 && BARE.contains(&name.as_str()) => {
                no(format!("calls {name}(), whose result may change without a row that does"))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Refuses what isn't visited as a table.
fn body(set: &SetExpr) -> ControlFlow<String> {
    match set {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        other => no(format!("has {other}: write a SELECT")),
    }
}

fn no(why: impl Into<String>) -> ControlFlow<String> {
    ControlFlow::Break(why.into())
}
