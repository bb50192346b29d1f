//! What can be wrong with intents.

use std::time::Duration;

use bytes::Bytes;
use larder_core::shared::{Begun, Closed, Ended, Intent, SharedFill, SharedTier};
use larder_core::{Clock, Error, ErrorKind, Result};

use super::{Defect, LONG, Wrong};

impl Wrong {
    pub(super) async fn begin(
        &self,
        key: &[u8],
        intent: Intent,
        mut time: Duration,
        mut announcement: Option<Bytes>,
    ) -> Result<Begun> {
        match self.defect {
            Some(Defect::RefusesIntents) => {
                return Err(Error::new(ErrorKind::Refused, "no intents here"));
            }
            Some(Defect::IntentsWithoutEnd) => time = LONG,
            Some(Defect::AnnouncesNothing) => announcement = None,
            _ => {}
        }
        let name = Bytes::copy_from_slice(&intent.0.to_be_bytes());
        if self.is(Defect::AnnouncesOnce) && self.granted.lock().unwrap().contains_key(&name) {
            let incarnation = self.server.incarnation();
            return Ok(Begun { was_held: false, incarnation, position: None });
        }
        let mut begun = self.inner.begin_write(key, intent, time, announcement).await?;
        self.granted.lock().unwrap().insert(name, self.clock.now());
        match self.defect {
            Some(Defect::ForgetsIntents) => {
                self.inner.end_write(key, intent, Ended::Aborted, None).await?;
            }
            Some(Defect::SaysNothingWasHeld) => begun.was_held = false,
            _ => {}
        }
        Ok(begun)
    }

    pub(super) async fn end(
        &self,
        key: &[u8],
        intent: Intent,
        mut ended: Ended,
        mut announcement: Option<Bytes>,
    ) -> Result<Closed> {
        let begun_at = self.granted.lock().unwrap().get(&intent.0.to_be_bytes()[..]).copied();
        let left = match &ended {
            Ended::Committed(Some((envelope, _))) => Some(envelope.clone()),
            _ => None,
        };
        match (self.defect, &mut ended) {
            (Some(Defect::LeavesNothing), Ended::Committed(left)) => *left = None,
            (Some(Defect::KeepsTheIntent), Ended::Aborted) => ended = Ended::Unknown,
            (Some(Defect::ForgetsUnknownWrites), Ended::Unknown) => ended = Ended::Committed(None),
            (Some(Defect::CountsFromTheEndOfAWrite), Ended::Committed(Some((_, lifetime)))) => {
                *lifetime += begun_at.map_or(Duration::ZERO, |begun| self.clock.now() - begun);
            }
            (Some(Defect::AnnouncesNothing), _) => announcement = None,
            _ => {}
        }
        let mut closed = self.inner.end_write(key, intent, ended, announcement).await?;
        if self.is(Defect::EndsEveryWrite) {
            self.server.forget_intents(key);
        }
        if let (Some(Defect::LeavesWhateverOverlapped), Some(envelope)) = (self.defect, left)
            && self.server.intents(key) == 0
        {
            closed.is_held = self.force(key, envelope).await? == SharedFill::Stored;
        }
        Ok(closed)
    }
}
