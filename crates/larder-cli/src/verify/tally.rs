//! What the comparisons came to, for each server, tier and delay.

use std::collections::BTreeMap;
use std::time::Duration;

use humantime::format_duration;
use serde_json::{Value, json};

use crate::output::{columns, lines};

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was held is what the database has.
    Right,
    /// What was held isn't, and nothing came in between.
    Wrong,
    /// Nothing was held, or the key was changed again, or what was served said that it stood in.
    Undecided,
}

/// Where something was served, and how long after a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) server: String,
    pub(super) tier: String,
    pub(super) delay: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    right: u64,
    wrong: u64,
}

/// All of it so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<Place, Counts>,
    undecided: u64,
    /// Changes that were told and not looked at, as there were too many.
    pub(super) skipped: u64,
    /// Questions that a server or the database didn't answer.
    pub(super) unanswered: u64,
}

impl Counts {
    /// How often it was right, in nines: 3 is 99.9 %. `None` where it was never wrong: at least as
    /// many as were checked can show.
    fn nines(self) -> (f64, bool) {
        let all = (self.right + self.wrong) as f64;
        match self.wrong {
            0 => (all.log10(), true),
            wrong => ((all / wrong as f64).log10(), false),
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, place: Place, verdict: Verdict) {
        let counts = match verdict {
            Verdict::Undecided => return self.undecided += 1,
            _ => self.counts.entry(place).or_default(),
        };
        match verdict {
            Verdict::Right => counts.right += 1,
            _ => counts.wrong += 1,
        }
    }

    /// How many comparisons were decided.
    pub(super) fn checked(&self) -> u64 {
        self.counts.values().map(|counts| counts.right + counts.wrong).sum()
    }

    pub(super) fn in_words(&self) -> String {
        let row = |(place, counts): (&Place, &Counts)| {
            let (nines, is_least) = counts.nines();
            let least = if is_least { ">= " } else { "" };
            vec![
                place.server.clone(),
                place.tier.clone(),
                format_duration(place.delay).to_string(),
                (counts.right + counts.wrong).to_string(),
                counts.wrong.to_string(),
                format!("{least}{nines:.1}"),
            ]
        };
        let rows: Vec<_> = self.counts.iter().map(row).collect();
        let head = ["server", "tier", "after", "checked", "wrong", "nines"];
        let Self { undecided, skipped, unanswered, .. } = self;
        format!(
            "{}{undecided} undecided (nothing was held, or it changed again), {skipped} skipped \
             (too many changes at once), {unanswered} unanswered\n",
            columns(&head, &rows)
        )
    }

    pub(super) fn as_json(&self) -> String {
        let line = |(place, counts): (&Place, &Counts)| -> Value {
            let (nines, is_least) = counts.nines();
            json!({
                "server": place.server,
                "tier": place.tier,
                "after_ms": place.delay.as_millis() as u64,
                "checked": counts.right + counts.wrong,
                "wrong": counts.wrong,
                "nines": nines,
                "nines_at_least": is_least,
            })
        };
        let rest = json!({
            "undecided": self.undecided,
            "skipped": self.skipped,
            "unanswered": self.unanswered,
        });
        lines(self.counts.iter().map(line).chain([rest]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seconds: u64) -> Place {
        let (server, tier) = ("a:1".to_owned(), "memory".to_owned());
        Place { server, tier, delay: Duration::from_secs(seconds) }
    }

    #[test]
    fn nines_are_counted_for_each_delay() {
        let mut tally = Tally::default();
        for at in 0..1000 {
            tally.add(place(1), if at == 0 { Verdict::Wrong } else { Verdict::Right });
            tally.add(place(10), Verdict::Right);
        }
        tally.add(place(10), Verdict::Undecided);
        assert_eq!(tally.checked(), 2000);
        let text = tally.in_words();
        assert!(text.contains("a:1     memory  1s     1000     1      3.0\n"), "{text}");
        assert!(text.contains("a:1     memory  10s    1000     0      >= 3.0\n"), "{text}");
        assert!(text.contains("1 undecided"), "{text}");
        assert!(tally.as_json().lines().count() == 3);
    }
}
