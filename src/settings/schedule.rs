//! `--stop-schedule`: which signals, to which processes, at what intervals.

use super::values;
use crate::plan::schedule::ScheduledStage;
use crate::plan::{Patience, Schedule, Target};
use crate::signal::Signal;

/// `SIG[@TARGET]/DURATION/...`, ended by `KILL`, by `forever`, or by neither, which is KILL.
pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    let mut stages = Vec::new();
    let mut parts = text.split('/').map(str::trim);
    while let Some(part) = parts.next() {
        let (signal, target) = match part.split_once('@') {
            Some((signal, target)) => (signal, Some(values::target(target).map_err(named(target))?)),
            None => (part, None),
        };
        let signal = values::signal(signal).map_err(named(signal))?;
        if signal == Signal::KILL {
            return end(stages, target, parts.next());
        }
        if signal == Signal::STOP {
            return Err("a process that is stopped cannot end: no STOP in a schedule".to_owned());
        }
        let patience = match parts.next() {
            Some(word) => match values::duration_or(word, "forever") {
                Ok(patience) => patience.map_or(Patience::Forever, Patience::For),
                Err(why) => return Err(named(word)(why)),
            },
            None => {
                return Err(format!("'{part}' has no duration, or forever, behind it, as in TERM/10s/KILL"));
            }
        };
        stages.push(ScheduledStage { signal, target, patience });
        if patience == Patience::Forever {
            return match parts.next() {
                None => Ok(Schedule::new(stages)),
                Some(late) => Err(format!("'{late}' comes after forever")),
            };
        }
    }
    Ok(Schedule::new(stages))
}

/// Names the part that is wrong.
fn named(part: &str) -> impl Fn(String) -> String {
    move |why| format!("'{part}': {why}")
}

fn end(stages: Vec<ScheduledStage>, target: Option<Target>, after: Option<&str>) -> Result<Schedule, String> {
    if target.is_some_and(|target| target != Target::All) {
        return Err("KILL ends a stop and is for all".to_owned());
    }
    if let Some(late) = after {
        return Err(format!("'{late}' comes after KILL"));
    }
    if stages.is_empty() {
        return Err("nothing is sent before KILL: that is --grace-period 0".to_owned());
    }
    Ok(Schedule::new(stages))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stage(signal: Signal, target: Option<Target>, seconds: u64) -> ScheduledStage {
        ScheduledStage { signal, target, patience: Patience::For(Duration::from_secs(seconds)) }
    }

    #[test]
    fn signals_and_durations_take_turns() {
        let plain = [stage(Signal::TERM, None, 10), stage(Signal::QUIT, None, 5)];
        for text in
            ["TERM/10s/QUIT/5s/KILL", "15/10/3/5/9", "term / 10s / sigquit / 5s", "TERM/10/QUIT/5/KILL@all"]
        {
            assert_eq!(schedule(text), Ok(Schedule::new(plain.to_vec())), "{text}");
        }
        let targets =
            [stage(Signal::TERM, Some(Target::Main), 5), stage(Signal::TERM, Some(Target::Group), 10)];
        assert_eq!(schedule("TERM@main/5s/TERM@group/10s/KILL@all"), Ok(Schedule::new(targets.to_vec())));
        let for_ever = ScheduledStage { signal: Signal::INT, target: None, patience: Patience::Forever };
        assert_eq!(schedule("INT/forever"), Ok(Schedule::new(vec![for_ever])));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "/",
            "TERM",
            "TERM/",
            "TERM/5x",
            "FOO/5s",
            "5s/TERM",
            "TERM/KILL",
            "TERM/5s/KILL/5s",
            "TERM/5s/KILL@main",
            "TERM@none/5s",
            "KILL",
            "STOP/5s",
            "TERM/forever/KILL",
            "TERM/5s/",
        ] {
            assert!(schedule(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_part_that_is_wrong_is_named_with_its_nearest_word() {
        for (text, start, end) in [
            ("TERM/5s/KIL", "'KIL': ", "; did you mean KILL?"),
            ("TRM@main/5s", "'TRM': ", "; did you mean TERM?"),
            ("TERM@mian/5s", "'mian': ", "; did you mean main?"),
            ("TERM/forevr", "'forevr': ", "; did you mean forever?"),
            ("TERM/5x/KILL", "'5x': not a duration such as ", "nor forever"),
        ] {
            let error = schedule(text).expect_err(text);
            assert!(error.starts_with(start) && error.ends_with(end), "{error}");
        }
    }
}
