//! Times as columns.

use std::time::Duration;

use crate::report::format::{duration, milliseconds};

/// The shortest time that a scale shows, so that a stop of no length still has one.
const LEAST_SPAN: Duration = Duration::from_millis(10);
/// Marks are at least this many columns apart.
const APART: u64 = 10;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// The time between two marks, in milliseconds; beyond the last one it doubles.
const STEPS: [u64; 26] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
];

/// A span of time, spread over a number of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    origin: Duration,
    span: Duration,
    cells: usize,
}

impl Scale {
    pub(super) fn new(origin: Duration, end: Duration, cells: usize) -> Self {
        Self { origin, span: end.saturating_sub(origin).max(LEAST_SPAN), cells: cells.max(1) }
    }

    pub(super) fn cells(&self) -> usize {
        self.cells
    }

    /// The column of this time; a time outside the scale is moved to the nearer end.
    pub(super) fn column(&self, at: Duration) -> usize {
        let past = at.saturating_sub(self.origin).min(self.span).as_nanos();
        let last = self.cells - 1;
        let column = past * last as u128 / self.span.as_nanos().max(1);
        usize::try_from(column).unwrap_or(last).min(last)
    }

    /// The line of times and the line of marks below it.
    pub(super) fn lines(&self) -> (String, String) {
        let span = milliseconds(self.span);
        let step = self.step(span);
        let mut words = String::new();
        let mut marks = vec!['-'; self.cells];
        for at in (0..=self.cells as u64).map(|count| step.saturating_mul(count)).take_while(|&at| at <= span)
        {
            let past = Duration::from_millis(at);
            let column = self.column(self.origin.saturating_add(past));
            marks.get_mut(column).into_iter().for_each(|mark| *mark = '+');
            let word = if at == 0 { "0".to_owned() } else { duration(past).replace(".0s", "s") };
            let is_free = words.is_empty() || words.len() < column;
            if is_free && column + word.len() <= self.cells {
                words.push_str(&" ".repeat(column - words.len()));
                words.push_str(&word);
            }
        }
        (words, marks.into_iter().collect())
    }

    fn step(&self, span: u64) -> u64 {
        let columns = (self.cells as u64 - 1).max(1);
        let least = span.saturating_mul(APART).div_ceil(columns);
        let mut longest = 24 * HOUR;
        while longest < least {
            longest = longest.saturating_mul(2);
        }
        STEPS.into_iter().find(|&step| step >= least).unwrap_or(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_scale_has_round_marks_that_keep_apart() {
        for (span, cells, words, marks) in [
            (0, 21, "0         5ms", "+---------+---------+"),
            (450, 31, "0            200ms        400ms", "+------------+------------+----"),
            (2_300, 40, "0               1s               2s", "+---------------+----------------+------"),
            (
                2_300,
                50,
                "0         500ms      1s        1.5s       2s",
                "+---------+----------+---------+----------+-------",
            ),
            (90_000, 40, "0            30s          1m", "+------------+------------+------------+"),
            (3_600_000, 30, "0             30m", "+-------------+--------------+"),
        ] {
            let lines = Scale::new(ms(7), ms(7 + span), cells).lines();
            assert_eq!(lines, (words.to_owned(), marks.to_owned()), "{span} in {cells}: {lines:?}");
        }
    }

    #[test]
    fn a_column_is_always_on_the_scale() {
        let scale = Scale::new(ms(1_000), ms(2_000), 11);
        assert_eq!(
            [0, 1_000, 1_499, 1_500, 2_000, 9_000].map(|at| scale.column(ms(at))),
            [0, 0, 4, 5, 10, 10]
        );
        let endless = Scale::new(Duration::ZERO, Duration::MAX, 160);
        assert_eq!((endless.column(Duration::MAX), endless.column(Duration::MAX / 2)), (159, 79));
        assert_eq!(Scale::new(ms(5), ms(5), 0).column(ms(9)), 0);
        assert_eq!(Scale::new(ms(5), ms(5), 0).lines(), ("0".to_owned(), "+".to_owned()));
    }
}
