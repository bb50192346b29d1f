//! SQL as a tree, by `sqlparser`, within bounds.
//!
//! The parser was made by others for many dialects and takes more than each database does: only
//! what the database itself has accepted is given to it, and what it makes of that is believed
//! only where a wrong reading can't matter.

use std::thread;

use sqlparser::ast::{Query, Statement};
use sqlparser::dialect::{self, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use tokio::sync::oneshot;

use crate::statement::Dialect;

/// How many tokens a statement may have, white space left out: a tree is at most as deep as half
/// of them.
pub(super) const TOKENS_MAX: usize = 4_000;

/// How deep brackets may be nested.
const DEPTH_MAX: usize = 50;

/// What the deepest tree takes to be walked through and dropped, some times over. It is only
/// reserved, and used as far as it is needed.
const STACK_BYTES: usize = 256 << 20;

/// Does `work` with room for deep trees. What panics in it is an error.
///
/// # Cancel safety
///
/// What was begun is finished, by a thread that ends with it.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (sender, done) = oneshot::channel();
    let thread =
        thread::Builder::new().name("larder-sql-parser".to_owned()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || drop(sender.send(work())));
    spawned.map_err(|error| format!("can't be read, for want of a thread: {error}"))?;
    done.await.unwrap_or_else(|_| Err("is more than the parser can read".to_owned()))
}

/// The query in `sql`, whose parameters are `$1` or `?1` and so on; or the rest of a sentence about
/// it. To be called within [`aside`].
pub(crate) fn parse(sql: &str, dialect: Dialect) -> Result<Box<Query>, String> {
    let is_mysql = dialect == Dialect::Mysql;
    let dialect: &dyn dialect::Dialect = match dialect {
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::Mysql => &MySqlDialect {},
    };
    let unread = |what: String| format!("can't be read here ({what})");
    let tokens = Tokenizer::new(dialect, sql).tokenize();
    let mut tokens = tokens.map_err(|error| unread(error.to_string()))?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    if tokens.len() > TOKENS_MAX {
        return Err(format!("has {} words and signs, and {TOKENS_MAX} are the most", tokens.len()));
    }
    if is_mysql {
        tokens = as_taken(tokens);
    }
    let mut parser = Parser::new(dialect).with_recursion_limit(DEPTH_MAX).with_tokens(tokens);
    let mut statements = parser.parse_statements().map_err(|error| unread(error.to_string()))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(query),
        _ => Err("is no single query".to_owned()),
    }
}

/// As the parser takes it, what the servers write into the definition of a view. `NOT` for `!`
/// binds less, which matters to no column that stands alone between two `AND`s; and without the
/// character set of `CAST(… AS CHAR(9) CHARSET utf8mb4)`.
fn as_taken(tokens: Vec<Token>) -> Vec<Token> {
    let is = |token: Option<&Token>, word: &str| match token {
        Some(Token::Word(found)) => {
            found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word)
        }
        _ => false,
    };
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let back = |by: usize| kept.len().checked_sub(by).and_then(|at| kept.get(at));
        let after_char = is(back(1), "CHAR")
            || (is(back(4), "CHAR")
                && back(3) == Some(&Token::LParen)
                && back(1) == Some(&Token::RParen));
        let mut ahead = tokens.as_slice().iter();
        let is_charset = is(Some(&token), "CHARSET")
            && after_char
            && matches!(ahead.next(), Some(Token::Word(_)))
            && ahead.next() == Some(&Token::RParen);
        match is_charset {
            true => drop(tokens.next()),
            false if token == Token::ExclamationMark => kept.push(Token::make_keyword("NOT")),
            false => kept.push(token),
        }
    }
    kept
}
