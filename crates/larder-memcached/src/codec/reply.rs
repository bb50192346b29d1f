//! Replies, and how they are read from as many pieces as they arrive in.

use std::fmt;

use bytes::Bytes;

/// The longest line of a reply, without its end. The server's own lines are shorter.
pub(crate) const LINE_BYTES_MAX: usize = 2048;
/// The longest value. The server takes up to 1 GiB (`-I`); nobody wants that from a cache.
pub(crate) const VALUE_BYTES_MAX: usize = 64 << 20;
/// The longest list of statistics, in bytes.
const STATS_BYTES_MAX: usize = 64 << 10;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `VA`: an item with its data.
    Value { data: Bytes, flags: Flags },
    /// `HD`: done, or an item without its data.
    Done(Flags),
    /// `EN`, `NF`: there is no such item.
    Missing,
    /// `EX`: its CAS is another one.
    Exists,
    /// `NS`: it wasn't stored.
    NotStored,
    /// `MN`: it is there.
    Pong,
    /// `STAT …` up to `END`.
    Stats(Stats),
    /// An error.
    Failed(Failure),
}

/// What a reply says about an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `c`: the number of its last change.
    pub(crate) cas: u64,
    /// `t`: the seconds that are left of it; `None` where it has no end.
    pub(crate) remaining: Option<u32>,
    /// `f`: what its writer said that it is.
    pub(crate) client: u32,
    /// `W`: who asked has won the right to store it anew.
    pub(crate) won: bool,
    /// `Z`: somebody else has.
    pub(crate) taken: bool,
    /// `X`: it was marked stale.
    pub(crate) stale: bool,
}

/// Of all statistics, those that somebody here wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// The server's own clock, in seconds since 1970.
    pub(crate) time: Option<u32>,
    /// How long an item may be with all that belongs to it, in bytes.
    pub(crate) item_size_max: Option<usize>,
    /// Major, minor and patch.
    pub(crate) version: Option<[u32; 3]>,
    /// Whether it keeps its items in a file, over a restart.
    pub(crate) keeps_items: bool,
}

/// An error that the server answered, with its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// `ERROR`: it doesn't know the command, or has too many clients.
    Unknown(Box<str>),
    /// `CLIENT_ERROR`: it doesn't understand the request.
    Client(Box<str>),
    /// `SERVER_ERROR`: it can't do what was asked.
    Server(Box<str>),
}

/// What was found at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A part of a reply; so many bytes more are missing at least.
    More(usize),
    /// A reply, and its length in bytes.
    Whole(Reply, usize),
}

/// The bytes are no reply, or one that exceeds a limit. Nothing behind it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    LineTooLong,
    ValueTooLong,
    StatsTooLong,
    Unterminated,
    Malformed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => "it answered a line of more than 2,048 bytes",
            Self::ValueTooLong => "it answered a value of more than 64 MiB",
            Self::StatsTooLong => "it answered more than 64 KiB of statistics",
            Self::Unterminated => "it answered a value that does not end where it said",
            Self::Malformed => "it answered what is no reply to a META command",
        })
    }
}

impl std::error::Error for Fault {}

/// Reads the reply that `input` begins with. Called again with more behind the same bytes, it
/// looks at no more than a line and the statistics twice.
///
/// # Errors
///
/// When the bytes can't become a reply, whatever follows them. In however many pieces they
/// arrive, the same bytes end in the same error.
pub(crate) fn decode(input: &[u8]) -> Result<Step, Fault> {
    let Some((line, start)) = line(input, 0)? else { return Ok(Step::More(1)) };
    let (word, rest) = split(line);
    let reply = match word {
        b"VA" => return value(input, rest, start),
        b"HD" => Reply::Done(flags(rest)?),
        b"EN" | b"NF" => Reply::Missing,
        b"EX" => Reply::Exists,
        b"NS" => Reply::NotStored,
        b"MN" => Reply::Pong,
        b"STAT" | b"END" => return stats(input),
        b"ERROR" => Reply::Failed(Failure::Unknown(text(rest))),
        b"CLIENT_ERROR" => Reply::Failed(Failure::Client(text(rest))),
        b"SERVER_ERROR" => Reply::Failed(Failure::Server(text(rest))),
        _ => return Err(Fault::Malformed),
    };
    Ok(Step::Whole(reply, start))
}

fn value(input: &[u8], rest: &[u8], start: usize) -> Result<Step, Fault> {
    let (length, rest) = split(rest);
    let length = usize::try_from(number(length)?).map_err(|_| Fault::ValueTooLong)?;
    if length > VALUE_BYTES_MAX {
        return Err(Fault::ValueTooLong);
    }
    let flags = flags(rest)?;
    let end = start + length;
    let behind = &input[input.len().min(end)..];
    if behind.len() < 2 {
        if behind.first().is_some_and(|&first| first != b'\r') {
            return Err(Fault::Unterminated);
        }
        return Ok(Step::More(end + 2 - input.len()));
    }
    if !behind.starts_with(b"\r\n") {
        return Err(Fault::Unterminated);
    }
    // A copy: a slice would keep the whole buffer that it was received in.
    let data = Bytes::copy_from_slice(&input[start..end]);
    Ok(Step::Whole(Reply::Value { data, flags }, end + 2))
}

fn stats(input: &[u8]) -> Result<Step, Fault> {
    let mut stats = Stats::default();
    let mut at = 0;
    while let Some((line, next)) = line(input, at)? {
        if next > STATS_BYTES_MAX {
            return Err(Fault::StatsTooLong);
        }
        at = next;
        let (word, rest) = split(line);
        match word {
            b"STAT" => stats.note(rest),
            b"END" => return Ok(Step::Whole(Reply::Stats(stats), at)),
            _ => return Err(Fault::Malformed),
        }
    }
    Ok(Step::More(1))
}

impl Stats {
    /// What is of another form than expected was not said.
    fn note(&mut self, pair: &[u8]) {
        let (name, value) = split(pair);
        let number = || number(value).ok();
        match name {
            b"time" => self.time = number().and_then(|time| time.try_into().ok()),
            b"item_size_max" => self.item_size_max = number().and_then(|size| size.try_into().ok()),
            b"memory_file" => self.keeps_items = value != b"(null)",
            b"version" => self.version = version(value),
            _ => {}
        }
    }
}

/// The three numbers that a version begins with, such as `1.6.18_2`.
fn version(text: &[u8]) -> Option<[u32; 3]> {
    let mut parts = text.split(|&byte| byte == b'.').map(|part| {
        let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
        number(&part[..digits]).ok()?.try_into().ok()
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// What later versions add is skipped.
fn flags(mut rest: &[u8]) -> Result<Flags, Fault> {
    let mut flags = Flags::default();
    while !rest.is_empty() {
        let (flag, behind) = split(rest);
        rest = behind;
        let Some((&kind, token)) = flag.split_first() else { continue };
        match kind {
            b'c' => flags.cas = number(token)?,
            b't' if token == b"-1" => flags.remaining = None,
            b't' => flags.remaining = Some(short_number(token)?),
            b'f' => flags.client = short_number(token)?,
            b'W' => flags.won = true,
            b'Z' => flags.taken = true,
            b'X' => flags.stale = true,
            _ => {}
        }
    }
    Ok(flags)
}

/// The line at `at` without its end, and where the next one begins; `None` if it has no end yet.
fn line(input: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Fault> {
    let rest = &input[at..];
    let window = &rest[..rest.len().min(LINE_BYTES_MAX + 2)];
    match window.iter().position(|&byte| byte == b'\n') {
        Some(feed) => {
            let line = window[..feed].strip_suffix(b"\r").ok_or(Fault::Malformed)?;
            Ok(Some((line, at + feed + 1)))
        }
        None if window.len() == LINE_BYTES_MAX + 2 => Err(Fault::LineTooLong),
        None => Ok(None),
    }
}

/// The first word, and what is behind the space after it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

fn number(digits: &[u8]) -> Result<u64, Fault> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(digits).ok().filter(|_| is_number).ok_or(Fault::Malformed)?;
    digits.parse().map_err(|_| Fault::Malformed)
}

fn short_number(digits: &[u8]) -> Result<u32, Fault> {
    number(digits)?.try_into().map_err(|_| Fault::Malformed)
}

fn text(words: &[u8]) -> Box<str> {
    String::from_utf8_lossy(words).into()
}
