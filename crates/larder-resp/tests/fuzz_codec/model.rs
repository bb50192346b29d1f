//! The request decoder as plainly as it can be: everything at once, byte by byte, with copies.

use larder_resp::codec::{Client, Limits, ProtocolError};

pub(crate) type Requests = Vec<Vec<Vec<u8>>>;

/// All requests in `input`, and what is wrong behind them.
pub(crate) fn decode(input: &[u8], limits: &Limits) -> (Requests, Result<(), ProtocolError>) {
    let mut requests = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let next = if rest[0] == b'*' { array(rest, limits) } else { inline(rest, limits) };
        match next {
            Ok(Some((request, consumed))) => {
                requests.extend((!request.is_empty()).then_some(request));
                rest = &rest[consumed..];
            }
            Ok(None) => break,
            Err(error) => return (requests, Err(error)),
        }
    }
    (requests, Ok(()))
}

type Found<T> = Result<Option<(T, usize)>, ProtocolError>;

fn array(input: &[u8], limits: &Limits) -> Found<Vec<Vec<u8>>> {
    let words = Words::of(limits);
    let too_long = ProtocolError::MultibulkCountTooBig;
    let Some((count, mut at)) =
        count(input, 0, limits, ProtocolError::InvalidMultibulkLength, too_long)?
    else {
        return Ok(None);
    };
    if count > i64::from(limits.arguments_max) {
        return Err(words.arguments);
    }
    let mut arguments = Vec::new();
    for left in (1..=count).rev() {
        if at as i64 + left * 6 > i64::from(limits.request_bytes_max) {
            return Err(words.request);
        }
        match input.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&got) => return Err(ProtocolError::ExpectedBulk { got }),
        }
        let too_long = ProtocolError::BulkCountTooBig;
        let Some((length, start)) =
            self::count(input, at, limits, ProtocolError::InvalidBulkLength, too_long)?
        else {
            return Ok(None);
        };
        if length < 0 {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if length > i64::from(limits.bulk_bytes_max) {
            return Err(words.bulk);
        }
        if start as i64 + length + 2 + (left - 1) * 6 > i64::from(limits.request_bytes_max) {
            return Err(words.request);
        }
        let end = start + length as usize;
        if input.len() < end + 2 {
            return Ok(None);
        }
        if &input[end..end + 2] != b"\r\n" {
            return Err(ProtocolError::InvalidBulkLength);
        }
        arguments.push(input[start..end].to_vec());
        at = end + 2;
    }
    Ok(Some((arguments, at)))
}

/// The number in the line at `start`, and where the next line begins.
fn count(
    input: &[u8],
    start: usize,
    limits: &Limits,
    invalid: ProtocolError,
    too_long: ProtocolError,
) -> Found<i64> {
    let line_max = start + limits.inline_bytes_max.max(4) as usize;
    let last = line_max.min((limits.request_bytes_max as usize).saturating_sub(2));
    let end = (start..input.len()).find(|&at| input[at] == b'\r').filter(|&at| at <= last);
    let Some(end) = end else {
        return if input.len() > last { Err(too_long) } else { Ok(None) };
    };
    let Some(feed) = input.get(end + 1) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&input[start + 1..end]);
    match text.parse::<i64>() {
        Ok(number) if *feed == b'\n' && number.to_string() == text => Ok(Some((number, end + 2))),
        _ => Err(invalid),
    }
}

fn inline(input: &[u8], limits: &Limits) -> Found<Vec<Vec<u8>>> {
    let last = limits.inline_bytes_max.min(limits.request_bytes_max.saturating_sub(1)) as usize;
    let Some(feed) = (0..input.len()).find(|&at| input[at] == b'\n').filter(|&at| at <= last)
    else {
        return if input.len() > last { Err(ProtocolError::InlineTooBig) } else { Ok(None) };
    };
    let end = if feed > 0 && input[feed - 1] == b'\r' { feed - 1 } else { feed };
    Ok(Some((split(&input[..end], limits)?, feed + 1)))
}

enum Mode {
    Between,
    Word,
    Double,
    Single,
    Closed,
}

fn split(line: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let words = Words::of(limits);
    let (mut all, mut word, mut mode, mut at) = (Vec::new(), Vec::new(), Mode::Between, 0);
    loop {
        let byte = line.get(at).copied();
        let blank = byte.is_none_or(|byte| b" \t\n\x0b\x0c\r".contains(&byte));
        match (mode, byte) {
            (Mode::Between, None) => return Ok(all),
            (Mode::Between, Some(_)) if blank => mode = Mode::Between,
            (Mode::Between, Some(_)) => {
                if all.len() == limits.arguments_max as usize {
                    return Err(words.arguments);
                }
                mode = Mode::Word;
                continue;
            }
            (Mode::Word, Some(b'"')) => mode = Mode::Double,
            (Mode::Word, Some(b'\'')) => mode = Mode::Single,
            (Mode::Word, Some(other)) if !b" \t\n\r".contains(&other) => {
                word.push(other);
                mode = Mode::Word;
            }
            (Mode::Closed, _) if !blank => return Err(ProtocolError::UnbalancedQuotes),
            (Mode::Word | Mode::Closed, _) => {
                if word.len() > limits.bulk_bytes_max as usize {
                    return Err(words.bulk);
                }
                all.push(std::mem::take(&mut word));
                mode = Mode::Between;
                continue;
            }
            (Mode::Double | Mode::Single, None) => return Err(ProtocolError::UnbalancedQuotes),
            (Mode::Double, Some(b'"')) | (Mode::Single, Some(b'\'')) => mode = Mode::Closed,
            (Mode::Single, Some(b'\\')) if line.get(at + 1) == Some(&b'\'') => {
                at += 1;
                word.push(b'\'');
                mode = Mode::Single;
            }
            (Mode::Double, Some(b'\\')) if at + 1 < line.len() => {
                at += 1;
                let digits = line.get(at + 1..at + 3).filter(|_| line[at] == b'x');
                let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| !digits.contains('+'));
                match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(value) => {
                        at += 2;
                        word.push(value);
                    }
                    None => word.push(match line[at] {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'a' => 7,
                        other => other,
                    }),
                }
                mode = Mode::Double;
            }
            (quoted, Some(other)) => {
                word.push(other);
                mode = quoted;
            }
        }
        at += 1;
    }
}

/// The refusals that depend on the client or name a limit.
struct Words {
    arguments: ProtocolError,
    bulk: ProtocolError,
    request: ProtocolError,
}

impl Words {
    fn of(limits: &Limits) -> Self {
        let request = ProtocolError::RequestTooBig { bytes_max: limits.request_bytes_max };
        let (arguments, bulk) = match limits.client {
            Client::Authenticated => {
                (ProtocolError::InvalidMultibulkLength, ProtocolError::InvalidBulkLength)
            }
            Client::Unauthenticated => (
                ProtocolError::UnauthenticatedMultibulkLength,
                ProtocolError::UnauthenticatedBulkLength,
            ),
        };
        Self { arguments, bulk, request }
    }
}
