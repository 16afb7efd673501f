//! What to change: sentences that follow from what was observed, and from nothing else.

#![forbid(unsafe_code)]

mod shells;
mod signals;
mod slow;

use std::time::Duration;

use super::record::{ProcessEnd, ProcessRecord, Record};

/// A process that ends within this time of main counts as ending with it: ends are not seen at once.
const WITH_MAIN: Duration = Duration::from_millis(50);
/// Anything shorter is not slow.
const SLOW: Duration = Duration::from_secs(1);
/// How many processes a sentence names.
const NAMED: usize = 5;

/// The sentences, the most useful ones first.
#[must_use]
pub fn advice(record: &Record) -> Vec<String> {
    let mut advice = Vec::from_iter(signals::unheeded(record));
    advice.extend(signals::ignoring(record));
    advice.extend(shells::died_first(record));
    advice.extend(shells::waits_in_front(record));
    advice.extend(shells::goes_on(record));
    advice.extend(signals::unhandled(record));
    advice.extend(signals::past_main(record));
    advice.extend(slow::cut_off(record));
    advice.extend(slow::steps(record));
    advice.extend(slow::slowest(record));
    advice
}

/// The processes that ran on without main.
fn outlived(record: &Record, main_ended: Duration) -> impl Iterator<Item = &ProcessRecord> {
    record.processes.iter().filter(move |process| {
        let is_later = record.end_of(process).is_some_and(|end| {
            end.what != ProcessEnd::LeftBehind && main_ended.saturating_add(WITH_MAIN) < end.at
        });
        !process.is_main && is_later
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Ended;
    use crate::report::fixtures::*;
    use crate::report::record::*;

    #[test]
    fn a_quick_stop_needs_no_advice() {
        let mut record = well();
        record.ended_at = Some(ms(5_900));
        record.main_ended = Some(timed(5_900, Ended::Exited(0)));
        record.processes.iter_mut().for_each(|process| process.ended = Some(timed(5_900, ProcessEnd::Gone)));
        assert_eq!(advice(&record), [""; 0]);
        assert_eq!(advice(&left_alone()), [""; 0]);
        assert_eq!(advice(&Record::default()), [""; 0]);
    }

    #[test]
    fn a_shell_in_front_of_the_server_is_seen() {
        assert_eq!(
            advice(&shell_in_front()),
            [
                "sh (7), a shell, died of TERM while server (12) went on: exec the server in the entrypoint",
                "server (12) was sent TERM only because drainit waited: tini would have cut it off at once",
                "server (12) catches TERM and took 2.1s to end: most of the stop",
            ]
        );
        let mut script = shell_in_front();
        script.command = "/docker-entrypoint.sh".to_owned();
        script.processes.iter_mut().filter(|process| process.is_main).for_each(|main| {
            main.name = name(b"docker-entrypoi");
        });
        assert!(advice(&script).iter().any(|line| line.contains("docker-entrypoi (7), a shell, died")));
        script.processes.iter_mut().filter(|process| process.is_main).for_each(|main| {
            main.name = name(b"server");
        });
        assert!(
            !advice(&script).iter().any(|line| line.contains("a shell")),
            "the script has become the server"
        );
        script.command = "sh".to_owned();
        assert!(!advice(&script).iter().any(|line| line.contains("a shell")), "as after sh -c 'exec server'");
    }
}
