//! `{id}` in SQL: where the parameters of a load, or the values of a write, stand.
//!
//! The text is taken apart just far enough to know what is a string, a quoted name or a comment
//! and what is not, because only outside of those can a value be bound. Whether the rest is
//! valid is the database's business.

mod change;
mod lexer;
mod plain;
#[cfg(test)]
mod tests;

use larder_core::template::{Parameter, ParameterKind, nearest};
use larder_core::{Error, ErrorKind, Result};

use self::lexer::{Lexer, Quote, Token};
use crate::load::postgres_cast;

pub(crate) use change::{Own, Taken, What};
pub(crate) use plain::Plain;
#[cfg(feature = "mysql")]
pub(crate) use plain::unquoted;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
    #[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "nobody speaks it then"))]
    Mysql,
}

/// A query with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pieces: Vec<Piece>,
    used: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// An index into `used`.
    Hole(usize),
}

impl Statement {
    /// The query in `sql`, which may name `parameters`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], saying what to write instead.
    pub(crate) fn parse(sql: &str, dialect: Dialect, parameters: &[Parameter]) -> Result<Self> {
        Self::parse_as("load", sql, dialect, parameters)
    }

    /// The same for a query that is called `name` in errors.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], saying what to write instead.
    pub(crate) fn parse_as(
        name: &str,
        sql: &str,
        dialect: Dialect,
        parameters: &[Parameter],
    ) -> Result<Self> {
        Reader::new(name, dialect, parameters.to_vec())
            .read(sql)
            .map(|(statement, _)| statement)
            .map_err(|what| Error::new(ErrorKind::Config, format!("{name} {what}")))
    }

    /// Which parameters are bound, as indices into those of the key, in the order of first use.
    pub(crate) fn used(&self) -> &[usize] {
        &self.used
    }

    /// Whether this word stands in it, outside of strings, quoted names and comments.
    #[cfg(feature = "mysql")]
    pub(crate) fn has_word(&self, word: &str, dialect: Dialect) -> bool {
        let has = |text: &str| {
            let mut lexer = Lexer::new(text, dialect);
            while let Ok(Some((token, source))) = lexer.next() {
                if token == Token::Word && source.eq_ignore_ascii_case(word) {
                    return true;
                }
            }
            false
        };
        self.pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if has(text)))
    }

    /// What stands in its strings, escapes and all.
    pub(crate) fn strings(&self, dialect: Dialect) -> Vec<&str> {
        let mut found = Vec::new();
        for piece in &self.pieces {
            let Piece::Text(text) = piece else { continue };
            let mut lexer = Lexer::new(text, dialect);
            while let Ok(Some((token, _))) = lexer.next() {
                if let Token::Quoted(Quote { is_string: true, content, .. }) = token {
                    found.push(content);
                }
            }
        }
        found
    }

    /// The query with each hole filled by what `placeholder` answers for its index into
    /// [`used`](Self::used).
    pub(crate) fn render(&self, placeholder: impl Fn(usize) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Hole(index) => placeholder(*index),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// The words and quoted names of a text, in small letters, and its strings too, since SQLite takes
/// some for names; `None` where it can't be taken apart.
pub(crate) fn words(text: &str, dialect: Dialect) -> Option<Vec<String>> {
    let mut lexer = Lexer::new(text, dialect);
    let mut words = Vec::new();
    while let Some((token, source)) = lexer.next().ok()? {
        match token {
            Token::Word => words.push(source.to_ascii_lowercase()),
            Token::Quoted(quote) => words.push(quote.content.to_ascii_lowercase()),
            _ => {}
        }
    }
    Some(words)
}

struct Reader<'a> {
    /// What the statement is called.
    name: &'a str,
    dialect: Dialect,
    parameters: Vec<Parameter>,
    /// A name that isn't known becomes one more parameter.
    grows: bool,
    /// It writes.
    changes: bool,
    pieces: Vec<Piece>,
    used: Vec<usize>,
}

impl<'a> Reader<'a> {
    const fn new(name: &'a str, dialect: Dialect, parameters: Vec<Parameter>) -> Self {
        let (grows, changes) = (false, false);
        Self { name, dialect, parameters, grows, changes, pieces: Vec::new(), used: Vec::new() }
    }

    /// Reads it all, and says what it begins with; on failure the rest of a sentence that begins
    /// with its name.
    fn read(mut self, sql: &str) -> Result<(Statement, Read), String> {
        let mut lexer = Lexer::new(sql, self.dialect);
        let mut verbs = Verbs::default();
        let mut depth = 0_usize;
        let mut ended = false;
        while let Some((token, source)) = lexer.next()? {
            if ended && !matches!(token, Token::Space) {
                let leave = if self.changes { "statement" } else { "query" };
                return Err(format!("has two statements: leave one {leave}"));
            }
            match token {
                Token::Hole(name) => {
                    let hole = self.hole(name)?;
                    self.pieces.push(Piece::Hole(hole));
                    continue;
                }
                Token::End => {
                    ended = true;
                    continue;
                }
                Token::Quoted(quote) => self.refuse_holes(quote)?,
                Token::Foreign => {
                    return Err(format!("has the placeholder {source}: write {}", self.known()));
                }
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::Word => verbs.see(source, depth),
                Token::Space | Token::Other => {}
            }
            match self.pieces.last_mut() {
                Some(Piece::Text(text)) => text.push_str(source),
                _ => self.pieces.push(Piece::Text(source.to_owned())),
            }
        }
        let verb = if self.changes {
            verbs.check_change(self.name, self.dialect)?
        } else {
            verbs.check()?
        };
        let statement = Statement { pieces: self.pieces, used: self.used };
        Ok((statement, Read { verb, parameters: self.parameters }))
    }

    fn hole(&mut self, name: &str) -> Result<usize, String> {
        let known = self.parameters.iter().position(|known| known.name == name);
        let Some(index) = known.or_else(|| self.grow(name)) else {
            let names = self.parameters.iter().map(|known| known.name.as_str());
            let cure = match nearest(name, names) {
                Some(meant) => format!("did you mean {{{meant}}}?"),
                None => format!("write {}, or add {name} to the key", self.known()),
            };
            return Err(format!("names {{{name}}}, which the key does not have: {cure}"));
        };
        self.refuse_version(&self.parameters[index])?;
        Ok(self.used.iter().position(|&used| used == index).unwrap_or_else(|| {
            self.used.push(index);
            self.used.len() - 1
        }))
    }

    /// A version tells the readers' copies of a row apart; the database has one of them.
    fn refuse_version(&self, Parameter { name, kind }: &Parameter) -> Result<(), String> {
        if *kind != ParameterKind::Version {
            return Ok(());
        }
        Err(format!(
            "names {{{name}}}, which is a version: that is part of the key and never bound. Take \
             it out of {}, or declare it {{{name}:int}} in key",
            self.name
        ))
    }

    /// The parameters that may be bound, for a sentence.
    fn known(&self) -> String {
        let bindable = self.parameters.iter().filter(|p| p.kind != ParameterKind::Version);
        let names: Vec<_> = bindable.map(|p| format!("{{{}}}", p.name)).collect();
        if names.is_empty() { "no parameter (the key has none)".into() } else { names.join(", ") }
    }

    /// A parameter inside quotes would be sent as the text that it is.
    fn refuse_holes(&self, quote: Quote<'_>) -> Result<(), String> {
        let named = |p: &&Parameter| quote.content.contains(&format!("{{{}}}", p.name));
        let Some(parameter) = self.parameters.iter().find(named) else {
            return Ok(());
        };
        self.refuse_version(parameter)?;
        let name = &parameter.name;
        if !quote.is_string {
            return Err(format!(
                "has {{{name}}} inside a quoted name, and the name of a table or column can't be \
                 a parameter"
            ));
        }
        let Quote { open, content, close, .. } = quote;
        let cast = match (self.dialect, parameter.kind) {
            (Dialect::Sqlite | Dialect::Mysql, _) | (_, ParameterKind::Text) => "",
            (Dialect::Postgres, kind) => postgres_cast(kind),
        };
        let (before, after) = content.split_once(&format!("{{{name}}}")).unwrap_or((content, ""));
        let mut parts = vec![format!("{{{name}}}{cast}")];
        if !before.is_empty() {
            parts.insert(0, format!("{open}{before}{close}"));
        }
        if !after.is_empty() {
            parts.push(format!("{open}{after}{close}"));
        }
        let cure = match (self.dialect, &parts[..]) {
            // Two bars are an OR there.
            (Dialect::Mysql, [_, _, ..]) => format!("CONCAT({})", parts.join(", ")),
            _ => parts.join(" || "),
        };
        Err(format!("has {{{name}}} inside a string, where it is only text: write {cure}"))
    }
}

/// What a statement turned out to be.
struct Read {
    /// The word that says what it does, in capitals.
    verb: String,
    /// Those of the key, and what was added.
    parameters: Vec<Parameter>,
}

/// The words that say what kind of statement it is.
#[derive(Default)]
struct Verbs {
    first: Option<String>,
    /// What follows the `WITH`.
    main: Option<String>,
}

impl Verbs {
    const CHANGES: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"];

    fn see(&mut self, word: &str, depth: usize) {
        let word = word.to_ascii_uppercase();
        match self.first.as_deref() {
            None => self.first = Some(word),
            Some("WITH") if self.main.is_none() && depth == 0 => {
                if Self::CHANGES.contains(&&*word) || ["SELECT", "VALUES"].contains(&&*word) {
                    self.main = Some(word);
                }
            }
            Some(_) => {}
        }
    }

    /// The word that counts.
    fn verb(self) -> Option<String> {
        match (self.first?, self.main) {
            (first, Some(main)) if first == "WITH" => Some(main),
            (first, _) => Some(first),
        }
    }

    fn check(self) -> Result<String, String> {
        let Some(verb) = self.verb() else {
            return Err("is empty: write a query".to_owned());
        };
        if ["SELECT", "WITH", "VALUES"].contains(&&*verb) {
            return Ok(verb);
        }
        Err(format!("begins with {verb}, but a load reads: write a SELECT, WITH or VALUES"))
    }
}
