//! SQL as strings, quoted names, comments, words, and the rest.
//!
//! Follows PostgreSQL's "Lexical Structure" (strings with and without escapes, dollar quotes,
//! nested comments), SQLite's "SQL As Understood By SQLite" (four ways to quote, comments
//! that don't nest, five ways to write a parameter) and MySQL's "Language Structure" (strings in
//! both kinds of quotation marks and with backslashes, as our sessions have it: see `mysql`).

use super::Dialect;

/// What a piece of source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// White space or a comment.
    Space,
    /// A keyword or an unquoted name.
    Word,
    Quoted(Quote<'a>),
    /// `{name}`.
    Hole(&'a str),
    /// A parameter in the database's own notation.
    Foreign,
    Open,
    Close,
    /// A semicolon.
    End,
    Other,
}

/// A string or a quoted name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quote<'a> {
    /// A string; otherwise a name.
    pub(super) is_string: bool,
    pub(super) open: &'a str,
    pub(super) content: &'a str,
    pub(super) close: &'a str,
}

/// Takes a text apart. After an error it must not be asked again.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    dialect: Dialect,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(sql: &'a str, dialect: Dialect) -> Self {
        Self { rest: sql, dialect }
    }

    /// The next token and its source, or the rest of a sentence that begins with `load`.
    pub(super) fn next(&mut self) -> Result<Option<(Token<'a>, &'a str)>, String> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let (token, length) = self.token(first)?;
        let (source, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(Some((token, source)))
    }

    fn token(&self, first: char) -> Result<(Token<'a>, usize), String> {
        let (rest, postgres) = (self.rest, self.dialect == Dialect::Postgres);
        let mysql = self.dialect == Dialect::Mysql;
        let after = rest[first.len_utf8()..].chars().next();
        match first {
            _ if first.is_whitespace() => Ok((Token::Space, run(rest, char::is_whitespace))),
            '-' if after == Some('-') && !(mysql && is_minus(&rest[2..])) => self.line(),
            '#' if mysql => self.line(),
            '/' if mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) => {
                Err("has a comment that is executed: write what is in it without /*! and */".into())
            }
            '/' if after == Some('*') => Ok((Token::Space, self.comment()?)),
            '\'' | '"' if mysql => self.quoted(1, true, Escapes::Backslash),
            '\'' => self.quoted(1, true, Escapes::Doubled),
            'e' | 'E' if postgres && after == Some('\'') => {
                self.quoted(2, true, Escapes::Backslash)
            }
            '"' => self.quoted(1, false, Escapes::Doubled),
            '`' if !postgres => self.quoted(1, false, Escapes::Doubled),
            '[' if self.dialect == Dialect::Sqlite => self.quoted(1, false, Escapes::None),
            '$' if postgres && !after.is_some_and(|c| c.is_ascii_digit()) => self.dollar_quoted(),
            '$' if after.is_some_and(is_in_word) => Ok(self.foreign(1)),
            '@' if mysql => Ok((Token::Other, 1)),
            ':' | '@' if !postgres && after.is_some_and(is_in_word) => Ok(self.foreign(1)),
            '?' if !postgres => Ok(self.foreign(1)),
            '{' => self.hole(),
            '}' => Err("has a } without a {".to_owned()),
            '(' => Ok((Token::Open, 1)),
            ')' => Ok((Token::Close, 1)),
            ';' => Ok((Token::End, 1)),
            _ if first.is_ascii_digit() => Ok((Token::Other, run(rest, is_in_word))),
            _ if is_in_word(first) => Ok((Token::Word, run(rest, is_in_word))),
            _ => Ok((Token::Other, first.len_utf8())),
        }
    }

    /// A comment to the end of the line.
    #[expect(clippy::unnecessary_wraps, reason = "as the others are")]
    fn line(&self) -> Result<(Token<'a>, usize), String> {
        Ok((Token::Space, self.rest.find('\n').map_or(self.rest.len(), |end| end + 1)))
    }

    fn hole(&self) -> Result<(Token<'a>, usize), String> {
        let end = self.rest.find('}').ok_or("has a { without a }")?;
        let name = &self.rest[1..end];
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || !named {
            return Err(format!(
                "has `{}` outside quotes, where braces hold the name of a parameter, like {{id}}",
                &self.rest[..=end]
            ));
        }
        Ok((Token::Hole(name), end + 1))
    }

    fn foreign(&self, mark: usize) -> (Token<'a>, usize) {
        (Token::Foreign, mark + run(&self.rest[mark..], is_in_word))
    }

    fn comment(&self) -> Result<usize, String> {
        let mut depth = 0_usize;
        let mut at = 0;
        let bytes = self.rest.as_bytes();
        while let Some(pair) = bytes.get(at..at + 2) {
            match pair {
                b"/*" if depth == 0 || self.dialect == Dialect::Postgres => depth += 1,
                b"*/" => depth -= 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        }
        Err("has a comment that does not end: write */".to_owned())
    }

    /// What begins with `opening` bytes, the last of which is the quotation mark.
    fn quoted(
        &self,
        opening: usize,
        is_string: bool,
        escapes: Escapes,
    ) -> Result<(Token<'a>, usize), String> {
        let mark = match self.rest.as_bytes()[opening - 1] {
            b'[' => b']',
            mark => mark,
        };
        let bytes = self.rest.as_bytes();
        let mut at = opening;
        loop {
            match bytes.get(at) {
                None => return Err(format!("has a {} that is not closed", bytes[0] as char)),
                Some(b'\\') if escapes == Escapes::Backslash => at += 2,
                Some(&byte) if byte == mark => {
                    let doubled = escapes != Escapes::None && bytes.get(at + 1) == Some(&mark);
                    if doubled {
                        at += 2;
                    } else if let Some(more) = self.continued(at + 1, escapes) {
                        at = more;
                    } else {
                        break;
                    }
                }
                Some(_) => at += 1,
            }
        }
        let quote = Quote {
            is_string,
            open: &self.rest[..opening],
            content: &self.rest[opening..at],
            close: &self.rest[at..=at],
        };
        Ok((Token::Quoted(quote), at + 1))
    }

    /// Postgres: a string goes on in the next line, and its escapes with it, if only white space
    /// with a line end stands between. For plain strings it makes no difference.
    fn continued(&self, end: usize, escapes: Escapes) -> Option<usize> {
        let gap = run(&self.rest[end..], char::is_whitespace);
        let between = &self.rest[end..end + gap];
        let goes_on = escapes == Escapes::Backslash
            && self.dialect == Dialect::Postgres
            && between.contains('\n')
            && self.rest[end + gap..].starts_with('\'');
        goes_on.then_some(end + gap + 1)
    }

    /// `$$…$$` or `$tag$…$tag$`; a lone dollar is an operator's or an error, and not ours.
    fn dollar_quoted(&self) -> Result<(Token<'a>, usize), String> {
        let tag = run(&self.rest[1..], |c| is_in_word(c) && c != '$');
        if !self.rest[1 + tag..].starts_with('$') {
            return Ok((Token::Other, 1));
        }
        let opening = tag + 2;
        let open = &self.rest[..opening];
        let length = self.rest[opening..]
            .find(open)
            .ok_or_else(|| format!("has a {open} that is not closed"))?;
        let content = &self.rest[opening..opening + length];
        let quote = Quote { is_string: true, open, content, close: open };
        Ok((Token::Quoted(quote), opening + length + opening))
    }
}

/// How a quotation mark can stand in quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    Doubled,
    /// Doubled, or after a backslash.
    Backslash,
}

/// MySQL: two minuses are a comment only before white space, and otherwise minus minus.
fn is_minus(rest: &str) -> bool {
    rest.chars().next().is_some_and(|c| !c.is_whitespace() && !c.is_control())
}

/// The length of the run at the beginning of `text` whose characters all are `inside`.
fn run(text: &str, inside: impl Fn(char) -> bool) -> usize {
    text.find(|c| !inside(c)).unwrap_or(text.len())
}

fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}
