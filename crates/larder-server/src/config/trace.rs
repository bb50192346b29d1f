//! `[trace]` resolved: where the key log is written, and which part of the keys is in it.

use std::path::PathBuf;

use super::document::Written;
use super::findings::Reported;
use super::options::trace as options;
use super::scope::Scope;

/// The key log.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// Where it is written; relative to where larder is started.
    pub file: PathBuf,
    /// Which part of all keys is in it: above 0, up to 1.
    pub sample: f64,
}

impl TraceConfig {
    /// `None` when there is to be none.
    pub(super) fn resolve(
        written: &Written,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Option<Self>, Reported> {
        if written.at.is_none() {
            return Ok(None);
        }
        let file = scope.required(written, &options::FILE);
        let sample = scope.or_default(written, &options::SAMPLE);
        Ok(Some(Self { file: file?.0.into(), sample: sample?.0 }))
    }
}
