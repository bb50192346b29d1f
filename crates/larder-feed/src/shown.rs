//! How a feed, or a transport, is shown: of what it is, and how it is followed.

use std::fmt;

/// `of` names the place, and never a URL, which may hold a secret; options that may hide theirs.
pub(crate) fn debug(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    of: &str,
    options: &dyn fmt::Debug,
) -> fmt::Result {
    let mut shown = formatter.debug_struct(name);
    shown.field("of", &of).field("options", options).finish_non_exhaustive()
}
