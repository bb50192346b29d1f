//! How a budget is divided: numbers in, numbers out. It moves nothing itself, and knows neither
//! tiers nor how what it is told was measured.
//!
//! Each part keeps at least a floor. What is beyond it goes, a step at a time, from the part
//! that a byte of room spares the least loading to the one that it spares the most. That is the
//! condition of an optimum where every part's curve flattens as the part grows: at the best
//! division the slopes are equal. (After Cidon, Eisenman, Alizadeh, Katti, "Cliffhanger: Scaling
//! Performance Cliffs in Web Memory Caches", NSDI 2016, which climbs the same hill by the hits in
//! shadow queues.)

/// At most this part of the room that a part would have by equal division can't be taken from it.
const FLOORS_PER_PART: usize = 4;

/// How much more a byte must be worth there than here. The steps are so small that they can't
/// turn such a difference round, while worth falls no faster than room to the power 1.6 rises:
/// (9/8 ÷ 7/8)^1.6 is still less. So a load that doesn't change comes to rest.
pub(super) const MARGIN: f64 = 1.5;

/// A step takes, and gives, no more than this part of a part.
const STEPS_PER_PART: usize = 8;

/// The largest step: evicting so much takes some milliseconds.
pub(super) const STEP_MAX: usize = 16 << 20;

/// From so many counted returns on they are believed. The share of chance in them is their root.
pub(super) const RETURNS_MIN: f64 = 32.0;

/// What is known of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    /// The bytes that it may hold.
    pub(super) bound: usize,
    /// The bytes that it holds.
    pub(super) bytes: usize,
    /// The time that loads took which more room would have spared, in microseconds.
    pub(super) wanting: f64,
    /// How many loads of those were seen.
    pub(super) returns: f64,
}

impl Standing {
    /// What a byte more is worth to it: that time per byte, as if the room that it has had been
    /// doubled for it.
    fn worth(&self) -> f64 {
        if self.is_short() { self.wanting / self.bound.max(1) as f64 } else { 0.0 }
    }

    /// Whether it is bytes that it lacks, and not entries or requests.
    fn is_short(&self) -> bool {
        self.bytes >= self.bound - self.bound / 4
    }
}

/// Room that is to go from one part to another, by their places in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) bytes: usize,
}

/// The least room that one of so many parts keeps: a quarter of an equal share. As parts come and
/// go, rounding may leave one some bytes below it.
pub(super) fn floor(budget: usize, parts: usize) -> usize {
    budget / FLOORS_PER_PART / parts.max(1)
}

/// The bounds that leave room for one part more: each gives as much of what it has, and the
/// newcomer has the rest, about an equal share.
pub(super) fn with_one_more(budget: usize, bounds: &[usize]) -> Vec<usize> {
    let parts = bounds.len();
    let floor = floor(budget, parts + 1);
    let scaled = |bound: usize| {
        let scaled = bound as u128 * parts as u128 / (parts as u128 + 1);
        // It is less than it was, and no less than the floor but for rounding.
        usize::try_from(scaled).unwrap_or(bound).max(floor).min(bound)
    };
    bounds.iter().map(|&bound| scaled(bound)).collect()
}

/// The bounds after `freed` bytes of a part that left went to the others, in equal parts: then
/// each has the higher floor that fewer parts mean.
pub(super) fn with_one_less(bounds: &[usize], freed: usize) -> Vec<usize> {
    let parts = bounds.len();
    let share = |index| freed / parts + usize::from(index < freed % parts);
    bounds.iter().enumerate().map(|(index, bound)| bound + share(index)).collect()
}

/// The next step, if one is worth it.
pub(super) fn step(budget: usize, parts: &[Standing]) -> Option<Step> {
    let floor = floor(budget, parts.len());
    let by_worth = |a: &usize, b: &usize| parts[*a].worth().total_cmp(&parts[*b].worth());
    let unused = |part: &usize| parts[*part].bound.saturating_sub(parts[*part].bytes);
    let all = 0..parts.len();
    let to = all.clone().filter(|&part| parts[part].returns >= RETURNS_MIN).max_by(by_worth)?;
    // Of those to which it is worth the same, who has most of it unused gives.
    let from = all
        .filter(|&part| part != to && parts[part].bound > floor)
        .min_by(|a, b| by_worth(a, b).then_with(|| unused(b).cmp(&unused(a))))?;
    let (giver, taker) = (&parts[from], &parts[to]);
    if taker.worth() <= giver.worth() * MARGIN {
        return None;
    }
    let bytes = (giver.bound / STEPS_PER_PART)
        .min(taker.bound.max(floor) / STEPS_PER_PART)
        .min(giver.bound - floor)
        .min(STEP_MAX);
    (bytes > 0).then_some(Step { from, to, bytes })
}

#[cfg(test)]
mod tests;
