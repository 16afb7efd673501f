//! What to change after a rehearsal: sentences that follow from what was seen, and from nothing else.

use std::time::Duration;

use crate::outcome::Ended;
use crate::plan::When;
use crate::plan::processes::Disposition;
use crate::report::format;
use crate::report::record::{ProcessEnd, ProcessRecord, Record, StopReason};

/// A process that ends within this time of main ended with it: ends are not seen at once.
const WITH_MAIN: Duration = Duration::from_millis(50);
/// What takes less is not slow.
const SLOW: Duration = Duration::from_secs(1);
/// How many processes a sentence names.
const NAMED: usize = 5;

pub(super) fn advice(record: &Record) -> Vec<String> {
    let mut advice = Vec::from_iter(ignoring(record));
    advice.extend(shell_died_first(record));
    if record.stop.is_some_and(|stop| stop.reason != StopReason::OwnExit) {
        advice.extend(would_be_cut_off(record));
    }
    advice.extend(slow_steps(record));
    advice.extend(slowest(record));
    advice
}

/// Only processes that suffered for it: others may ignore the signal for good reasons.
fn ignoring(record: &Record) -> Option<String> {
    let suffered = |process: &&ProcessRecord| record.suffered_for_ignoring(process);
    let ignoring: Vec<&ProcessRecord> = record.processes.iter().filter(suffered).collect();
    let signal = ignoring.first()?.ignored()?.what;
    let names = format::processes(&ignoring, NAMED);
    let (ignore, handles) =
        if ignoring.len() == 1 { ("ignores", "it handles") } else { ("ignore", "they handle") };
    let cure = if ignoring.iter().any(|process| process.is_main && main_is_shell(record)) {
        "exec the server in the entrypoint"
    } else {
        "handle it"
    };
    Some(format!(
        "{names} {ignore} {signal}: {cure}, or send a signal that {handles} with --rewrite {signal}:..."
    ))
}

/// A shell that dies of the signal leaves its children without a parent, and their exit status is lost.
fn shell_died_first(record: &Record) -> Option<String> {
    let end = record.main_ended.filter(|_| main_is_shell(record))?;
    let Ended::Killed(signal) = end.what else { return None };
    let others = outlived(record, end.at);
    if others.is_empty() {
        return None;
    }
    let (main, names) = (format::main(record), format::processes(&others, NAMED));
    Some(format!(
        "{main}, a shell, died of {signal} while {names} went on: exec the server in the entrypoint"
    ))
}

/// The kernel names a script's process after the script, so the interpreter may be hidden behind either name.
fn main_is_shell(record: &Record) -> bool {
    let name = record.main().map(|main| main.name.to_string());
    let is_script = record.command.ends_with(".sh");
    is_script || format::is_shell(&record.command) || name.is_some_and(|name| format::is_shell(&name))
}

/// When an init exits with main, the kernel kills every other process of its pid namespace.
fn would_be_cut_off(record: &Record) -> Vec<String> {
    let Some(main) = record.main_ended else { return Vec::new() };
    let since = record.signalled_or_stopped_at().min(main.at);
    let after = format::duration(main.at.saturating_sub(since));
    let (late, early): (Vec<&ProcessRecord>, Vec<&ProcessRecord>) = outlived(record, main.at)
        .into_iter()
        .partition(|process| process.signalled.is_some_and(|sent| main.at <= sent.at));
    let cut_off = |processes: &[&ProcessRecord]| {
        let them = if processes.len() == 1 { "it" } else { "them" };
        format!("tini would have cut {them} off after {after}")
    };
    let mut lines = Vec::new();
    if let Some(sent) = late.iter().find_map(|process| process.signalled) {
        let (names, cut_off) = (format::processes(&late, NAMED), cut_off(&late));
        let was = if late.len() == 1 { "was" } else { "were" };
        lines.push(format!("{names} {was} sent {} only because drainit waited: {cut_off}", sent.what));
    }
    if !early.is_empty() {
        let (names, cut_off) = (format::processes(&early, NAMED), cut_off(&early));
        let last = early.iter().filter_map(|process| record.end_of(process)).map(|end| end.at).max();
        let more = format::duration(last.unwrap_or(main.at).saturating_sub(main.at));
        lines.push(format!("{names} needed {more} more than {}: {cut_off}", format::main(record)));
    }
    lines
}

/// The processes that ran on without main, and ended without being killed.
fn outlived(record: &Record, main_ended: Duration) -> Vec<&ProcessRecord> {
    let ran_on = |process: &&ProcessRecord| {
        let is_later = record.end_of(process).is_some_and(|end| {
            end.what != ProcessEnd::LeftBehind && main_ended.saturating_add(WITH_MAIN) < end.at
        });
        !process.is_main && is_later && !record.was_killed(process)
    };
    record.processes.iter().filter(ran_on).collect()
}

/// Steps that took half of the stop or more.
fn slow_steps(record: &Record) -> Vec<String> {
    let whole = record.stop_took().unwrap_or_default();
    let mut sentences = Vec::new();
    for step in record.steps_of(When::PreStop) {
        let Some(took) = step.took() else { continue };
        if took >= SLOW && took.saturating_mul(2) >= whole && took <= whole {
            let name = format::name(&step.name);
            let (took, whole) = (format::duration(took), format::duration(whole));
            sentences.push(format!("the pre-stop step '{name}' took {took} of the stop's {whole}"));
        }
    }
    sentences
}

/// A process that was not deaf to the signal, and took four fifths of the stop or more: it is the one to look at.
fn slowest(record: &Record) -> Option<String> {
    let whole = record.stop_took()?;
    let end = |process: &&ProcessRecord| record.end_of(process).map(|end| end.at);
    let slowest = record.processes.iter().max_by_key(end)?;
    let sent = slowest.signalled?;
    let disposition =
        slowest.disposition.filter(|one| matches!(one, Disposition::Caught | Disposition::Blocked))?;
    let end = record.end_of(slowest).filter(|end| end.what != ProcessEnd::LeftBehind)?;
    let took = end.at.saturating_sub(sent.at);
    let is_slow = took >= SLOW && took.saturating_mul(5) >= whole.saturating_mul(4);
    (is_slow && !record.was_killed(slowest)).then(|| {
        let reacts = format::reaction(disposition, sent.what);
        let name = format::process(slowest.name, slowest.pid);
        let (took, whole) = (format::duration(took), format::duration(whole));
        format!("{name} {reacts} and took {took} of the stop's {whole}: no process took longer")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }

    #[test]
    fn a_shell_in_front_of_the_server_is_seen() {
        assert_eq!(
            advice(&shell_in_front()),
            [
                "sh (7), a shell, died of TERM while server (12) went on: exec the server in the entrypoint",
                "server (12) was sent TERM only because drainit waited: tini would have cut it off after 3ms",
                "server (12) catches TERM and took 2.1s of the stop's 2.4s: no process took longer",
            ]
        );
        let mut script = shell_in_front();
        script.command = "/docker-entrypoint.sh".to_owned();
        script.processes.iter_mut().filter(|process| process.is_main).for_each(|main| {
            main.name = name(b"docker-entrypoi");
        });
        assert!(advice(&script).iter().any(|line| line.contains("docker-entrypoi (7), a shell, died")));
        script.command = "node".to_owned();
        assert!(!advice(&script).iter().any(|line| line.contains("a shell")));
    }

    #[test]
    fn a_process_that_outlives_main_would_have_been_cut_off() {
        let mut record = shell_in_front();
        record.command = "nginx".to_owned();
        record.processes = (0..8).map(|at| one(20 + at, "nginx", 5_600)).collect();
        record.processes.insert(0, ProcessRecord { is_main: true, ..one(7, "nginx", 5_203) });
        record.main_ended = Some(timed(5_203, Ended::Exited(0)));
        assert_eq!(
            advice(&record),
            ["nginx (20), nginx (21), nginx (22), nginx (23), nginx (24) and 3 more needed 397ms more than \
             nginx (7): tini would have cut them off after 3ms"]
        );
        record.processes.iter_mut().for_each(|process| process.ended = Some(timed(5_230, ProcessEnd::Gone)));
        assert_eq!(advice(&record), [""; 0], "they left with main, as far as can be told");
    }

    #[test]
    fn slow_steps_and_the_slowest_process_are_named() {
        let mut record = well();
        record.steps = vec![step(When::PreStop, "idle 80", 5_000, 7_000, StepOutcome::Succeeded)];
        record.ended_at = Some(ms(9_000));
        assert_eq!(advice(&record), ["the pre-stop step 'idle 80' took 2.0s of the stop's 4.0s"]);
        record.steps.clear();
        record.processes = vec![one(12, "a", 8_000), one(13, "b", 9_000)];
        record.main_ended = None;
        assert_eq!(
            advice(&record),
            ["b (13) catches TERM and took 3.8s of the stop's 4.0s: no process took longer"]
        );
    }

    #[test]
    fn several_that_ignore_the_signal_are_told_so_together() {
        let mut record = ignoring_shell();
        record.command = "init".to_owned();
        record.processes.iter_mut().for_each(|process| {
            process.name = name(b"server");
            process.disposition = Some(Disposition::Ignored);
            process.ended = Some(timed(7_510, ProcessEnd::Gone));
        });
        assert_eq!(
            advice(&record),
            [
                "server (7), server (1234567) and server (9) ignore TERM: handle it, or send a signal that they handle \
             with --rewrite TERM:..."
            ]
        );
    }
}
