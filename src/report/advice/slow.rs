//! Advice about what took long, and what another init would have cut off.

use std::time::Duration;

use super::{NAMED, SLOW, outlived};
use crate::outcome::Ended;
use crate::plan::processes::Disposition;
use crate::plan::{StopReason, When};
use crate::report::record::{ProcessEnd, ProcessRecord, Record, StepOutcome};
use crate::report::{format, repeats};

/// A process that does not handle the signal, and ended by itself this soon after main, had nothing left to do.
const A_MOMENT: Duration = Duration::from_millis(500);
/// Anything shorter counts as "at once".
const AT_ONCE: Duration = Duration::from_millis(10);

/// When an init exits with main, the kernel kills every other process of its pid namespace.
pub(super) fn cut_off(record: &Record) -> Vec<String> {
    let was_requested = record.stop.is_some_and(|stop| stop.reason != StopReason::OwnExit);
    let Some(main) = record.main_ended.filter(|_| was_requested) else { return Vec::new() };
    let after = main.at.saturating_sub(record.signalled_or_stopped_at());
    let after =
        if after < AT_ONCE { "at once".to_owned() } else { format!("after {}", format::duration(after)) };
    let lost = outlived(record, main.at).filter(|one| !record.was_killed(one));
    let lost = lost.filter(|one| loses(record, one, main.at));
    let (late, early): (Vec<&ProcessRecord>, Vec<&ProcessRecord>) =
        lost.partition(|process| process.signalled.is_some_and(|sent| main.at <= sent.at));
    let cut_off = |processes: &[&ProcessRecord]| {
        let them = if processes.len() == 1 { "it" } else { "them" };
        format!("tini would have cut {them} off {after}")
    };
    let mut lines = Vec::new();
    if let Some(sent) = late.iter().find_map(|process| process.signalled) {
        let (names, cut_off) = (repeats::list(&late, NAMED), cut_off(&late));
        let was = if late.len() == 1 { "was" } else { "were" };
        lines.push(format!("{names} {was} sent {} only because drainit waited: {cut_off}", sent.what));
    }
    if !early.is_empty() {
        let (names, cut_off) = (repeats::list(&early, NAMED), cut_off(&early));
        let last = early.iter().filter_map(|process| record.end_of(process)).map(|end| end.at).max();
        let more = format::duration(last.unwrap_or(main.at).saturating_sub(main.at));
        lines.push(format!("{names} needed {more} more than {}: {cut_off}", format::main(record)));
    }
    lines
}

/// Whether a process that outlived main would have lost work if it had ended together with main.
fn loses(record: &Record, process: &ProcessRecord, main_ended: Duration) -> bool {
    let Some(end) = record.end_of(process) else { return false };
    if process.disposition == Some(Disposition::Caught) || process.disposition == Some(Disposition::Blocked) {
        return true;
    }
    // For a process without a handler, KILL and the signal do the same.
    let died_of_it = process.signalled.is_some_and(|sent| {
        let by_it = end.what == ProcessEnd::Reaped(Ended::Killed(sent.what));
        let without_a_handler = process.disposition == Some(Disposition::Default);
        by_it || (without_a_handler && end.at <= sent.at.saturating_add(A_MOMENT))
    });
    !died_of_it && main_ended.saturating_add(A_MOMENT) < end.at
}

/// Steps that used up the drain's time, or took at least half of the stop.
pub(super) fn steps(record: &Record) -> Vec<String> {
    let whole = record.stop_took().unwrap_or_default();
    let mut sentences = Vec::new();
    for step in record.steps_of(When::PreStop) {
        let Some(took) = step.took() else { continue };
        let (name, shown) = (format::name(&step.name), format::duration(took));
        if step.only_kept_alive {
            sentences.push(format!(
                "the pre-stop step '{name}' used up the drain's time, {shown}, and nothing was sent on the connections that were \
                 left: if they are kept alive, have the server close them when it drains"
            ));
        } else if step.ended.is_some_and(|end| end.what == StepOutcome::TimedOut) {
            sentences.push(format!(
                "the pre-stop step '{name}' used up the drain's time and was ended after {shown}: make it faster, or \
                 raise --pre-stop-timeout and --grace-period"
            ));
        } else if took >= SLOW && took.saturating_mul(2) >= whole && took <= whole {
            let whole = format::duration(whole);
            sentences.push(format!("the pre-stop step '{name}' took {shown} of the stop's {whole}"));
        }
    }
    sentences
}

/// A process that did not ignore the signal, and took at least four fifths of the stop: it is the one to speed up.
pub(super) fn slowest(record: &Record) -> Option<String> {
    let whole = record.stop_took()?;
    let end = |process: &&ProcessRecord| record.end_of(process).map(|end| end.at);
    let slowest = record.processes.iter().max_by_key(end)?;
    let sent = slowest.signalled?;
    slowest.disposition.filter(|one| matches!(one, Disposition::Caught | Disposition::Blocked))?;
    let end = record.end_of(slowest).filter(|end| end.what != ProcessEnd::LeftBehind)?;
    let took = end.at.saturating_sub(sent.at);
    let is_slow = took >= SLOW && took.saturating_mul(5) >= whole.saturating_mul(4);
    (is_slow && !record.was_killed(slowest)).then(|| {
        let reacts = format::reaction(slowest.disposition, sent.what);
        let name = format::process(slowest.name, slowest.pid);
        format!("{name} {reacts} and took {} to end: most of the stop", format::duration(took))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::*;
    use crate::report::record::*;
    use crate::signal::Signal;

    /// A stop in which main exits at once, and this process later.
    fn after_main(other: ProcessRecord) -> Record {
        let mut record = shell_in_front();
        record.command = "python3".to_owned();
        record.main_ended = Some(timed(5_203, Ended::Exited(0)));
        record.processes = vec![ProcessRecord { is_main: true, ..one(7, "python3", 5_203) }, other];
        record
    }

    #[test]
    fn a_process_that_outlives_main_would_have_been_cut_off() {
        let mut record = shell_in_front();
        record.command = "nginx".to_owned();
        record.processes = (0..8).map(|at| one(20 + at, "nginx", 5_600)).collect();
        record.processes.insert(0, ProcessRecord { is_main: true, ..one(7, "nginx", 5_303) });
        record.main_ended = Some(timed(5_303, Ended::Exited(0)));
        assert_eq!(
            cut_off(&record),
            ["nginx (20), nginx (21), nginx (22), nginx (23), nginx (24) and 3 more needed 297ms more than \
             nginx (7): tini would have cut them off after 103ms"]
        );
        record.main_ended = Some(timed(5_203, Ended::Exited(0)));
        assert!(cut_off(&record).iter().all(|line| line.ends_with("tini would have cut them off at once")));
        record.processes.iter_mut().for_each(|process| process.ended = Some(timed(5_230, ProcessEnd::Gone)));
        assert_eq!(cut_off(&record), [""; 0], "they left with main, as far as can be told");
    }

    #[test]
    fn a_process_that_lost_nothing_is_no_reason_for_alarm() {
        let tracker = ProcessRecord { disposition: Some(Disposition::Ignored), ..one(12, "python3", 5_400) };
        assert_eq!(cut_off(&after_main(tracker)), [""; 0], "it had nothing to do");
        let busy =
            ProcessRecord { ended: Some(timed(8_000, ProcessEnd::Reaped(Ended::Exited(0)))), ..tracker };
        assert_eq!(cut_off(&after_main(busy)).len(), 1);
        let died = ProcessRecord {
            disposition: Some(Disposition::Default),
            signalled: Some(timed(8_000, Signal::TERM)),
            ended: Some(timed(8_010, ProcessEnd::Reaped(Ended::Killed(Signal::TERM)))),
            ..tracker
        };
        assert_eq!(cut_off(&after_main(died)), [""; 0], "it died of the signal, as it would have of KILL");
        let gone = ProcessRecord { ended: Some(timed(8_010, ProcessEnd::Gone)), ..died };
        assert_eq!(cut_off(&after_main(gone)), [""; 0]);
    }

    #[test]
    fn slow_steps_and_the_slowest_process_are_named() {
        let mut record = well();
        record.steps = vec![step(When::PreStop, "idle 80", 5_000, 7_000, StepOutcome::Succeeded)];
        record.ended_at = Some(ms(9_000));
        assert_eq!(steps(&record), ["the pre-stop step 'idle 80' took 2.0s of the stop's 4.0s"]);
        record.processes = vec![one(12, "a", 8_000), one(13, "b", 9_000)];
        record.main_ended = None;
        assert_eq!(
            slowest(&record).as_deref(),
            Some("b (13) catches TERM and took 3.8s to end: most of the stop")
        );
    }

    #[test]
    fn a_step_that_used_up_the_drain_is_told() {
        let mut record = well();
        record.steps = vec![
            step(When::PreStop, "idle 80", 5_000, 10_000, StepOutcome::TimedOut),
            step(When::PreStop, "sleep", 10_000, 10_000, StepOutcome::NotStarted),
        ];
        assert_eq!(
            steps(&record),
            [
                "the pre-stop step 'idle 80' used up the drain's time and was ended after 5.0s: make it faster, or \
             raise --pre-stop-timeout and --grace-period"
            ]
        );
        record.steps.iter_mut().for_each(|step| step.only_kept_alive = true);
        record.steps.truncate(1);
        assert_eq!(
            steps(&record),
            [
                "the pre-stop step 'idle 80' used up the drain's time, 5.0s, and nothing was sent on the connections that \
                 were left: if they are kept alive, have the server close them when it drains"
            ]
        );
    }
}
