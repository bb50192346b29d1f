//! What was found to be altered besides rows, until it is told.
//!
//! Who asks for the log's end finds it, in the catalogue; who follows tells it. That nobody counts
//! on an end before he has heard of what was altered before takes an order:
//!
//! 1. The catalogue is read, by a snapshot that is younger than the question.
//! 2. What has another shape than is known here is noted as untold.
//! 3. While anything is untold, a mark is written into the log, and the end is behind it.
//! 4. Who follows looks for the untold after what he received and before he tells of it.
//!
//! So an end of step 3 is behind everything that was received before step 2, and who receives the
//! mark finds what is untold. Without the mark the end could be a place that was passed before,
//! by which nobody would be told anything: an idle database's is.
//!
//! It asks nobody, and knows nothing of slots.

use std::collections::BTreeSet;

use larder_core::change::Table;
use larder_core::feed::Notice;
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

use super::catalogue::Catalogue;

/// So many names of tables may wait to be told. With more the session ends, and the next one
/// begins with a gap.
const UNTOLD_MAX: usize = 16_384;

/// Of one session.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// Something is to be told.
    pub(super) found: Notify,
}

#[derive(Debug)]
struct State {
    known: Catalogue,
    untold: BTreeSet<Table>,
    /// Why the session can't vouch for anything any more.
    over: Option<Error>,
}

impl Watch {
    /// A session begins, and `known` was read before its log does.
    pub(super) fn new(known: Catalogue) -> Self {
        let state = State { known, untold: BTreeSet::new(), over: None };
        Self { state: Mutex::new(state), found: Notify::new() }
    }

    /// Notes how this differs from what is known. Returns whether anything is untold.
    ///
    /// # Errors
    ///
    /// When the session is over by it: no end counts.
    pub(super) fn look(&self, name: &str, now: Catalogue) -> Result<bool> {
        let mut state = self.state.lock();
        if state.over.is_none() {
            let checked = now.check_log(&state.known).and_then(|()| now.check(name));
            match checked.and_then(|()| now.altered_since(&state.known)) {
                Ok(altered) => state.untold.extend(altered),
                Err(error) => state.over = Some(error),
            }
            if state.untold.len() > UNTOLD_MAX {
                let message = "the tables are altered faster than it can be told";
                state.over = Some(Error::new(ErrorKind::SourceDown, message));
            }
            state.known = now;
        }
        let is_untold = !state.untold.is_empty();
        if is_untold || state.over.is_some() {
            self.found.notify_one();
        }
        state.over.clone().map_or(Ok(is_untold), Err)
    }

    /// What is to be told, and the number of the catalogue that is known with it.
    ///
    /// # Errors
    ///
    /// When the session is over.
    pub(super) fn take(&self) -> Result<Option<(Vec<Notice>, u32)>> {
        let mut state = self.state.lock();
        if let Some(error) = &state.over {
            return Err(error.clone());
        }
        if state.untold.is_empty() {
            return Ok(None);
        }
        let tables = std::mem::take(&mut state.untold).into_iter();
        // Its rows are other ones too: who goes by rows only must hear of it as well.
        let notices =
            tables.flat_map(|table| [Notice::Altered(table.clone()), Notice::truncated(table)]);
        Ok(Some((notices.collect(), state.known.end.catalogue)))
    }
}
