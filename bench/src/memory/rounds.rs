//! Rounds in turn: each contender once in each round, in an order that rotates.

use crate::figures::{median, range, result};
use crate::memory::contenders::Contender;

/// The figures of one contender, one for each round.
pub(crate) struct Figures {
    pub(crate) contender: Contender,
    pub(crate) rounds: Vec<f64>,
}

/// Runs `measure` for each of `contenders` in each round. The first round isn't counted: it
/// brings caches and tables to where they stay.
pub(crate) fn in_turn<T>(
    contenders: &[T],
    who: impl Fn(&T) -> Contender,
    rounds: usize,
    mut measure: impl FnMut(&T, usize) -> f64,
) -> Vec<Figures> {
    let mut figures: Vec<Figures> = contenders
        .iter()
        .map(|contender| Figures { contender: who(contender), rounds: Vec::new() })
        .collect();
    for round in 0..=rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let figure = measure(&contenders[index], round);
            if round > 0 {
                figures[index].rounds.push(figure);
            }
        }
    }
    figures
}

/// One workload, measured.
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) figures: Vec<Figures>,
}

impl Cell {
    /// A contender's figures over larder's: the median of the rounds' ratios, so that what
    /// disturbs a round disturbs both or neither.
    pub(crate) fn ratio(&self, contender: Contender) -> Option<f64> {
        let of = |wanted| self.figures.iter().find(|figures| figures.contender == wanted);
        let (theirs, ours) = (of(contender)?, of(Contender::Larder)?);
        let ratios: Vec<f64> =
            theirs.rounds.iter().zip(&ours.rounds).map(|(theirs, ours)| theirs / ours).collect();
        Some(median(&ratios))
    }

    /// The peer whose figures are the smallest, and its ratio.
    pub(crate) fn best_peer(&self) -> Option<(Contender, f64)> {
        self.figures
            .iter()
            .filter(|figures| figures.contender.is_peer())
            .filter_map(|figures| Some((figures.contender, self.ratio(figures.contender)?)))
            .min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Prints a line for each contender.
    pub(crate) fn print(&self, what: &str, note: impl Fn(Contender) -> String) {
        println!("{}: {what} (median, range; ratio to larder)", self.name);
        for Figures { contender, rounds } in &self.figures {
            let ((low, high), ratio) = (range(rounds), self.ratio(*contender));
            let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let spread = format!("({low:.1} to {high:.1})");
            let line = format!(
                "  {:<13}{:>9.1} {spread:<22}{ratio:>7}  {}",
                contender.name(),
                median(rounds),
                note(*contender)
            );
            println!("{}", line.trim_end());
        }
        println!();
    }

    /// Prints the best peer's ratio as a result, if larder and a peer took part.
    pub(crate) fn result(&self) {
        if let Some((_, ratio)) = self.best_peer() {
            result(&self.name, ratio);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another() {
        use Contender::{Hashbrown, Larder, Moka};
        let contenders = [Larder, Moka, Hashbrown];
        let mut order = Vec::new();
        let figures = in_turn(
            &contenders,
            |contender| *contender,
            2,
            |contender, round| {
                order.push(*contender);
                round as f64
            },
        );
        let expected = [Larder, Moka, Hashbrown, Moka, Hashbrown, Larder, Hashbrown, Larder, Moka];
        assert_eq!(order, expected);
        assert!(figures.iter().all(|figures| figures.rounds == [1.0, 2.0]));
    }

    #[test]
    fn the_best_peer_is_neither_larder_nor_the_floor() {
        let figures = |contender, rounds: &[f64]| Figures { contender, rounds: rounds.to_vec() };
        let cell = Cell {
            name: "hit".to_owned(),
            figures: vec![
                figures(Contender::Larder, &[10.0, 20.0, 30.0]),
                figures(Contender::Moka, &[50.0, 100.0, 150.0]),
                figures(Contender::QuickCache, &[20.0, 40.0, 90.0]),
                figures(Contender::Hashbrown, &[1.0, 1.0, 1.0]),
            ],
        };
        assert_eq!(cell.best_peer(), Some((Contender::QuickCache, 2.0)));
        assert_eq!(cell.ratio(Contender::Moka), Some(5.0));
        assert_eq!(cell.ratio(Contender::Stretto), None);
    }
}
