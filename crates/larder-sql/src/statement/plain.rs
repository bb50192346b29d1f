//! A statement that writes, taken apart as far as is needed to know what it does to one table.
//!
//! Only what is plain is understood: `INSERT INTO t (…) VALUES (…) …`, `UPDATE t SET … WHERE …`,
//! `DELETE FROM t WHERE …`, each without another query in it. About everything else nothing is
//! known, and it is executed as it is, one key at a time.

use super::lexer::{Lexer, Token};
use super::{Dialect, Taken, What};

/// The statement's tokens, white space and comments left out of the middle.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// As it stands there; a word also in capitals.
    Text {
        source: String,
        word: Option<String>,
    },
    /// A string.
    Literal(String),
    Space(String),
    /// An index into what the statement takes.
    Hole(usize),
    Open,
    Close,
}

/// Functions whose result depends on their arguments alone, or on nothing that rows which are
/// written beside could change.
const FUNCTIONS: [&str; 22] = [
    "NOW",
    "COALESCE",
    "NULLIF",
    "LOWER",
    "UPPER",
    "TRIM",
    "BTRIM",
    "GREATEST",
    "LEAST",
    "MD5",
    "ABS",
    "ROUND",
    "CAST",
    "TO_TIMESTAMP",
    "NEXTVAL",
    "CLOCK_TIMESTAMP",
    "GEN_RANDOM_UUID",
    "NUMERIC",
    "VARCHAR",
    "CHAR",
    "TIMESTAMPTZ",
    "TIMESTAMP",
];

/// Words after which a bracket opens something else than a function's arguments.
const BEFORE_BRACKETS: [&str; 16] = [
    "VALUES",
    "CONFLICT",
    "SET",
    "ROW",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IN",
    "THEN",
    "WHEN",
    "ELSE",
    "CASE",
    "ARRAY",
    "DISTINCT",
    "RETURNING",
];

/// Words of a statement with another query in it, or of one that is not plain in another way.
const OTHERS: [&str; 13] = [
    "SELECT", "WITH", "UNION", "TABLE", "USING", "LATERAL", "CURRENT", "EXISTS", "JOIN", "DEFAULT",
    "LIMIT", "ORDER", "IGNORE",
];

impl Plain {
    /// The parts of `sql`, which was parsed before as something that takes `takes`.
    pub(crate) fn read(sql: &str, dialect: Dialect, takes: &[Taken]) -> Self {
        let mut lexer = Lexer::new(sql, dialect);
        let mut parts = Vec::new();
        while let Ok(Some((token, source))) = lexer.next() {
            parts.push(match token {
                Token::Space => Part::Space(source.to_owned()),
                Token::Hole(name) => match takes.iter().position(|taken| taken.name == name) {
                    Some(at) => Part::Hole(at),
                    None => continue,
                },
                Token::Open => Part::Open,
                Token::Close => Part::Close,
                Token::End => continue,
                Token::Word => {
                    let word = Some(source.to_ascii_uppercase());
                    Part::Text { source: source.to_owned(), word }
                }
                Token::Quoted(quote) if quote.is_string => Part::Literal(source.to_owned()),
                Token::Quoted(_) | Token::Foreign | Token::Other => {
                    Part::Text { source: source.to_owned(), word: None }
                }
            });
        }
        Self { parts }
    }

    /// The table that it writes, as it stands there.
    pub(crate) fn table(&self) -> Option<String> {
        let mut parts = self.solid(0..self.parts.len()).map(|at| &self.parts[at]).peekable();
        let before = match parts.next()?.word()? {
            "INSERT" | "REPLACE" => Some("INTO"),
            "DELETE" => Some("FROM"),
            "UPDATE" => None,
            _ => return None,
        };
        if before.is_some() {
            parts.by_ref().find(|part| part.word() == before)?;
        }
        if ["ONLY", "OR"].iter().any(|odd| parts.peek().and_then(|part| part.word()) == Some(odd)) {
            return None;
        }
        let mut table = String::new();
        let mut expects_name = true;
        for part in parts {
            let Part::Text { source, .. } = part else { break };
            match (expects_name, source == ".") {
                (true, false) | (false, true) => table.push_str(source),
                _ => break,
            }
            expects_name = !expects_name;
        }
        (!table.is_empty()).then_some(table)
    }

    /// Whether it returns the column `name` as it is in the table.
    pub(crate) fn returns(&self, name: &str) -> bool {
        let Some(start) = self.top_level("RETURNING") else { return false };
        let mut items: Vec<Vec<&Part>> = vec![Vec::new()];
        for at in self.solid(start + 1..self.parts.len()) {
            match &self.parts[at] {
                Part::Text { source, .. } if source == "," => items.push(Vec::new()),
                part => {
                    if let Some(item) = items.last_mut() {
                        item.push(part);
                    }
                }
            }
        }
        let is_it = |item: &Vec<&Part>| match item[..] {
            [Part::Text { source, .. }] => source == "*" || unquoted(source) == name,
            [_, Part::Text { source: dot, .. }, Part::Text { source, .. }] if dot == "." => {
                source == "*" || unquoted(source) == name
            }
            _ => false,
        };
        items.iter().any(is_it)
    }

    /// Whether it changes the rows in which columns are what the key says, and no others: its
    /// condition is `column = {parameter}`, for every parameter that it takes of the key.
    pub(crate) fn is_by_key(&self, takes: &[Taken]) -> bool {
        let head = self.solid(0..self.parts.len()).next();
        let is_known =
            head.is_some_and(|at| matches!(self.parts[at].word(), Some("UPDATE" | "DELETE")));
        let Some(start) = self.top_level("WHERE").filter(|_| is_known && self.is_plain()) else {
            return false;
        };
        // Of several tables, rows of one may keep those of another from being deleted.
        let head = self.top_level("FROM").unwrap_or(start);
        if self.solid(head..start).any(|at| self.parts[at].is(",")) {
            return false;
        }
        let end = self.top_level("RETURNING").unwrap_or(self.parts.len());
        if end < start {
            return false;
        }
        let mut named = Vec::new();
        let condition: Vec<_> = self.solid(start + 1..end).map(|at| &self.parts[at]).collect();
        for comparison in condition.split(|part| part.word() == Some("AND")) {
            let (column, hole) = match comparison {
                [column @ .., Part::Text { source, .. }, Part::Hole(hole)] if source == "=" => {
                    (column, *hole)
                }
                _ => return false,
            };
            let is_column = match column {
                [Part::Text { .. }] => true,
                [Part::Text { .. }, Part::Text { source, .. }, Part::Text { .. }] => source == ".",
                _ => false,
            };
            let is_name =
                |part: &&Part| matches!(part, Part::Text { source, .. } if is_name(source));
            if !is_column || !column.last().is_some_and(is_name) {
                return false;
            }
            if !matches!(takes[hole].what, What::Key(..)) {
                return false;
            }
            named.push(hole);
        }
        let is_named = |(at, taken): (usize, &Taken)| {
            !matches!(taken.what, What::Key(..)) || named.contains(&at)
        };
        takes.iter().enumerate().all(is_named)
    }

    /// Whether nothing in it depends on other rows.
    fn is_plain(&self) -> bool {
        let solid: Vec<_> = self.solid(0..self.parts.len()).map(|at| &self.parts[at]).collect();
        let is_odd = |word: &str| OTHERS.contains(&word);
        if solid.iter().any(|part| part.word().is_some_and(is_odd)) {
            return false;
        }
        let froms = solid.iter().filter(|part| part.word() == Some("FROM")).count();
        let is_delete = solid.first().and_then(|part| part.word()) == Some("DELETE");
        if froms != usize::from(is_delete) {
            return false;
        }
        // The names before the first brackets of an INSERT are those of its table.
        let values = solid.iter().position(|part| part.word() == Some("VALUES")).unwrap_or(0);
        let calls = solid.windows(2).enumerate().filter(|(_, two)| *two[1] == Part::Open);
        calls.filter(|(at, _)| *at >= values).all(|(at, two)| match two[0] {
            // A function of some schema is not the one that is known by its name.
            _ if at > 0 && solid[at - 1].is(".") => false,
            Part::Text { word: Some(word), .. } => {
                BEFORE_BRACKETS.contains(&&**word) || FUNCTIONS.contains(&&**word)
            }
            // A quoted name may be a function's, an operator is none.
            Part::Text { source, .. } => !source.starts_with(['"', '`']),
            _ => true,
        })
    }

    /// The same for many keys, whose values are rows of `source`, where `place` says what stands
    /// for a value; none where that might do something else.
    pub(crate) fn many(
        &self,
        takes: &[Taken],
        source: &str,
        place: impl Fn(usize) -> String,
    ) -> Option<Many> {
        if !self.is_plain() {
            return None;
        }
        let head = self.solid(0..self.parts.len()).next()?;
        let end = self.parts.len();
        let returning = self.top_level("RETURNING");
        match self.parts[head].word()? {
            "INSERT" => {
                let values = self.top_level("VALUES")?;
                let open = self.solid(values + 1..end).next()?;
                let close = self.closing(open)?;
                let after = self.solid(close + 1..end).next();
                let is_list =
                    |at| matches!(&self.parts[at], Part::Text { source, .. } if source == ",");
                if self.has_holes(0..values)
                    || self.has_holes(close..end)
                    || after.is_some_and(is_list)
                {
                    return None;
                }
                let before = self.render(0..values, &place);
                let row = self.render(open + 1..close, &place);
                let tail = self.render(close + 1..end, &place);
                let sql = format!("{before} SELECT {row} FROM {source} {tail}");
                Some(Many { sql, tells_places: false, returns: returning.is_some() })
            }
            word @ ("UPDATE" | "DELETE") if self.is_by_key(takes) => {
                let condition = self.top_level("WHERE")?;
                let joins = if word == "UPDATE" { "FROM" } else { "USING" };
                let before = self.render(0..condition, &place);
                let rows = self.render(condition..returning.unwrap_or(end), &place);
                let list = returning.map(|at| self.render(at + 1..end, &place));
                let list = list.map(|list| format!(", {list}")).unwrap_or_default();
                let sql = format!(
                    "{before} {joins} {source} {rows} \
                     RETURNING larder_key.larder_ordinal AS larder_place{list}"
                );
                Some(Many { sql, tells_places: true, returns: returning.is_some() })
            }
            _ => None,
        }
    }

    fn solid(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        range.filter(|&at| !matches!(self.parts[at], Part::Space(_)))
    }

    /// Where the only such word stands that is in no brackets.
    fn top_level(&self, word: &str) -> Option<usize> {
        let (mut depth, mut found) = (0_usize, None);
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Open => depth += 1,
                Part::Close => depth = depth.saturating_sub(1),
                part if depth == 0 && part.word() == Some(word) => {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(at);
                }
                _ => {}
            }
        }
        found
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, part) in self.parts.iter().enumerate().skip(open) {
            match part {
                Part::Open => depth += 1,
                Part::Close => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    fn has_holes(&self, mut range: std::ops::Range<usize>) -> bool {
        range.any(|at| matches!(self.parts[at], Part::Hole(_)))
    }

    fn render(&self, range: std::ops::Range<usize>, place: &impl Fn(usize) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text { source, .. } | Part::Literal(source) | Part::Space(source) => {
                source.clone()
            }
            Part::Hole(at) => place(*at),
            Part::Open => "(".to_owned(),
            Part::Close => ")".to_owned(),
        };
        // A comment to the end of the line would hide what comes after it.
        let mut text: String = self.parts[range].iter().map(part).collect();
        text.push('\n');
        text
    }
}

/// A statement for many keys.
#[derive(Clone, Debug)]
pub(crate) struct Many {
    pub(crate) sql: String,
    /// What it returns begins with `larder_place`, the key's ordinal.
    pub(crate) tells_places: bool,
    /// It returns what it did for one key.
    pub(crate) returns: bool,
}

impl Part {
    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Text { source, .. } if source == text)
    }

    fn word(&self) -> Option<&str> {
        match self {
            Self::Text { word, .. } => word.as_deref(),
            _ => None,
        }
    }
}

fn is_name(source: &str) -> bool {
    source.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"' || c == '`')
}

/// A name without the marks that it may be quoted with.
pub(crate) fn unquoted(source: &str) -> String {
    for (mark, doubled) in [("\"", "\"\""), ("`", "``")] {
        if let Some(inner) = source.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)) {
            return inner.replace(doubled, mark);
        }
    }
    source.to_owned()
}

#[cfg(test)]
mod tests {
    use larder_core::template::ParameterKind;

    use super::*;

    fn plain(sql: &str) -> (Plain, Vec<Taken>) {
        let taken = |name: &str, what| Taken { name: name.to_owned(), what };
        let takes = vec![
            taken("id", What::Key(0, ParameterKind::Int)),
            taken("name", What::Field),
            taken("delta", What::Delta),
        ];
        (Plain::read(sql, Dialect::Postgres, &takes), takes)
    }

    fn many(sql: &str) -> Option<String> {
        let (_, takes) = plain(sql);
        let used: Vec<_> = takes
            .iter()
            .filter(|taken| sql.contains(&format!("{{{}}}", taken.name)))
            .cloned()
            .collect();
        Plain::read(sql, Dialect::Postgres, &used)
            .many(&used, "rows", |at| format!("k.{}", used[at].name))
            .map(|many| many.sql.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_plain_is_written_for_many_keys() {
        for (sql, expected) in [
            (
                "INSERT INTO t (id, name) VALUES ({id}, lower({name})) -- here\n ON CONFLICT (id) \
                 DO UPDATE SET name = EXCLUDED.name RETURNING *",
                "INSERT INTO t (id, name) SELECT k.id, lower(k.name) FROM rows -- here ON CONFLICT \
                 (id) DO UPDATE SET name = EXCLUDED.name RETURNING *",
            ),
            (
                "UPDATE t SET n = n + {delta} WHERE id = {id} RETURNING n",
                "UPDATE t SET n = n + k.delta FROM rows WHERE id = k.id RETURNING \
                 larder_key.larder_ordinal AS larder_place, n",
            ),
            (
                "DELETE FROM s.t WHERE t.id = {id}",
                "DELETE FROM s.t USING rows WHERE t.id = k.id RETURNING \
                 larder_key.larder_ordinal AS larder_place",
            ),
        ] {
            assert_eq!(many(sql).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_might_do_something_else_for_many_keys_is_left_alone() {
        for sql in [
            "INSERT INTO t (id) VALUES ({id}), (2)",
            "INSERT INTO t (id, n) VALUES ({id}, (SELECT max(n) + 1 FROM t))",
            "INSERT INTO t (id, n) VALUES ({id}, my_count())",
            "INSERT INTO t (id, n) VALUES ({id}, \"my count\"({id}))",
            "INSERT INTO t (id, n) VALUES ({id}, mine.lower({name}))",
            "INSERT INTO t (id) VALUES ({id}) ON CONFLICT (id) DO UPDATE SET name = {name}",
            "INSERT INTO t (id, n) VALUES ({id}, DEFAULT)",
            "INSERT INTO t SELECT {id}",
            "UPDATE t SET n = n + {delta} WHERE id > {id}",
            "UPDATE t SET n = n + {delta} WHERE id = {id} OR true",
            "UPDATE t SET n = n + {delta} WHERE id = {id} AND n > 0",
            "UPDATE t SET n = n + {delta} WHERE lower(id) = {id}",
            "UPDATE t SET n = {id} WHERE name = {name}",
            "UPDATE t SET n = n + o.n FROM o WHERE id = {id}",
            "DELETE FROM t",
            "WITH x AS (SELECT 1) DELETE FROM t WHERE id = {id}",
            "MERGE INTO t USING s ON t.id = {id} WHEN MATCHED THEN DELETE",
            "CALL store({id})",
        ] {
            assert_eq!(many(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_is_by_key_in_mysql_leaves_no_row_of_the_key() {
        for (sql, is_by_key) in [
            ("DELETE FROM t WHERE id = {id}", true),
            ("DELETE FROM `t` WHERE `t`.`id` = {id}", true),
            // A string, and not a name.
            ("DELETE FROM t WHERE \"id\" = {id}", false),
            ("DELETE IGNORE FROM t WHERE id = {id}", false),
            ("DELETE t FROM t, u WHERE t.id = {id}", false),
            ("DELETE FROM t WHERE id = {id} LIMIT 1", false),
        ] {
            let takes = vec![Taken { name: "id".into(), what: What::Key(0, ParameterKind::Int) }];
            let plain = Plain::read(sql, Dialect::Mysql, &takes);
            assert_eq!(plain.is_by_key(&takes), is_by_key, "{sql}");
        }
    }

    #[test]
    fn the_table_and_the_columns_are_as_they_stand_there() {
        for (sql, table) in [
            ("insert into a.\"B c\" (id) values ({id})", Some("a.\"B c\"")),
            ("UPDATE t AS x SET n = 1", Some("t")),
            ("DELETE /* FROM u */ FROM t WHERE id = {id}", Some("t")),
            ("UPDATE ONLY t SET n = 1", None),
            ("WITH x AS (SELECT 1) DELETE FROM t", None),
            ("CALL t()", None),
        ] {
            assert_eq!(plain(sql).0.table().as_deref(), table, "{sql}");
        }
        for (list, is_plain) in [
            ("*", true),
            ("t.*", true),
            ("id, name", true),
            ("id, t.\"name\"", true),
            ("id, upper(name) AS name", false),
            ("other AS name", false),
            ("id", false),
        ] {
            let sql = format!("UPDATE t SET n = 1 WHERE id = {{id}} RETURNING {list}");
            assert_eq!(plain(&sql).0.returns("name"), is_plain, "{list}");
        }
    }
}
