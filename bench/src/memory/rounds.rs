//! Rounds in turn: each contender once in each round, in an order that rotates.

use crate::figures::{median, range, result};
use crate::memory::contenders::Contender;

/// Whoever takes part in rounds.
pub(crate) trait Entrant: Copy + PartialEq {
    /// The one that the others are measured by.
    const LARDER: Self;

    fn name(self) -> &'static str;

    /// Whether this is a cache of others: neither larder nor the floor.
    fn is_peer(self) -> bool;
}

/// The figures of one contender, one for each round.
pub(crate) struct Figures<C = Contender> {
    pub(crate) contender: C,
    pub(crate) rounds: Vec<f64>,
}

/// Runs `measure` for each of `contenders` in each round. The first round isn't counted: it
/// brings caches and tables to where they stay.
pub(crate) fn in_turn<T, C>(
    contenders: &[T],
    who: impl Fn(&T) -> C,
    rounds: usize,
    mut measure: impl FnMut(&T, usize) -> f64,
) -> Vec<Figures<C>> {
    let mut figures: Vec<Figures<C>> = contenders
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
pub(crate) struct Cell<C = Contender> {
    pub(crate) name: String,
    pub(crate) figures: Vec<Figures<C>>,
}

impl<C: Entrant> Cell<C> {
    /// A contender's figures over larder's: the median of the rounds' ratios, so that what
    /// disturbs a round disturbs both or neither.
    pub(crate) fn ratio(&self, contender: C) -> Option<f64> {
        let of = |wanted| self.figures.iter().find(|figures| figures.contender == wanted);
        let (theirs, ours) = (of(contender)?, of(C::LARDER)?);
        let ratios: Vec<f64> =
            theirs.rounds.iter().zip(&ours.rounds).map(|(theirs, ours)| theirs / ours).collect();
        Some(median(&ratios))
    }

    /// The peer whose figures are the smallest, and its ratio.
    pub(crate) fn best_peer(&self) -> Option<(C, f64)> {
        self.figures
            .iter()
            .filter(|figures| figures.contender.is_peer())
            .filter_map(|figures| Some((figures.contender, self.ratio(figures.contender)?)))
            .min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Prints a line for each contender.
    pub(crate) fn print(&self, what: &str, note: impl Fn(C) -> String) {
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
