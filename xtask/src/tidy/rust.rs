//! Just enough of Rust's grammar to tell code from comments and strings, and to read the paths
//! that code names.
//!
//! It knows no types and resolves no imports. What it reads has been compiled before, so on
//! input that is no Rust it may return nonsense, but it always ends.

/// A piece of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, too.
    Word,
    /// One character, or `::`.
    Mark,
    /// A string, a character, a number or a lifetime.
    Literal,
    Comment,
}

/// A path that code names, such as `std::sync::Mutex`, with its line. Imports in braces are
/// written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

impl Named {
    /// Whether `name`, segments with `::` between, stands in the path in one piece.
    pub(super) fn contains(&self, name: &str) -> bool {
        let wanted: Vec<&str> = name.split("::").collect();
        self.path.windows(wanted.len()).any(|window| window == wanted)
    }
}

/// Cuts `source` into tokens; white space is left out.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = next(rest, first);
        let (text, after) = rest.split_at(length);
        if let Some(kind) = kind {
            tokens.push(Token { kind, text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

/// The kind (`None` for white space) and length of what `rest` starts with.
fn next(rest: &str, first: char) -> (Option<Kind>, usize) {
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (Some(Kind::Comment), rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Some(Kind::Comment), block_comment(rest));
    }
    if let Some(length) = string(rest).or_else(|| tick(rest)).or_else(|| number(rest, first)) {
        return (Some(Kind::Literal), length);
    }
    let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    if word > 0 {
        return (Some(Kind::Word), word);
    }
    (Some(Kind::Mark), if rest.starts_with("::") { 2 } else { first.len_utf8() })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a string of any kind, raw or not.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let body = rest.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
        body.is_some_and(|body| body.starts_with('"'))
    })?;
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if hashes > 0 && !prefix.ends_with('r') {
        return None;
    }
    let start = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
    }
    Some(start + closing(&rest[start..], '"'))
}

/// The length of a character or a lifetime.
fn tick(rest: &str) -> Option<usize> {
    let prefix = usize::from(rest.starts_with("b'"));
    let inside = rest[prefix..].strip_prefix('\'')?;
    let mut chars = inside.chars();
    let first = chars.next()?;
    if first == '\\' || chars.next() == Some('\'') {
        return Some(prefix + 1 + closing(inside, '\''));
    }
    Some(1 + inside.find(|c: char| !is_word(c)).unwrap_or(inside.len()))
}

/// How far it is to behind the next `quote` that no backslash stands before.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn number(rest: &str, first: char) -> Option<usize> {
    first.is_ascii_digit().then(|| rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()))
}

/// The code alone: no comments, and nothing that is compiled for tests only.
pub(super) fn shipped<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let code: Vec<_> = tokens.iter().filter(|token| token.kind != Kind::Comment).copied().collect();
    let mut shipped = Vec::with_capacity(code.len());
    let mut at = 0;
    while at < code.len() {
        if let Some(behind) = test_attribute(&code[at..]) {
            at += behind;
            at += item(&code[at..]);
        } else {
            shipped.push(code[at]);
            at += 1;
        }
    }
    shipped
}

/// The length of an attribute that says "for tests only".
fn test_attribute(code: &[Token<'_>]) -> Option<usize> {
    let texts: Vec<&str> = code.iter().take(4).map(|token| token.text).collect();
    if texts.get(..3)? != ["#", "[", "cfg"] {
        return None;
    }
    let length = 1 + bracketed(&code[1..]);
    let inside = &code[..length];
    let names = |name| inside.iter().any(|token| token.text == name);
    (names("test") && !names("not")).then_some(length)
}

/// What an item may begin with, as opposed to a field, an argument or an arm.
const ITEMS: [&str; 13] = [
    "async", "const", "enum", "extern", "fn", "impl", "mod", "pub", "static", "struct", "trait",
    "type", "use",
];

/// The length of what an attribute belongs to, with further attributes before it: an item up to
/// its `;` or its closing brace, anything else up to its comma or to the end of what it is in.
fn item(code: &[Token<'_>]) -> usize {
    let mut at = 0;
    let mut is_item = false;
    while let Some(token) = code.get(at) {
        is_item |= ITEMS.contains(&token.text);
        match token.text {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "}" | ")" | "]" => return at,
            "{" => return at + bracketed(&code[at..]),
            "(" | "[" => at += bracketed(&code[at..]),
            _ => at += 1,
        }
    }
    at
}

/// The length of what starts with an opening bracket, up to its closing one.
fn bracketed(code: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in code.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// All paths that the code names.
pub(super) fn names(code: &[Token<'_>]) -> Vec<Named> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < code.len() {
        at += match code[at] {
            Token { kind: Kind::Word, .. } => tree(&code[at..], &[], &mut names).max(1),
            _ => 1,
        };
    }
    names
}

/// Reads a path, or a tree of them in braces as after `use`, and returns its length.
fn tree(code: &[Token<'_>], before: &[String], names: &mut Vec<Named>) -> usize {
    let mut path = before.to_vec();
    let mut at = 0;
    while let Some(token) = code.get(at) {
        match token.text {
            "{" if at > 0 => return at + branches(&code[at..], &path, names),
            "self" if !before.is_empty() => {}
            word if token.kind == Kind::Word => path.push(word.to_owned()),
            _ => break,
        }
        at += 1;
        if code.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    if at > 0 {
        names.push(Named { path, line: code[at.min(code.len()) - 1].line });
    }
    at
}

/// Reads `{…, …}` behind `path::`, and returns its length.
fn branches(code: &[Token<'_>], path: &[String], names: &mut Vec<Named>) -> usize {
    let length = bracketed(code);
    let mut at = 1;
    while at + 1 < length {
        at += tree(&code[at..length - 1], path, names).max(1);
        // What follows a path is a comma, or `as` and a name.
        while at + 1 < length && code[at].text != "," {
            at += 1;
        }
        at += 1;
    }
    length
}
