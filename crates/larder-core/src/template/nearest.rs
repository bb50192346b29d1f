//! The word that was probably meant.

/// The longest word that is compared; a longer one is nobody's typing error.
const WORD_CHARS_MAX: usize = 64;

/// The word among `known` that `word` was probably meant to be, if any is near enough: at most a
/// third of its letters are missing, superfluous, different, or swapped with a neighbour.
///
/// ```
/// use larder_core::template::nearest;
///
/// assert_eq!(nearest("tenent_id", ["id", "tenant_id"]), Some("tenant_id"));
/// assert_eq!(nearest("colour", ["id", "tenant_id"]), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX + 1).collect();
    known
        .into_iter()
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.chars().take(WORD_CHARS_MAX + 1).collect();
            let allowed = word.len().max(letters.len()).div_ceil(3);
            let near = word.len().max(letters.len()) <= WORD_CHARS_MAX;
            let distance = if near { distance(&word, &letters) } else { usize::MAX };
            (distance <= allowed && distance < letters.len()).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance: insertions, deletions, substitutions, and swaps of
/// neighbours, ignoring case.
fn distance(left: &[char], right: &[char]) -> usize {
    let same = |a: char, b: char| a.eq_ignore_ascii_case(&b);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &b) in right.iter().enumerate() {
            let changed = above[column] + usize::from(!same(a, b));
            let mut best = changed.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && same(a, right[column - 1]) && same(left[row - 1], b) {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_near_and_another_word_is_not() {
        for (typed, meant) in [
            ("itn", Some("int")),
            ("txt", Some("text")),
            ("UUID", Some("uuid")),
            ("uid", Some("uuid")),
            ("bol", Some("bool")),
            ("timestamp", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, ["int", "text", "uuid", "bool"]), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), ["x"]), None);
    }
}
