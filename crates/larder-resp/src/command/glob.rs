//! Patterns as Redis has them: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what is meant as it is.
//!
//! A pattern is matched in at most its length times that of the text, whatever it is.

/// Whether a capital is the same as its small letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// It is, as in names of settings.
    Same,
    /// It isn't, as in keys.
    Differs,
}

/// Whether `text` fits `pattern`.
pub(super) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    // Redis looks at patterns only as long as there is text.
    if text.is_empty() {
        return matches!(pattern, [] | [b'*']);
    }
    let (mut at, mut read) = (0, 0);
    // Where the last star stands, and how much of the text it stands for so far.
    let mut star = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, read));
            at += 1;
        } else if let Some(length) = one(&pattern[at..], text[read], case) {
            at += length;
            read += 1;
        } else if let Some((star_at, covered)) = star {
            // One star is enough to go back to: what the stars before it cover fits already.
            star = Some((star_at, covered + 1));
            (at, read) = (star_at + 1, covered + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// How much of the pattern stands for the single byte `text`; `None` when that isn't what it
/// begins with.
fn one(pattern: &[u8], text: u8, case: Case) -> Option<usize> {
    let (fits, length) = match pattern {
        [] => return None,
        [b'?', ..] => (true, 1),
        [b'[', class @ ..] => {
            let (fits, length) = in_class(class, text, case);
            (fits, length + 1)
        }
        [b'\\', escaped, ..] => (same(*escaped, text, case), 2),
        [byte, ..] => (same(*byte, text, case), 1),
    };
    fits.then_some(length)
}

/// Whether `text` is in the class behind a `[`, and how long that is. A class that isn't closed
/// ends with the pattern.
fn in_class(class: &[u8], text: u8, case: Case) -> (bool, usize) {
    let mut at = usize::from(class.first() == Some(&b'^'));
    let negated = at == 1;
    let mut found = false;
    let text = folded(text, case);
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= same(*escaped, text, case);
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (folded(*from, case), folded(*to, case));
                found |= (from.min(to)..=from.max(to)).contains(&text);
                at += 3;
            }
            [byte, ..] => {
                found |= same(*byte, text, case);
                at += 1;
            }
        }
    }
    (found != negated, at)
}

fn same(a: u8, b: u8, case: Case) -> bool {
    folded(a, case) == folded(b, case)
}

fn folded(byte: u8, case: Case) -> u8 {
    if case == Case::Same { byte.to_ascii_lowercase() } else { byte }
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[track_caller]
    fn check(pattern: &str, fits: &[&str], not: &[&str]) {
        let matches =
            |text: &&&str| super::matches(pattern.as_bytes(), text.as_bytes(), Case::Same);
        assert_eq!(fits.iter().find(|text| !matches(text)), None, "{pattern} fits");
        assert_eq!(not.iter().find(matches), None, "{pattern} doesn't fit");
    }

    #[test]
    fn patterns_fit_as_in_redis() {
        check("", &[""], &["a"]);
        check("save", &["save", "SAVE"], &["", "sav", "saved"]);
        check("*", &["", "a", "maxmemory"], &[]);
        check("max*", &["max", "maxmemory", "MaxMemory-policy"], &["mmax", "ma"]);
        check("*memory*", &["maxmemory", "maxmemory-policy", "memorymemory"], &["memor"]);
        check("a*b*c", &["abc", "aXbbcbc"], &["abcd", "acb"]);
        check("a**c", &["ac", "abc"], &["ab"]);
        check("s?ve", &["save"], &["sve", "saave"]);
        check("[a-c]x[^a-c]", &["axd", "CXz"], &["dxd", "axb", "ax"]);
        check("[c-a]", &["b"], &["d"]);
        check(r"[\]]\*\?", &["]*?"], &["]a?", r"\*?"]);
        check("[abc", &["a", "c"], &["d", ""]);
        check("[]", &[], &["", "]"]);
        check("[^]", &["a"], &[""]);
        check(r"a\", &[r"a\"], &["a"]);
    }

    #[test]
    fn where_case_differs_only_the_same_letter_fits() {
        let fits = |pattern: &[u8], text: &[u8]| super::matches(pattern, text, Case::Differs);
        assert!(fits(b"aB[c-e]", b"aBd") && fits(b"[A-Z]*", b"Xx"));
        assert!(!fits(b"ab", b"aB") && !fits(b"[a-z]", b"X") && !fits(br"\a", b"A"));
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_than_its_length_times_that_of_the_text() {
        let pattern = "*a".repeat(1000) + "b";
        assert!(!super::matches(pattern.as_bytes(), "a".repeat(5000).as_bytes(), Case::Same));
    }
}
