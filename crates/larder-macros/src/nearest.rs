//! The nearest known name to an unknown one.

/// What other caches call our options.
const ELSEWHERE: [(&str, &str); 11] = [
    ("ttl", "fresh_for"),
    ("time", "fresh_for"),
    ("time_to_live", "fresh_for"),
    ("size", "entries_max"),
    ("capacity", "entries_max"),
    ("max_capacity", "entries_max"),
    ("timeout", "load_timeout"),
    ("negative_ttl", "missing_for"),
    ("convert", "key"),
    ("ignore", "skip"),
    ("ty", "key_type"),
];

/// The name of `names` that whoever wrote `unknown` most likely meant.
pub(crate) fn nearest<'a>(unknown: &str, names: &[&'a str]) -> Option<&'a str> {
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == unknown) {
        return names.iter().copied().find(|name| name == ours);
    }
    let by_distance = names.iter().map(|name| (distance(unknown, name), *name));
    let (distance, name) = by_distance.min()?;
    // Further away than that, a name has nothing to do with it.
    (distance <= 1 + unknown.chars().count() / 3).then_some(name)
}

/// How many characters must be inserted, removed or replaced (Wagner, Fischer 1974).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, here) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, there) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(here != *there);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_finds_none() {
        let names = ["max_staleness", "fresh_for", "stale_for", "key"];
        assert_eq!(nearest("max_stalenes", &names), Some("max_staleness"));
        assert_eq!(nearest("freshfor", &names), Some("fresh_for"));
        assert_eq!(nearest("ttl", &names), Some("fresh_for"));
        assert_eq!(nearest("compression", &names), None);
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (one, other, expected) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
