//! Scripts, and how to call them: by their hash, and in full where the server has forgotten them.

use bytes::Bytes;
use larder_core::shared::Incarnation;
use redis::{Cmd, cmd};

/// A script of `scripts/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Lease,
    Fill,
    Extend,
    Release,
    Invalidate,
    Mark,
    Marks,
    Publish,
    Place,
    Invalidation,
    Intent,
    End,
    JournalTake,
    JournalAppend,
    JournalRead,
    JournalClose,
}

/// Each script's text, in the order of [`Script`].
const TEXTS: [&str; 16] = [
    include_str!("scripts/lease.lua"),
    include_str!("scripts/fill.lua"),
    include_str!("scripts/extend.lua"),
    include_str!("scripts/release.lua"),
    concat!(include_str!("scripts/announce.lua"), include_str!("scripts/invalidate.lua")),
    concat!(include_str!("scripts/announce.lua"), include_str!("scripts/mark.lua")),
    include_str!("scripts/marks.lua"),
    concat!(include_str!("scripts/announce.lua"), include_str!("scripts/publish.lua")),
    include_str!("scripts/place.lua"),
    include_str!("scripts/strike.lua"),
    concat!(include_str!("scripts/announce.lua"), include_str!("scripts/intent.lua")),
    concat!(include_str!("scripts/announce.lua"), include_str!("scripts/end.lua")),
    include_str!("scripts/journal_take.lua"),
    include_str!("scripts/journal_append.lua"),
    include_str!("scripts/journal_read.lua"),
    include_str!("scripts/journal_close.lua"),
];

/// The scripts with their hashes, which are computed once.
#[derive(Clone, Debug)]
pub(crate) struct Scripts([redis::Script; 16]);

impl Scripts {
    pub(crate) fn new() -> Self {
        Self(TEXTS.map(redis::Script::new))
    }

    /// The commands that make all of them known to a server.
    pub(crate) fn load(&self) -> impl Iterator<Item = Cmd> {
        TEXTS.iter().map(|text| {
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(text);
            load
        })
    }
}

/// A call of a script.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) script: Script,
    pub(crate) keys: Vec<Bytes>,
    pub(crate) args: Vec<Bytes>,
}

impl Call {
    /// The command that calls it on a server of that run: with its text, or with its hash.
    pub(crate) fn command(&self, scripts: &Scripts, in_full: bool, run: Incarnation) -> Cmd {
        let script = self.script as usize;
        let size = |all: &[Bytes]| all.iter().map(Bytes::len).sum::<usize>();
        let count = self.keys.len() + self.args.len() + 3;
        let mut call = Cmd::with_capacity(count, size(&self.keys) + size(&self.args) + 64);
        if in_full {
            call.arg("EVAL").arg(TEXTS[script]);
        } else {
            call.arg("EVALSHA").arg(scripts.0[script].get_hash());
        }
        call.arg(self.keys.len());
        for argument in self.keys.iter().chain(&self.args) {
            call.arg(&argument[..]);
        }
        if matches!(self.script, Script::Lease | Script::JournalTake | Script::JournalAppend) {
            call.arg(format!("{:08x}", run.0));
        }
        call
    }
}

#[cfg(test)]
mod tests {
    use larder_core::envelope::{STAMP_AT, STATE_AT, STATE_FRESH, STATE_STALE};

    use super::*;

    #[test]
    fn the_scripts_know_where_state_and_stamp_stand() {
        let lease = TEXTS[Script::Lease as usize];
        // Lua counts from one.
        assert!(lease.contains(&format!("string.byte(value, {}) == {STATE_FRESH}", STATE_AT + 1)));
        let stamp = format!("string.sub(value, {}, {})", STAMP_AT + 1, STAMP_AT + 8);
        assert!(lease.contains(&stamp));
        for (script, key) in [(Script::Invalidate, "at"), (Script::Invalidation, "1")] {
            let range = format!("KEYS[{key}], {STATE_AT}, '\\{STATE_STALE}')");
            assert!(TEXTS[script as usize].contains(&range), "{range}");
        }
    }
}
