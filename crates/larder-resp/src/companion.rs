//! Companions: what larder keeps beside a plain key in the shared Redis, because its value must
//! stay what was set.
//!
//! ```text
//! NS.p:LENGTH:{TAG}:KEY:T    the tags of a key, bound to the value that was set with them
//! NS.p:LENGTH:{TAG}:KEY:L    the lease of a key: its token, and what was known when it was granted
//! ```
//!
//! TAG is what a cluster places the key by, and the length keeps two keys from sharing a name.
//!
//! A tag that is struck only sets its mark, so what it strikes must be found out when somebody
//! comes for it: before a command a script looks at the companions of its keys, and deletes what
//! was struck. To the command, and to every other one, such a key has just expired.
//!
//! The scripts know how the marks are written (`larder-redis`, `marks`). They are sent in full: a
//! server that had forgotten one would execute the command without it. What they are asked for
//! stands in `command/guard` and `command/shared_plain`.

use std::fmt::Write as _;
use std::sync::Arc;

use larder_engine::shared::COMPANIONS;

use crate::codec::encode_request;

/// One of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Looks at the companions of the keys of a command, before it or after it.
    Around,
    /// Reads a key, or asks for its lease.
    Get,
    /// Sets a key with tags.
    Set,
    /// Fills a key under its lease.
    Fill,
    /// Deletes keys and voids their leases.
    Forget,
}

/// Where companions are, in one Redis.
#[derive(Clone, Debug)]
pub(crate) struct Companions {
    /// What their names begin with.
    beginning: Box<str>,
    /// The marks.
    marks: Box<str>,
    /// The texts, in the order of [`Script`].
    scripts: Arc<[String; 5]>,
}

impl Companions {
    /// Those within a namespace, which the marks are in, too.
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            beginning: format!("{namespace}.p:").into(),
            marks: format!("{namespace}.b:{{bus}}:marks").into(),
            scripts: Arc::new(TEXTS.map(short)),
        }
    }

    /// The request that calls a script for these keys.
    pub(crate) fn call(&self, script: Script, keys: &[&[u8]], arguments: &[&[u8]]) -> Vec<u8> {
        let count = (3 * keys.len() + 1).to_string();
        let companions: Vec<_> = keys.iter().map(|key| self.of(key)).collect();
        let mut all: Vec<&[u8]> =
            vec![b"EVAL", self.text(script).as_bytes(), count.as_bytes(), self.marks.as_bytes()];
        for (key, [tags, lease]) in keys.iter().zip(&companions) {
            all.extend([key, tags.as_slice(), lease.as_slice()]);
        }
        all.extend(arguments);
        let mut request = Vec::new();
        encode_request(&mut request, &all);
        request
    }

    fn text(&self, script: Script) -> &str {
        &self.scripts[script as usize]
    }

    /// The companion with the tags of a key, and its lease.
    fn of(&self, key: &[u8]) -> [Vec<u8>; 2] {
        ["T", "L"].map(|what| {
            let mut beginning = String::from(&*self.beginning);
            // Nothing is written into a string in vain.
            let _ = write!(beginning, "{}:", key.len());
            let parts = [beginning.as_bytes(), b"{", placed_by(key), b"}:", key, b":"];
            [&parts.concat()[..], what.as_bytes()].concat()
        })
    }
}

/// The name of the mark that says that there are companions.
pub(crate) const FLAG: &str = COMPANIONS;

/// What a cluster places a key by: what is in the first braces, or everything where there are none.
fn placed_by(key: &[u8]) -> &[u8] {
    let inside = key.iter().position(|&byte| byte == b'{').map(|at| &key[at + 1..]);
    let length = inside.and_then(|inside| inside.iter().position(|&byte| byte == b'}'));
    match (inside, length) {
        (Some(inside), Some(length)) if length > 0 => &inside[..length],
        _ => key,
    }
}

/// What several scripts begin with.
macro_rules! beginning {
    () => {
        concat!(include_str!("companion/guard.lua"), include_str!("companion/write.lua"))
    };
}

/// Each script's text, in the order of [`Script`].
const TEXTS: [&str; 5] = [
    concat!(include_str!("companion/guard.lua"), include_str!("companion/around.lua")),
    concat!(beginning!(), include_str!("companion/get.lua")),
    concat!(beginning!(), include_str!("companion/set.lua")),
    concat!(beginning!(), include_str!("companion/fill.lua")),
    concat!(include_str!("companion/guard.lua"), include_str!("companion/forget.lua")),
];

/// A script without its comments and indentation: it is sent each time.
fn short(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.filter(|line| !line.starts_with("--")).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_companions_of_a_key_live_where_it_lives() {
        let companions = Companions::new("larder");
        let names =
            |key: &str| companions.of(key.as_bytes()).map(|name| String::from_utf8(name).unwrap());
        assert_eq!(
            names("page:1"),
            ["larder.p:6:{page:1}:page:1:T", "larder.p:6:{page:1}:page:1:L"]
        );
        assert_eq!(names("a{b}c")[0], "larder.p:5:{b}:a{b}c:T");
        assert_eq!(names("a{}c")[0], "larder.p:4:{a{}c}:a{}c:T");
        // Without the length these two would share a name.
        assert_ne!(names("t}:u{t"), names("u{t}:t}:u{t"));
    }

    #[test]
    fn a_script_is_sent_without_its_comments() {
        let companions = Companions::new("larder");
        for (script, end) in [
            (Script::Around, "return 0"),
            (Script::Get, "return {'busy', math.max(0, redis.call('PTTL', KEYS[4]))}"),
            (Script::Set, "return {'stored'}"),
            (Script::Fill, "and 'stored' or 'refused'}"),
            (Script::Forget, "return held"),
        ] {
            let text = companions.text(script);
            assert!(text.starts_with("local marks = KEYS[1]\n") && !text.contains("--"), "{text}");
            assert!(text.trim_end().ends_with(end), "{text}");
        }
    }
}
