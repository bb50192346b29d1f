//! Foreign keys that change rows. InnoDB carries them out below the log, which tells of the row
//! that was deleted or changed, and not of those that went with it.

use larder_core::change::Table;
use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};
use sqlx::{AssertSqlSafe, Executor, Row as _};

use super::Connection;
use crate::pool::Failure;
use crate::reads::refused;

/// The tables whose rows change those of `table` when they change.
pub(super) async fn parents(
    connection: &mut Connection,
    table: &Table,
) -> Result<Vec<Table>, Failure> {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let sql = format!("SHOW CREATE TABLE {}.{}", quoted(&table.schema), quoted(&table.name));
    let row = connection.inner.fetch_one(AssertSqlSafe(sql)).await?;
    let text: String = row.try_get_unchecked(1)?;
    acting(&text, table)
        .ok_or_else(|| refused(format!("reads {table}, whose definition can't be read here")))
}

/// The tables that `REFERENCES … ON … CASCADE` or `SET …` name in a definition.
fn acting(text: &str, table: &Table) -> Option<Vec<Table>> {
    let mut tokens = Tokenizer::new(&MySqlDialect {}, text).tokenize().ok()?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    let is = |token: &Token, word: &str| match token {
        Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
        _ => false,
    };
    let mut parents = Vec::new();
    for part in tokens.split(|token| is(token, "CONSTRAINT")) {
        let Some(at) = part.iter().position(|token| is(token, "REFERENCES")) else { continue };
        let acts = part[at..].iter().any(|token| is(token, "CASCADE") || is(token, "SET"));
        if !acts {
            continue;
        }
        let parent = match &part[at + 1..] {
            [Token::Word(schema), Token::Period, Token::Word(name), ..] => {
                (schema.value.as_str(), name)
            }
            [Token::Word(name), ..] => (&*table.schema, name),
            _ => return None,
        };
        parents.push(Table { schema: parent.0.into(), name: parent.1.value.as_str().into() });
    }
    Some(parents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_change_rows_are_told() {
        let table = Table { schema: "shop".into(), name: "t".into() };
        let text = "CREATE TABLE `t` (`a` int COMMENT 'REFERENCES x ON DELETE CASCADE',
            KEY `CASCADE` (`a`),
            CONSTRAINT `f1` FOREIGN KEY (`a`) REFERENCES `p` (`SET`),
            CONSTRAINT `f2` FOREIGN KEY (`a`) REFERENCES `q` (`id`)
                ON DELETE NO ACTION ON UPDATE CASCADE,
            CONSTRAINT `f3` FOREIGN KEY (`a`) REFERENCES `other`.`R``s` (`id`) ON DELETE SET NULL
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";
        let found = acting(text, &table).unwrap();
        let names: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["shop.q", "other.R`s"]);
    }
}
