//! Which versions take part: what `Cargo.lock` says, as this program was built.

use crate::memory::contenders::Contender;

const LOCK: &str = include_str!("../../../Cargo.lock");

/// The version of a contender's package.
pub(crate) fn version(contender: Contender) -> &'static str {
    version_of(contender.package()).expect("what this is built of stands in Cargo.lock")
}

/// The version of a package, if this is built of it.
pub(crate) fn version_of(package: &str) -> Option<&'static str> {
    of(LOCK, package)
}

/// The newest version of a package: the lock has them in order, and this crate asks for the
/// newest of each.
fn of<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines();
    let mut version = None;
    while let Some(line) = lines.next() {
        if line == name {
            version = lines.next()?.strip_prefix("version = \"")?.strip_suffix('"');
        }
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_contender_has_a_version() {
        for contender in Contender::ALL {
            assert!(version(contender).starts_with(|first: char| first.is_ascii_digit()));
        }
    }

    #[test]
    fn the_newest_of_several_counts() {
        let lock = "name = \"lru\"\nversion = \"0.1.0\"\n\nname = \"lru\"\nversion = \"0.2.0\"\n";
        assert_eq!(of(lock, "lru"), Some("0.2.0"));
        assert_eq!(of(lock, "moka"), None);
    }
}
