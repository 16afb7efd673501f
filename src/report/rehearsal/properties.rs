//! What must hold whatever is in a record.

use proptest::prelude::*;

use super::timeline::{Canvas, draw};
use super::{exit_code, judgement};
use crate::plan::StopReason;
use crate::report::generator::records;

/// The text without its colours, which end with each line.
pub(super) fn plain(drawn: &str) -> String {
    let mut parts = drawn.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, text) = part.split_once('m').expect("a colour");
        let digits = code.strip_prefix('[').expect("a bracket");
        assert!(digits.chars().all(|digit| digit.is_ascii_digit() || digit == ';'), "{code:?}");
        plain.push_str(text);
    }
    plain
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(|character| matches!(character, ' '..='~' | '\n'))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_drawing_keeps_to_its_canvas_and_harms_no_terminal(
        record in records(), width in prop_oneof![4 => 40..200_usize, 1 => 0..40_usize], colour: bool,
    ) {
        let drawn = draw(&record, Canvas { width, colour });
        let plainly = plain(&drawn);
        let widest = width.min(160);
        prop_assert!(plainly.lines().all(|line| line.len() <= widest), "{plainly}");
        prop_assert!(is_harmless(&plainly), "{plainly:?}");
        prop_assert!(plainly.ends_with('\n'));
        prop_assert!(plainly.lines().count() <= 4 + 2 + 3 + 4 + 40 + 1 + 64, "{plainly}");
        prop_assert!(colour || plainly == drawn);
        for line in drawn.lines().filter(|line| line.contains('\x1b')) {
            let last = line.rsplit('\x1b').next().unwrap_or_default();
            prop_assert!(last.starts_with("[0m"), "{line:?}");
        }
    }

    #[test]
    fn colours_change_nothing_but_the_colours(record in records(), width in 0..80_usize) {
        let [with, without] = [true, false].map(|colour| draw(&record, Canvas { width, colour }));
        prop_assert_eq!(plain(&with), without);
    }

    #[test]
    fn a_verdict_is_harmless_and_passes_only_what_went_well(record in records()) {
        let text = judgement(&record);
        prop_assert!(is_harmless(&text) && text.ends_with('\n'), "{text:?}");
        let starts = ["passed: ", "failed: ", "advice: "];
        prop_assert!(text.lines().all(|line| starts.iter().any(|start| line.starts_with(start))), "{text}");
        let passed = text.starts_with("passed: ");
        prop_assert_eq!(passed, !text.contains("failed: "));
        prop_assert_eq!(exit_code(&record), if passed { 0 } else { 124 });
        let was_asked_for = record.stop.is_some_and(|stop| stop.reason != StopReason::OwnExit);
        prop_assert!(!passed || (was_asked_for && record.went_well()), "{text}");
    }
}
