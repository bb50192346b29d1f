//! Which dead letters are being tried again, so that none is taken twice.
//!
//! What the sink says of letters is of the moment at which it was asked. Another lane may apply one
//! of them before that is heard:
//!
//! 1. A asks for letters, and is told of letter 9, which B is applying,
//! 2. B has applied it, and it isn't being tried again any more,
//! 3. a later write of its key is acknowledged,
//! 4. A hears of letter 9, and takes it on once more.
//!
//! The sink wouldn't apply it a second time, but until it has said so the letter would be read in
//! the place of the later write. So what ends while somebody asks isn't taken either: it is asked
//! for again soon.

use std::collections::HashSet;

use larder_core::sync::Mutex;

/// The letters of one cache. There are never more than have been taken on and wait.
#[derive(Debug, Default)]
pub(super) struct Letters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// They are being tried again.
    tried: HashSet<u64>,
    /// They ended since somebody asked; nothing where nobody asks.
    ended: Option<HashSet<u64>>,
}

impl Letters {
    /// Takes note of one that is being tried again.
    pub(super) fn note(&self, letter: u64) {
        self.0.lock().tried.insert(letter);
    }

    /// One was applied, or buried anew, or wasn't taken on.
    pub(super) fn end(&self, letter: u64) {
        let mut state = self.0.lock();
        state.tried.remove(&letter);
        if let Some(ended) = &mut state.ended {
            ended.insert(letter);
        }
    }

    /// To be held from before the sink is asked for letters until they are taken. One at a time.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.0.lock().ended = Some(HashSet::new());
        Asking(self)
    }
}

/// Somebody asks for letters.
pub(super) struct Asking<'a>(&'a Letters);

impl Asking<'_> {
    /// Whether this one is to be taken on: then it is being tried again from now on.
    pub(super) fn take(&self, letter: u64) -> bool {
        let mut state = self.0.0.lock();
        let has_ended = state.ended.as_ref().is_some_and(|ended| ended.contains(&letter));
        !has_ended && state.tried.insert(letter)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.0.lock().ended = None;
    }
}
