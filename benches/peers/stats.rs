//! Rounds in turns, and what is left of many numbers: the quartiles.

use crate::trouble::Trouble;

/// How many rounds.
#[derive(Clone, Copy)]
pub(crate) enum Effort {
    Full,
    Quick,
}

impl Effort {
    /// As many rounds as the row needs, or a tenth.
    pub(crate) fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(10),
        }
    }
}

/// Runs `once(lane)` for every lane in every round, one after the other.
pub(crate) fn in_turns(
    rounds: usize,
    lanes: usize,
    mut once: impl FnMut(usize) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    for round in 0..rounds {
        for step in 0..lanes {
            once(lane_at(round, step, lanes))?;
        }
    }
    Ok(())
}

/// There and back, so that none has always the same one before it, and each time from another one on, so that none is always the
/// first. None comes twice in a row, which would leave it a warm cache: not with three lanes or more.
fn lane_at(round: usize, step: usize, lanes: usize) -> usize {
    let first = round / 2 % lanes;
    if round.is_multiple_of(2) { (first + step) % lanes } else { (first + lanes / 2 + lanes - step) % lanes }
}

/// The numbers of one lane.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn lanes(count: usize) -> Vec<Self> {
        vec![Self::default(); count]
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The quartiles; none without samples.
    pub(crate) fn summary(mut self) -> Option<Summary> {
        self.0.sort_by(f64::total_cmp);
        Some(Summary { low: self.quantile(1)?, median: self.quantile(2)?, high: self.quantile(3)? })
    }

    fn quantile(&self, quarters: usize) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        let (index, rest) = (last * quarters / 4, last * quarters % 4);
        let (below, above) = (self.0[index], self.0[(index + 1).min(last)]);
        Some((above - below).mul_add(rest as f64 / 4.0, below))
    }
}

/// First quartile, median and third quartile.
#[derive(Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}
