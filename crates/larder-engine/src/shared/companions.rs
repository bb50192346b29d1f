//! Whether plain keys in the shared tier may have companions: keys that say which tags a plain key
//! has, or who may fill it.
//!
//! Who reads a plain key must look at its companion first, which costs, so nobody should while
//! there are none. That there may be some is a mark, of a cache that nobody can declare: it is kept
//! by the tier and told over the bus like every mark, and learnt again after a gap. What permits
//! not to look is positive: every mark is known, this one isn't among them, and the horizon is
//! young. So of
//!
//! 1. process A reads a plain key without looking, because it has heard of no companions,
//! 2. process B announces that there are some, at *p*, and waits for [`UNHEARD_MAX`],
//! 3. B writes the first companion,
//!
//! step 1 is over before step 3: at *p* + `UNHEARD_MAX` the horizon of A is behind *p*, and then A
//! has heard of it, or is too old, and then A looks. It is paid once in the life of a tier.

use std::time::Duration;

use larder_core::bus::Announcement;
use larder_core::shared::{Invalidation, Mark};
use larder_core::{Error, ErrorKind, Result};

use super::bucket;
use super::pending::Work;
use crate::engine::Engine;
use crate::events::tag_hash;

/// The name of the cache whose mark says it. What keeps entries in a tier has no slash in its name.
pub const COMPANIONS: &str = "plain/";

/// How long a process may not have heard that there are companions, and still look for none.
pub const UNHEARD_MAX: Duration = Duration::from_secs(1);

impl Engine {
    /// Whether plain keys in the shared tier may have companions. `false` where nothing is shared.
    #[must_use]
    pub fn may_have_companions(&self) -> bool {
        let Some(shared) = self.shared() else { return false };
        if !shared.link.abilities().marks {
            return false;
        }
        let horizon = self.horizon().get();
        shared.marks.has_cache(COMPANIONS) != Some(false) || self.now() - horizon >= UNHEARD_MAX
    }

    /// Whether it has heard that plain keys in the shared tier may have companions.
    #[must_use]
    pub fn knows_of_companions(&self) -> bool {
        let shared = self.shared();
        shared.is_some_and(|shared| shared.marks.has_cache(COMPANIONS) == Some(true))
    }

    /// Announces that plain keys in the shared tier may have companions. The first companion may be
    /// written [`UNHEARD_MAX`] later.
    ///
    /// ```
    /// # use larder_core::ErrorKind;
    /// # use larder_engine::Engine;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// let alone = Engine::on_tokio()?;
    /// assert!(!alone.may_have_companions());
    /// let refused = alone.announce_companions().await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Refused);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Refused` where nothing is shared, or through a tier that keeps no marks. `SharedDown` when
    /// the tier doesn't answer.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is announced, sooner or later.
    pub async fn announce_companions(&self) -> Result<()> {
        let Some(shared) = self.shared().filter(|shared| shared.link.abilities().marks) else {
            let message =
                "tags and leases of plain keys need a [shared] Redis that all larders use";
            return Err(Error::new(ErrorKind::Refused, message));
        };
        let (strike, cache) = (Invalidation::Drop, Box::<str>::from(COMPANIONS));
        let announcement = Announcement::Cache { strike, cache: cache.clone() };
        let work = Work::Marks { strike, marks: vec![Mark::Cache(cache)], announcement };
        shared.invalidate(shared.note(work)).await.map(|_| ())
    }
}

/// In which bucket of the marks a tag falls, as a tier keeps them.
#[must_use]
pub fn tag_bucket(tag: &str) -> u16 {
    bucket(tag_hash(tag))
}
