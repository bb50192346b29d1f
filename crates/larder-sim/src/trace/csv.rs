//! Comma-separated columns (or semicolons, or tabs): key, size, time, ttl, op, in the order that
//! the first line names, or that the caller gives, or else in this order. Fields may be quoted
//! as in RFC 4180, within one line.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::fault::{Faults, TraceError};
use super::lines::{Lines, number, seconds};
use super::{Decode, Input};
use crate::request::{Op, Request, named};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The key, any text.
    Key,
    /// The size of the value, in bytes.
    Size,
    /// When, in seconds, perhaps with a fraction.
    Time,
    /// How long a value filled by the request lives, in seconds; empty or 0 for ever.
    Ttl,
    /// What is done with the key, by the names that memcached and Redis use.
    Op,
    /// Something else.
    Other,
}

impl Column {
    fn named(name: &[u8]) -> Self {
        let name = name.trim_ascii().to_ascii_lowercase();
        match name.as_slice() {
            b"key" | b"id" | b"object" | b"obj_id" | b"object_id" => Self::Key,
            b"size" | b"bytes" | b"obj_size" | b"object_size" | b"value_size" => Self::Size,
            b"time" | b"timestamp" | b"ts" => Self::Time,
            b"ttl" => Self::Ttl,
            b"op" | b"operation" => Self::Op,
            _ => Self::Other,
        }
    }
}

/// Which columns there are, from the left; exactly one is the key.
///
/// ```
/// use larder_sim::Columns;
///
/// let columns: Columns = "time,key,-,size".parse()?;
/// assert!("time,size".parse::<Columns>().is_err());
/// # Ok::<(), larder_sim::BadColumns>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Default for Columns {
    fn default() -> Self {
        Self(vec![Column::Key, Column::Size, Column::Time, Column::Ttl, Column::Op])
    }
}

/// A list of columns that can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadColumns;

impl fmt::Display for BadColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("columns are key, size, time, ttl, op and - for others, with commas; key once")
    }
}

impl std::error::Error for BadColumns {}

impl FromStr for Columns {
    type Err = BadColumns;

    fn from_str(text: &str) -> Result<Self, BadColumns> {
        let columns = text.split(',').map(|name| match (name, Column::named(name.as_bytes())) {
            ("-", _) => Ok(Column::Other),
            (_, Column::Other) => Err(BadColumns),
            (_, column) => Ok(column),
        });
        let columns = Self(columns.collect::<Result<_, _>>()?);
        if columns.have_one_key() { Ok(columns) } else { Err(BadColumns) }
    }
}

impl Columns {
    /// The columns that a first line names; `None` where it names no key: it is a request.
    fn of_heading(line: &[u8], delimiter: u8) -> Option<Self> {
        let names: Result<Vec<_>, _> = fields(line, delimiter).collect();
        let columns = Self(names.ok()?.iter().map(|name| Column::named(name)).collect());
        columns.have_one_key().then_some(columns)
    }

    fn have_one_key(&self) -> bool {
        self.0.iter().filter(|&&column| column == Column::Key).count() == 1
    }
}

pub(super) struct Csv<'a> {
    lines: Lines<'a>,
    columns: Columns,
    form: Form,
}

/// What is known of the lines.
enum Form {
    /// Nothing before the first; `true` where the columns were given.
    Unseen { columns_given: bool },
    /// What stands between the columns.
    Delimiter(u8),
}

impl<'a> Csv<'a> {
    pub(super) fn new(input: Input<'a>, columns: Option<&Columns>) -> Self {
        let form = Form::Unseen { columns_given: columns.is_some() };
        Self { lines: Lines::new(input), columns: columns.cloned().unwrap_or_default(), form }
    }
}

impl Decode for Csv<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        while self.lines.advance(faults)? {
            let line = self.lines.line();
            if line.is_empty() {
                continue;
            }
            let delimiter = match self.form {
                Form::Delimiter(delimiter) => delimiter,
                Form::Unseen { columns_given } => {
                    let delimiter = delimiter(line).unwrap_or(b',');
                    self.form = Form::Delimiter(delimiter);
                    if let Some(columns) = Columns::of_heading(line, delimiter) {
                        if !columns_given {
                            self.columns = columns;
                        }
                        continue;
                    }
                    delimiter
                }
            };
            match request(line, &self.columns, delimiter) {
                Ok(Some(request)) => return Ok(Some(request)),
                Ok(None) => {}
                Err(wrong) => self.lines.refuse(wrong, faults),
            }
        }
        Ok(None)
    }
}

/// What stands between the columns of a line, if there are any.
pub(super) fn delimiter(line: &[u8]) -> Option<u8> {
    b",\t;".iter().copied().find(|delimiter| line.contains(delimiter))
}

/// The request of a line; `None` for an operation that neither reads, writes nor removes.
fn request(line: &[u8], columns: &Columns, delimiter: u8) -> Result<Option<Request>, &'static str> {
    let mut request = Request::read(0);
    let mut keyed = false;
    let mut columns = columns.0.iter();
    for field in fields(line, delimiter) {
        let field = field?;
        let given = field.trim_ascii();
        match columns.next().unwrap_or(&Column::Other) {
            Column::Key if field.is_empty() => return Err("the key is empty"),
            Column::Key => {
                request.key = named(&field);
                keyed = true;
            }
            Column::Op => match op(given) {
                Some(op) => request.op = op,
                None => return Ok(None),
            },
            Column::Other => {}
            _ if given.is_empty() => {}
            Column::Size => {
                let size = number(given).ok_or("the size is no number of bytes")?;
                request.size = Some(u32::try_from(size).unwrap_or(u32::MAX));
            }
            Column::Time => {
                request.time_ms = Some(seconds(given).ok_or("the time is no number of seconds")?);
            }
            Column::Ttl => {
                let ttl = seconds(given).ok_or("the ttl is no number of seconds")?;
                request.ttl_ms = (ttl > 0).then_some(ttl);
            }
        }
    }
    if keyed { Ok(Some(request)) } else { Err("the line ends before the key") }
}

/// What an operation does, by its name in memcached or Redis.
fn op(name: &[u8]) -> Option<Op> {
    match name.to_ascii_lowercase().as_slice() {
        b"" | b"r" | b"read" | b"get" | b"gets" => Some(Op::Read),
        b"w" | b"write" | b"set" | b"add" | b"replace" | b"cas" | b"append" | b"prepend"
        | b"incr" | b"decr" => Some(Op::Write),
        b"d" | b"x" | b"remove" | b"del" | b"delete" => Some(Op::Remove),
        _ => None,
    }
}

/// The fields of a line, without quotes.
fn fields(line: &[u8], delimiter: u8) -> impl Iterator<Item = Result<Cow<'_, [u8]>, &'static str>> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.first() != Some(&b'"') {
            let end = text.iter().position(|&byte| byte == delimiter);
            rest = end.map(|end| &text[end + 1..]);
            return Some(Ok(Cow::Borrowed(&text[..end.unwrap_or(text.len())])));
        }
        let mut field = Vec::new();
        let mut at = 1;
        loop {
            match (text.get(at), text.get(at + 1)) {
                (None, _) => return Some(Err("a quoted field doesn't end in its line")),
                (Some(b'"'), Some(b'"')) => {
                    field.push(b'"');
                    at += 2;
                }
                (Some(b'"'), None) => return Some(Ok(Cow::Owned(field))),
                (Some(b'"'), Some(&next)) if next == delimiter => {
                    rest = Some(&text[at + 2..]);
                    return Some(Ok(Cow::Owned(field)));
                }
                (Some(b'"'), Some(_)) => return Some(Err("something follows a quoted field")),
                (Some(&byte), _) => {
                    field.push(byte);
                    at += 1;
                }
            }
        }
    })
}
