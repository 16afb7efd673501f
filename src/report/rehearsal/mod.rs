//! A rehearsal for a person: the stop drawn, a verdict, and advice.

#![forbid(unsafe_code)]

mod page;
#[cfg(test)]
mod properties;
mod row;
mod scale;
mod timeline;
mod verdict;

use super::advice::advice;
use super::record::Record;
use crate::outcome::REHEARSAL_FAILED;
pub use timeline::Canvas;

/// The time line, the verdict and the advice; every line ends in a newline.
#[must_use]
pub fn text(record: &Record, canvas: Canvas) -> String {
    timeline::draw(record, canvas) + &judgement(record)
}

/// What a rehearsal exits with.
#[must_use]
pub fn exit_code(record: &Record) -> u8 {
    if verdict::reasons(record).is_empty() { 0 } else { REHEARSAL_FAILED }
}

/// The verdict and the advice, a line each.
fn judgement(record: &Record) -> String {
    let failed = verdict::reasons(record);
    let passed = if failed.is_empty() { vec![verdict::summary(record)] } else { Vec::new() };
    let mut text = String::new();
    for (label, sentences) in [("passed", passed), ("failed", failed), ("advice", advice(record))] {
        for sentence in sentences {
            text.extend([label, ": ", &sentence, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ignoring_shell, left_alone, well};
    use super::*;

    #[test]
    fn verdict_and_advice_follow_the_drawing() {
        let canvas = Canvas { width: 80, colour: false };
        let told = text(&ignoring_shell(), canvas);
        let (drawn, judged) = told.split_once("failed: ").expect("a verdict");
        assert_eq!(drawn, timeline::draw(&ignoring_shell(), canvas));
        let expected = r"entrypoint.sh (7) ignores TERM and was killed after 2.3s
failed: \x1b[2J\n (9) was left behind: KILL did not end it (uninterruptible)
failed: the pre-stop step 'command notify.sh' exited with 1 after 200ms
advice: entrypoint.sh (7) ignores TERM: exec the server in the entrypoint, or send a signal that it handles with --rewrite TERM:...
";
        assert_eq!(judged, expected);
        assert_eq!(
            judgement(&left_alone()),
            "failed: true exited with 0 by itself after 3ms, before the stop\n"
        );
    }

    #[test]
    fn only_a_rehearsal_that_passed_exits_with_0() {
        assert_eq!([well(), ignoring_shell(), left_alone()].map(|record| exit_code(&record)), [0, 124, 124]);
    }
}
