//! The columns that a query of one table holds to its parameters: `WHERE column = {parameter} AND
//! …`.
//!
//! A conjunct counts only if it is nothing but a column, `=` and a parameter. Whatever operator
//! stands beside them would be a part of it, so that what is left to the parser is where an `AND`
//! ends; operators that some database reads as weaker than `AND`, and the parser as stronger, are
//! not taken.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Query, Select, SetExpr, TableFactor, Value, Visit,
    Visitor,
};

use super::parse::{aside, parse};
use crate::statement::Dialect;

/// A column that is what a parameter says, in every row that the query looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equality {
    /// The parameter, as an index into what the statement binds.
    pub(crate) parameter: usize,
    /// The column as it stands there, without quotes.
    pub(crate) column: String,
    /// It stood in quotes.
    pub(crate) quoted: bool,
    /// The name of the table, as it stands there, without its schema and without quotes.
    pub(crate) table: String,
}

/// The equalities of the query in `sql`, or the rest of a sentence that says why nothing is known.
pub(crate) async fn equalities(sql: String, dialect: Dialect) -> Result<Vec<Equality>, String> {
    aside(move || equalities_of(&*parse(&sql, dialect)?, dialect)).await
}

/// The equalities of a query that was parsed.
pub(crate) fn equalities_of(query: &Query, dialect: Dialect) -> Result<Vec<Equality>, String> {
    let select = plain(query)?;
    let table = table(select)?;
    let Some(condition) = &select.selection else {
        return Err("has no WHERE, so that every row may change its value".to_owned());
    };
    let mut looks = Looks { dialect, queries: 0, odd: None };
    let _ = query.visit(&mut looks);
    if looks.queries > 1 {
        return Err("has another query in it".to_owned());
    }
    if let Some(odd) = looks.odd {
        return Err(format!("has the operator {odd}, whose reach isn't certain here"));
    }
    let mut found = Vec::new();
    let mut rest = vec![condition];
    while let Some(condition) = rest.pop() {
        match condition {
            Expr::Nested(inner) => rest.push(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                rest.extend([&**right, left]);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                let equal = |column, value| Some((self::column(column)?, parameter(value)?));
                let equality = equal(left, right).or_else(|| equal(right, left));
                found.extend(equality.map(|((column, quoted), parameter)| {
                    let table = table.clone();
                    Equality { parameter, column, quoted, table }
                }));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The only SELECT of the query.
fn plain(query: &Query) -> Result<&Select, String> {
    if query.with.is_some() {
        return Err("has a WITH".to_owned());
    }
    match &*query.body {
        SetExpr::Select(select) => Ok(select),
        SetExpr::SetOperation { op, .. } => Err(format!("has a {op}")),
        _ => Err("is no plain SELECT".to_owned()),
    }
}

/// The only table, which has no arguments.
fn table(select: &Select) -> Result<String, String> {
    match &select.from[..] {
        [] => Err("reads no table".to_owned()),
        [from] if from.joins.is_empty() => match &from.relation {
            TableFactor::Table { name, args: None, .. } => {
                let name = name.0.last().and_then(|part| part.as_ident());
                name.map(|name| name.value.clone()).ok_or_else(|| "reads no table".to_owned())
            }
            _ => Err("reads something else than a table".to_owned()),
        },
        _ => Err("joins tables, or one with itself".to_owned()),
    }
}

fn column(expression: &Expr) -> Option<(String, bool)> {
    let name = match expression {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => names.last()?,
        Expr::Nested(inner) => return column(inner),
        _ => return None,
    };
    Some((name.value.clone(), name.quote_style.is_some()))
}

/// The index of a parameter, which may be cast to what it is.
fn parameter(expression: &Expr) -> Option<usize> {
    match expression {
        Expr::Nested(inner) => parameter(inner),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            let keeps = matches!(
                data_type,
                DataType::Int(None)
                    | DataType::Integer(None)
                    | DataType::BigInt(None)
                    | DataType::Int8(None)
                    | DataType::Text
                    | DataType::Uuid
            );
            parameter(expr).filter(|_| keeps)
        }
        Expr::Value(value) => match &value.value {
            Value::Placeholder(text) => {
                text.trim_start_matches(['$', '?']).parse::<usize>().ok()?.checked_sub(1)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Counts queries, and looks for operators that databases read in different ways.
struct Looks {
    dialect: Dialect,
    queries: usize,
    odd: Option<&'static str>,
}

impl Visitor for Looks {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { op, .. } = expression {
            match (op, self.dialect) {
                (BinaryOperator::Xor, _) => self.odd = Some("XOR"),
                // An OR, unless the session says otherwise.
                (BinaryOperator::StringConcat, Dialect::Mysql) => self.odd = Some("||"),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
