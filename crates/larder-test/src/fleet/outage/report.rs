//! What an outage showed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What an outage showed.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// One for each time that Redis was killed.
    pub rounds: Vec<Round>,
    /// The most queries that each larder had in the database at one time.
    pub queries_most: Vec<u64>,
    /// How many reads of accounts were answered with a value: while Redis was there, and while it
    /// was away.
    pub answered: [u64; 2],
    /// The errors that reads had, by their code or by what happened to the connection.
    pub refused: BTreeMap<String, Refusals>,
    /// The errors that announcements had.
    pub unannounced: BTreeMap<String, Refusals>,
    /// How many announcements were done.
    pub announced: u64,
    /// The longest wait for a reply to a read, whatever the reply was.
    pub slowest: Duration,
    /// How many answers were neither a value nor an error.
    pub odd: u64,
}

/// What was measured around one kill.
#[derive(Clone, Debug)]
pub struct Round {
    /// How long reads of what is held took, in nanoseconds, in the first half of the time before.
    pub there: Vec<u64>,
    /// The same in its second half: how these differ is noise.
    pub still_there: Vec<u64>,
    /// The same from the kill on, while Redis was away.
    pub away: Vec<u64>,
    /// How many of all those were not held. They are measured too, so it should be none.
    pub missed: u64,
    /// For each larder: how long after Redis answered its first PING it used it again, for an
    /// entry that it filled or found.
    pub used: Vec<Duration>,
    /// For each larder: how long after that PING it knew again that it hears all announcements.
    pub heard: Vec<Duration>,
}

/// Errors of one code.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// How many there were.
    pub times: u64,
    /// How many of them didn't say when to come back.
    pub without_time: u64,
    /// What the first one said.
    pub first: String,
}

impl Outage {
    /// The longest wait of any larder in any round until it used Redis again; in each round the
    /// slowest larder counts.
    #[must_use]
    pub fn used_again(&self) -> Vec<Duration> {
        self.slowest_of(|round| &round.used)
    }

    /// The same until it knew again that it hears all announcements.
    #[must_use]
    pub fn heard_again(&self) -> Vec<Duration> {
        self.slowest_of(|round| &round.heard)
    }

    fn slowest_of(&self, times: impl Fn(&Round) -> &[Duration]) -> Vec<Duration> {
        let slowest = |round| times(round).iter().max().copied().unwrap_or_default();
        self.rounds.iter().map(slowest).collect()
    }
}

/// What is no time of a hit: those are for statistics.
impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queries_most, answered: [there, away], announced, slowest, odd, .. } = self;
        writeln!(f, "at most {queries_most:?} queries at a time, of each larder")?;
        writeln!(f, "reads answered: {there} while Redis was there, {away} while it was away")?;
        writeln!(f, "the longest wait for a reply: {slowest:?}; {odd} odd replies")?;
        for Refusals { times, without_time, first } in self.refused.values() {
            writeln!(f, "{times} reads, {without_time} without a time: {first}")?;
        }
        writeln!(f, "{announced} announcements")?;
        for Refusals { times, without_time, first } in self.unannounced.values() {
            writeln!(f, "{times} not done, {without_time} without a time: {first}")?;
        }
        for Round { there, still_there, away, missed, used, heard } in &self.rounds {
            let hits = [there.len(), still_there.len(), away.len()];
            writeln!(
                f,
                "{hits:?} hits measured, {missed} missed; Redis used again after {used:?}, its bus \
                 heard after {heard:?}"
            )?;
        }
        Ok(())
    }
}

/// Counts an error by its first word.
pub(super) fn count(refused: &mut BTreeMap<String, Refusals>, text: &str) {
    let code = text.split(' ').next().unwrap_or_default();
    let refusals = refused.entry(code.to_owned()).or_default();
    if refusals.times == 0 {
        text.clone_into(&mut refusals.first);
    }
    refusals.times += 1;
    refusals.without_time += u64::from(!says_when(text));
}

/// Whether an error ends with `; retry after 250 ms`.
fn says_when(text: &str) -> bool {
    let time = text.rsplit_once("; retry after ").and_then(|(_, time)| time.strip_suffix(" ms"));
    time.is_some_and(|time| time.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_code_and_by_whether_they_say_when_to_come_back() {
        let mut refused = BTreeMap::new();
        count(&mut refused, "SHED too many; retry after 10 ms");
        count(&mut refused, "SHED too many; retry after a while");
        count(&mut refused, "Unanswered");
        let shed = &refused["SHED"];
        assert_eq!((shed.times, shed.without_time), (2, 1));
        assert_eq!(shed.first, "SHED too many; retry after 10 ms");
        assert_eq!(refused["Unanswered"].without_time, 1);
    }

    #[test]
    fn of_each_round_the_slowest_larder_counts() {
        let ms = Duration::from_millis;
        let round = |used: &[u64]| Round {
            there: Vec::new(),
            still_there: Vec::new(),
            away: Vec::new(),
            missed: 0,
            used: used.iter().map(|&one| ms(one)).collect(),
            heard: vec![ms(7)],
        };
        let outage = Outage { rounds: vec![round(&[3, 5]), round(&[4, 1])], ..Outage::default() };
        assert_eq!(outage.used_again(), [ms(5), ms(4)]);
        assert_eq!(outage.heard_again(), [ms(7), ms(7)]);
    }
}
