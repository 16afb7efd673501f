//! Times as columns and as words. Pure.

use std::time::Duration;

use super::words::milliseconds;

/// A scale shows at least so much, so that a stop of no time at all has one.
const LEAST_SPAN: Duration = Duration::from_millis(10);
/// So many columns apart are the marks at least.
const APART: u64 = 10;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// What may lie between two marks, in milliseconds; beyond, it doubles.
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

/// The time from here to there, laid over a number of columns.
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

    /// Where this time is; what lies outside of the scale is at its ends.
    pub(super) fn column(&self, at: Duration) -> usize {
        let past = at.saturating_sub(self.origin).min(self.span).as_nanos();
        let last = self.cells - 1;
        let column = past * last as u128 / self.span.as_nanos().max(1);
        usize::try_from(column).unwrap_or(last).min(last)
    }

    /// The line of words and the line of marks.
    pub(super) fn lines(&self) -> (String, String) {
        let span = milliseconds(self.span);
        let step = self.step(span);
        let mut words = String::new();
        let mut marks = "-".repeat(self.cells);
        for at in (0..=self.cells as u64).map(|count| step.saturating_mul(count)).take_while(|&at| at <= span)
        {
            let past = Duration::from_millis(at);
            let column = self.column(self.origin.saturating_add(past));
            marks.replace_range(column..=column, "+");
            let word = tick(at, span);
            let is_free = words.is_empty() || words.len() < column;
            if is_free && column + word.len() <= self.cells {
                words.push_str(&" ".repeat(column - words.len()));
                words.push_str(&word);
            }
        }
        (words, marks)
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

fn tick(at: u64, span: u64) -> String {
    match at {
        0 => "0".to_owned(),
        _ if span < SECOND => format!("{at} ms"),
        _ if at >= MINUTE => compound(at),
        _ if at.is_multiple_of(SECOND) => format!("{} s", at / SECOND),
        _ => format!("{}.{} s", at / SECOND, at % SECOND / 100),
    }
}

/// `3 ms`, `1.2 s`, `1m30s`, `2h5m`: never more than has gone by.
pub(super) fn words(time: Duration) -> String {
    let millis = milliseconds(time);
    match millis {
        0..SECOND => format!("{millis} ms"),
        SECOND..MINUTE => format!("{}.{} s", millis / SECOND, millis % SECOND / 100),
        MINUTE..HOUR => compound(millis),
        _ => compound(millis - millis % MINUTE),
    }
}

/// Hours, minutes and seconds, without those that are 0.
fn compound(millis: u64) -> String {
    let parts = [(millis / HOUR, 'h'), (millis % HOUR / MINUTE, 'm'), (millis % MINUTE / SECOND, 's')];
    let mut words = String::new();
    for (number, unit) in parts {
        if number > 0 {
            words += &format!("{number}{unit}");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn times_are_words() {
        for (time, shown) in [
            (Duration::ZERO, "0 ms"),
            (Duration::from_micros(999_999), "999 ms"),
            (ms(1_000), "1.0 s"),
            (ms(1_299), "1.2 s"),
            (ms(59_999), "59.9 s"),
            (ms(60_000), "1m"),
            (ms(90_500), "1m30s"),
            (ms(3_600_000), "1h"),
            (ms(7_505_000), "2h5m"),
        ] {
            assert_eq!(words(time), shown);
        }
        assert_eq!(words(Duration::MAX), "5124095576030h25m");
    }

    #[test]
    fn a_scale_has_round_marks_that_keep_apart() {
        for (span, cells, words, marks) in [
            (0, 21, "0         5 ms", "+---------+---------+"),
            (450, 31, "0            200 ms", "+------------+------------+----"),
            (2_300, 40, "0               1 s              2 s", "+---------------+----------------+------"),
            (
                2_300,
                50,
                "0         0.5 s      1 s       1.5 s      2 s",
                "+---------+----------+---------+----------+-------",
            ),
            (90_000, 40, "0            30 s         1m", "+------------+------------+------------+"),
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
