//! Whether two templates could match one key, decided exactly.
//!
//! A template is a deterministic automaton over characters: its literals are chains, its
//! parameters small machines (a number counts its digits and compares them with the limit of 64
//! bits, so that even an overflow is told apart). The two run side by side, and the first pair
//! of accepting states that Dijkstra's search reaches, with the bytes of the key as the length
//! of the way, spells the shortest key that both match.
//!
//! The alphabet is finite although the characters are many: every character that neither
//! template names is treated alike by both, so one of them stands for all.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::canonical::{UUID_CHARS, UUID_HYPHENS, bool_word};
use super::{KeyTemplate, ParameterKind, Segment};
use crate::key::KEY_BYTES_MAX;

/// The shortest key that both templates match.
pub(super) fn shortest_common_key(left: &KeyTemplate, right: &KeyTemplate) -> Option<String> {
    let alphabet = alphabet(left, right);
    let (left, right) = (Automaton::new(left), Automaton::new(right));
    let start = (left.start(0)?, right.start(0)?);
    let mut ways: Ways = HashMap::from([(start, (0, None))]);
    let mut open = BinaryHeap::from([Reverse((0, 0, start))]);
    // Among keys of one length the one found first wins, so that examples stay readable.
    let mut found = 0_usize;
    while let Some(Reverse((bytes, _, pair))) = open.pop() {
        if left.accepts(pair.0) && right.accepts(pair.1) {
            return Some(spell(&ways, pair));
        }
        for &character in &alphabet {
            let steps = (left.step(pair.0, character), right.step(pair.1, character));
            let (Some(next_left), Some(next_right)) = steps else {
                continue;
            };
            let next = (next_left, next_right);
            let bytes = bytes + character.len_utf8();
            let shorter = ways.get(&next).is_none_or(|&(known, _)| bytes < known);
            if bytes <= KEY_BYTES_MAX && shorter {
                ways.insert(next, (bytes, Some((pair, character))));
                found += 1;
                open.push(Reverse((bytes, found, next)));
            }
        }
    }
    None
}

/// Whether a key of `template` can begin with `beginning`.
pub(super) fn can_begin_with(template: &KeyTemplate, beginning: &str) -> bool {
    let automaton = Automaton::new(template);
    let read = beginning
        .chars()
        .try_fold(automaton.start(0), |state, character| Some(automaton.step(state?, character)))
        .flatten();
    beginning.len() <= KEY_BYTES_MAX && read.is_some_and(|state| automaton.can_go_on(state))
}

type Pair = (State, State);

/// For each pair that was reached: in how many bytes, and over which step.
type Ways = HashMap<Pair, (usize, Option<(Pair, char)>)>;

fn spell(ways: &Ways, mut pair: Pair) -> String {
    let mut backwards = Vec::new();
    while let Some((_, Some((previous, character)))) = ways.get(&pair) {
        backwards.push(*character);
        pair = *previous;
    }
    backwards.into_iter().rev().collect()
}

/// One character for each way in which the two templates can treat one, the pleasant first.
fn alphabet(left: &KeyTemplate, right: &KeyTemplate) -> Vec<char> {
    let mut named: BTreeSet<char> = "0123456789-abcdeftruefalse".chars().collect();
    for template in [left, right] {
        for segment in &template.segments {
            if let Segment::Literal(literal) = segment {
                named.extend(literal.chars());
            }
        }
    }
    let pleasant = ('g'..='z').chain('A'..='Z').chain('!'..=char::MAX);
    let other = pleasant.filter(|c| !c.is_control()).find(|c| !named.contains(c));
    let mut alphabet: Vec<char> = named.into_iter().chain(other).collect();
    // Narrow characters before wide ones, letters before digits, `0` after the other digits.
    alphabet
        .sort_by_key(|&c| (c.len_utf8(), !c.is_alphabetic(), !c.is_alphanumeric(), c == '0', c));
    alphabet
}

struct Automaton {
    parts: Vec<Part>,
}

enum Part {
    Literal(Vec<char>),
    Parameter { kind: ParameterKind, stop: Option<char> },
}

/// Where in which part a key has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct State {
    part: usize,
    inside: Inside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inside {
    /// Nothing of the part has been read.
    Start,
    /// So many characters of a literal, a uuid, or a text (where one counts as many).
    Read(usize),
    /// So many characters of a word.
    Word { truth: bool, read: usize },
    /// The sign of a negative number.
    Minus,
    /// `0`, which nothing can follow.
    Zero,
    /// So many digits, and how they compare with as many first digits of the limit.
    Digits { negative: bool, count: usize, against_limit: Ordering },
}

impl Automaton {
    fn new(template: &KeyTemplate) -> Self {
        let part = |(at, segment): (usize, &Segment)| match segment {
            Segment::Literal(literal) => Part::Literal(literal.chars().collect()),
            Segment::Parameter(index) => {
                let kind = template.parameters[*index].kind;
                Part::Parameter { kind, stop: template.stop(at) }
            }
        };
        Self { parts: template.segments.iter().enumerate().map(part).collect() }
    }

    fn start(&self, part: usize) -> Option<State> {
        (part < self.parts.len()).then_some(State { part, inside: Inside::Start })
    }

    fn accepts(&self, state: State) -> bool {
        state.part + 1 == self.parts.len() && self.complete(state)
    }

    /// Where `character` leads: further inside this part, or into the next one if this one can
    /// end here. A template is such that it is never both.
    fn step(&self, state: State, character: char) -> Option<State> {
        if let Some(inside) = self.further(state, character) {
            return Some(State { inside, ..state });
        }
        if !self.complete(state) {
            return None;
        }
        let next = self.start(state.part + 1)?;
        self.further(next, character).map(|inside| State { inside, ..next })
    }

    fn complete(&self, State { part, inside }: State) -> bool {
        match (&self.parts[part], inside) {
            (Part::Literal(literal), Inside::Read(read)) => read == literal.len(),
            (Part::Parameter { kind: ParameterKind::Uuid, .. }, Inside::Read(read)) => {
                read == UUID_CHARS
            }
            (Part::Parameter { .. }, Inside::Read(_)) => true,
            (_, Inside::Word { truth, read }) => read == bool_word(truth).len(),
            (_, Inside::Zero) => true,
            (Part::Literal(_), Inside::Digits { .. }) => false,
            (Part::Parameter { kind, .. }, Inside::Digits { negative, count, against_limit }) => {
                count < limit(*kind, negative).len() || against_limit != Ordering::Greater
            }
            (_, Inside::Start | Inside::Minus) => false,
        }
    }

    /// Whether any key is read through this state: a number beyond its limit is a dead end, and
    /// the only one.
    fn can_go_on(&self, state: State) -> bool {
        !matches!(state.inside, Inside::Digits { .. }) || self.complete(state)
    }

    fn further(&self, State { part, inside }: State, character: char) -> Option<Inside> {
        let read = match inside {
            Inside::Read(read) => read,
            _ => 0,
        };
        match &self.parts[part] {
            Part::Literal(literal) => {
                (literal.get(read) == Some(&character)).then_some(Inside::Read(read + 1))
            }
            Part::Parameter { kind: ParameterKind::Text, stop } => {
                (!character.is_control() && *stop != Some(character)).then_some(Inside::Read(1))
            }
            Part::Parameter { kind: ParameterKind::Uuid, .. } => {
                let hyphen = UUID_HYPHENS.contains(&read);
                let hex = character.is_ascii_digit() || ('a'..='f').contains(&character);
                let fits = if hyphen { character == '-' } else { hex };
                (read < UUID_CHARS && fits).then_some(Inside::Read(read + 1))
            }
            Part::Parameter { kind: ParameterKind::Bool, .. } => further_in_word(inside, character),
            Part::Parameter { kind, .. } => further_in_number(*kind, inside, character),
        }
    }
}

fn further_in_word(inside: Inside, character: char) -> Option<Inside> {
    let (truth, read) = match inside {
        Inside::Word { truth, read } => (truth, read),
        _ => (character == 't', 0),
    };
    let expected = bool_word(truth).chars().nth(read);
    (expected == Some(character)).then_some(Inside::Word { truth, read: read + 1 })
}

fn further_in_number(kind: ParameterKind, inside: Inside, character: char) -> Option<Inside> {
    let signed = kind == ParameterKind::Int;
    let (negative, count, against_limit) = match inside {
        Inside::Start if character == '-' && signed => return Some(Inside::Minus),
        Inside::Start if character == '0' => return Some(Inside::Zero),
        Inside::Start => (false, 0, Ordering::Equal),
        Inside::Minus if character == '0' => return None,
        Inside::Minus => (true, 0, Ordering::Equal),
        Inside::Digits { negative, count, against_limit } => (negative, count, against_limit),
        Inside::Zero | Inside::Read(_) | Inside::Word { .. } => return None,
    };
    let digit = character.is_ascii_digit().then_some(character)?;
    let beside = limit(kind, negative).chars().nth(count)?;
    let against_limit = against_limit.then(digit.cmp(&beside));
    Some(Inside::Digits { negative, count: count + 1, against_limit })
}

/// The digits of the largest and of the smallest number of this kind.
const fn limit(kind: ParameterKind, negative: bool) -> &'static str {
    match (kind, negative) {
        (ParameterKind::Version, _) => "18446744073709551615",
        (_, true) => "9223372036854775808",
        (_, false) => "9223372036854775807",
    }
}
