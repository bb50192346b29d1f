//! Statements that stand in the log as text: where transactions begin and end, what was done to
//! tables themselves, and what somebody had written as a statement instead of as rows.
//!
//! Nothing is understood that needn't be. What a statement does is told by how it begins. Which
//! tables it touches is told by whether it has their names in it, anywhere: a statement that
//! touches a table names it, so none is missed, and one that names a table for another reason
//! costs a few loads.

use std::borrow::Cow;

use larder_core::change::Table;

use super::reader::Reader;
use super::{Malformed, packed};

/// A statement in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'m>(Cow<'m, [u8]>);

/// What a statement means to who follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A transaction begins.
    Begin,
    /// It ends; also where what can't be rolled back remains of it.
    End,
    /// A transaction that was prepared before, in whatever place of the log, is committed.
    CommitPrepared,
    /// No row is another one by it.
    Nothing,
    /// The table of these names is emptied.
    Truncate,
    /// Tables, or all of a database, are made, changed or dropped.
    Definition,
    /// A view is made, changed or dropped, or something is renamed that may be one. It doesn't say
    /// which tables were read through it before, nor which of those by another view.
    View,
    /// Anything may have changed.
    Anything,
}

impl<'m> Query<'m> {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// When it isn't such an event, or is compressed and too long.
    pub fn decode(body: &'m [u8], is_compressed: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.take(8)?;
        let database = usize::from(reader.byte()?);
        reader.take(2)?;
        let settings = usize::try_from(reader.little(2)?).unwrap_or(usize::MAX);
        reader.take(settings)?;
        reader.take(database + 1)?;
        let text = reader.rest();
        let text = if is_compressed { packed::unpack(text)?.into() } else { Cow::Borrowed(text) };
        Ok(Self(text))
    }

    /// A statement of this text.
    ///
    /// ```
    /// use larder_feed::binlog::{Query, Statement};
    ///
    /// let query = Query::new("/* nightly */ TRUNCATE TABLE `sessions`");
    /// assert_eq!(query.statement(), Statement::Truncate);
    /// ```
    #[must_use]
    pub fn new(text: &'m str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// What it means.
    #[must_use]
    pub fn statement(&self) -> Statement {
        use Statement::{
            Anything, Begin, CommitPrepared, Definition, End, Nothing, Truncate, View,
        };
        let mut words = Words(&self.0);
        let (first, second) = (words.next(), words.next());
        match (first.as_str(), second.as_str()) {
            ("BEGIN" | "START", _) | ("XA", "START" | "BEGIN") => Begin,
            ("COMMIT", _) => End,
            ("ROLLBACK", "" | "WORK") => End,
            ("XA", "COMMIT") => CommitPrepared,
            ("XA" | "SAVEPOINT" | "RELEASE" | "ROLLBACK", _) => Nothing,
            ("TRUNCATE", _) => Truncate,
            ("CREATE" | "ALTER" | "DROP", "VIEW" | "ALGORITHM" | "SQL") => View,
            ("CREATE" | "ALTER", "OR" | "DEFINER") if self.has("VIEW") => View,
            ("RENAME", "USER") => Nothing,
            ("RENAME", _) => View,
            (
                "CREATE" | "ALTER" | "DROP",
                "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "USER" | "ROLE" | "SERVER",
            ) => Nothing,
            ("CREATE" | "ALTER" | "DROP" | "REPAIR", _) => Definition,
            ("GRANT" | "REVOKE" | "SET" | "FLUSH" | "ANALYZE" | "OPTIMIZE" | "CHECK", _) => Nothing,
            _ => Anything,
        }
    }

    /// Whether it touches this table, if it touches any.
    #[must_use]
    pub fn names(&self, table: &Table) -> bool {
        let of_database = self.has("DATABASE") || self.has("SCHEMA");
        self.has(&table.name) || of_database && self.has(&table.schema)
    }

    /// Whether a name is in it, as a word. Whether upper and lower case differ is the server's
    /// setting, so they don't.
    fn has(&self, name: &str) -> bool {
        // It may be written in other characters, or otherwise.
        if !name.is_ascii() || name.contains('`') || name.contains('"') {
            return true;
        }
        // The number of a version may stand directly in front of a name.
        let has = |part: &[u8]| self.0.windows(part.len()).any(|bytes| bytes == part);
        let may_follow_digits = has(b"/*!") || has(b"/*M!");
        let is_part = |byte: Option<&u8>| {
            byte.is_some_and(|&byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
            })
        };
        let count = name.len();
        let mut places = (0..self.0.len().saturating_sub(count) + 1).filter(|&at| {
            let found = self.0.get(at..at + count);
            found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        });
        places.any(|at| {
            let before = at.checked_sub(1).and_then(|before| self.0.get(before));
            (may_follow_digits || !is_part(before)) && !is_part(self.0.get(at + count))
        })
    }
}

/// The words of a statement, in upper case; an empty one at its end, and where no word stands.
struct Words<'m>(&'m [u8]);

impl Words<'_> {
    fn next(&mut self) -> String {
        self.skip();
        let length = self.0.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let (word, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(word).to_ascii_uppercase()
    }

    /// Skips white space and comments, and the beginning of comments that are executed.
    fn skip(&mut self) {
        loop {
            self.0 = self.0.trim_ascii_start();
            let executed = self.0.strip_prefix(b"/*!").or_else(|| self.0.strip_prefix(b"/*M!"));
            if let Some(rest) = executed {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                self.0 = &rest[digits..];
            } else if let Some(rest) = self.0.strip_prefix(b"/*") {
                let end = rest.windows(2).position(|bytes| bytes == b"*/");
                self.0 = end.map_or(&[], |end| &rest[end + 2..]);
            } else if self.0.starts_with(b"#") || self.0.starts_with(b"--") {
                let end = self.0.iter().position(|&byte| byte == b'\n');
                self.0 = end.map_or(&[], |end| &self.0[end..]);
            } else {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_how_it_begins() {
        for (sql, meaning) in [
            ("BEGIN", Statement::Begin),
            ("START TRANSACTION", Statement::Begin),
            ("XA START X'78',X'',1", Statement::Begin),
            ("COMMIT", Statement::End),
            ("ROLLBACK", Statement::End),
            ("ROLLBACK TO `a`", Statement::Nothing),
            ("SAVEPOINT `a`", Statement::Nothing),
            ("XA END X'78',X'',1", Statement::Nothing),
            ("XA COMMIT X'78',X'',1", Statement::CommitPrepared),
            ("XA ROLLBACK X'78',X'',1", Statement::Nothing),
            ("truncate users", Statement::Truncate),
            ("/* it's */ -- not\n# this\n TRUNCATE users", Statement::Truncate),
            ("/*!40000 ALTER TABLE users DISABLE KEYS */", Statement::Definition),
            ("/*M!100100 DROP TABLE users */", Statement::Definition),
            ("CREATE OR REPLACE TABLE users (id int)", Statement::Definition),
            ("DROP DATABASE shop", Statement::Definition),
            ("CREATE VIEW v AS SELECT 1", Statement::View),
            ("create or replace view v as select 1", Statement::View),
            ("CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`b` VIEW `v` AS SELECT 1", Statement::View),
            ("ALTER DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW `v` AS SELECT 1", Statement::View),
            ("DROP VIEW IF EXISTS v", Statement::View),
            ("RENAME TABLE v TO w", Statement::View),
            ("RENAME USER a TO b", Statement::Nothing),
            ("CREATE TRIGGER t AFTER INSERT ON users FOR EACH ROW SET @a = 1", Statement::Nothing),
            ("GRANT ALL ON *.* TO x", Statement::Nothing),
            ("INSERT INTO users VALUES (1)", Statement::Anything),
            ("WITH x AS (SELECT 1) DELETE FROM users", Statement::Anything),
            ("CALL p()", Statement::Anything),
            ("", Statement::Anything),
            ("/* never ends", Statement::Anything),
        ] {
            assert_eq!(Query::new(sql).statement(), meaning, "{sql}");
        }
    }

    #[test]
    fn a_table_is_touched_where_its_name_stands() {
        let touches = |sql, name: &str| {
            let table = Table { schema: "shop".into(), name: name.into() };
            Query::new(sql).names(&table)
        };
        assert!(touches("DROP TABLE a,users", "users"));
        assert!(touches("ALTER TABLE `shop`.`users` ADD x int", "users"));
        assert!(touches("rename table a to USERS", "users"));
        assert!(touches("TRUNCATE /*!50000users*/", "users"));
        assert!(touches("ALTER TABLE t COMMENT 'it\\'', RENAME users", "users"));
        assert!(touches("DROP DATABASE shop", "users"));
        assert!(touches("CREATE OR REPLACE SCHEMA `shop`", "users"));
        assert!(touches("DROP TABLE kunden", "kündigungen"), "in whatever characters");
        assert!(touches("DROP TABLE a", "a`b"));
        assert!(!touches("DROP TABLE users_old", "users"));
        assert!(!touches("DROP TABLE old_users", "users"));
        assert!(!touches("ALTER TABLE shop.orders ADD x int", "users"));
        assert!(!touches("DROP DATABASE other", "users"));
        assert!(!touches("", "users"));
    }
}
