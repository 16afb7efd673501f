//! Whether a rehearsal went well, and why not.

use crate::outcome::Ended;
use crate::plan::{KillReason, StepId, StopReason};
use crate::report::format;
use crate::report::record::{ProcessEnd, ProcessRecord, Receiver, Record, StepRecord, Timed};
use crate::signal::Signal;

/// How many processes are named for one kind of trouble.
const NAMED: usize = 5;

/// All that went wrong, in sentences.
///
/// A rehearsal passes only if a stop was requested, every process ended without KILL, the stop did not go on early because a signal was
/// ignored, every step did its work, and main ended by the stop signal or with 0 (after `--remap-exit`).
#[must_use]
pub(super) fn reasons(record: &Record) -> Vec<String> {
    let mut reasons = Vec::from_iter(nothing_to_stop(record));
    reasons.extend(killed(record));
    reasons.extend(died_of_other_kill(record));
    reasons.extend(crashed(record));
    reasons.extend(first_few(record, &|process| passed_over(record, process)));
    let names_one = record.processes.iter().any(|process| record.suffered_for_ignoring(process));
    reasons.extend(record.escalated.filter(|_| !names_one).map(escalated));
    reasons.extend(first_few(record, &left_behind));
    reasons.extend(record.step_killed.map(|killed| step_killed(record, killed)));
    reasons.extend(record.steps.iter().filter_map(step_failed));
    reasons
}

/// How it passed.
pub(super) fn summary(record: &Record) -> String {
    let took = format::duration(record.end().saturating_sub(record.signalled_or_stopped_at()));
    match signalled_with(record) {
        Some(signal) => format!("every process ended by itself {took} after {signal}"),
        None => format!("every process ended by itself {took} after the stop began; no signal was sent"),
    }
}

/// The signal that the processes were sent first; `None` if none was sent.
fn signalled_with(record: &Record) -> Option<Signal> {
    let to_one = record.processes.iter().find_map(|process| process.signalled);
    let to_many = || {
        let mut sent = record.sent.last.iter();
        sent.find(|sent| {
            matches!(sent.to, Receiver::Main | Receiver::Group | Receiver::All)
                && Some(sent.at) >= record.signalled_at
        })
    };
    record.signalled_at?;
    to_one.map(|sent| sent.what).or_else(|| to_many().map(|sent| sent.signal))
}

fn nothing_to_stop(record: &Record) -> Option<String> {
    if record.stop.is_some_and(|stop| stop.reason != StopReason::OwnExit) {
        return None;
    }
    let after = format::duration(record.main_ended.map_or(record.end(), |end| end.at));
    let how = record.main_ended.map_or_else(|| "ended".to_owned(), |end| end.what.to_string());
    Some(format!("{} {how} by itself after {after}, before the stop", format::command(record)))
}

/// The first few sentences about processes, and how many more there would be.
fn first_few(record: &Record, sentence: &dyn Fn(&ProcessRecord) -> Option<String>) -> Vec<String> {
    let mut sentences: Vec<String> = record.processes.iter().filter_map(sentence).collect();
    let more = sentences.len().saturating_sub(NAMED);
    if more > 0 {
        sentences.truncate(NAMED);
        sentences.push(format!("and {more} more like these"));
    }
    sentences
}

fn killed(record: &Record) -> Vec<String> {
    let Some(killed) = record.killed else { return Vec::new() };
    let sentences =
        first_few(record, &|process| record.was_killed(process).then(|| why_killed(record, killed, process)));
    if !sentences.is_empty() {
        return sentences;
    }
    let after = format::duration(killed.at.saturating_sub(record.signalled_or_stopped_at()));
    let why = match killed.what {
        KillReason::Elapsed => "time was up".to_owned(),
        KillReason::Ignored(signal) => format!("the processes left ignored {signal}"),
    };
    vec![format!("KILL was sent after {after}, because {why}")]
}

fn why_killed(record: &Record, killed: Timed<KillReason>, process: &ProcessRecord) -> String {
    let name = format::process(process.name, process.pid);
    let since = process.signalled.map_or(record.signalled_or_stopped_at(), |sent| sent.at);
    let after = format::duration(killed.at.saturating_sub(since));
    let Some(sent) = process.signalled.filter(|sent| sent.what != Signal::KILL) else {
        return match signalled_with(record).filter(|_| record.began_later(process)) {
            Some(signal) => format!("{name} began after {signal} and was killed with the others"),
            None => format!("{name} was killed after {after} without having been signalled"),
        };
    };
    let reacts = format::reaction(process.disposition, sent.what);
    match killed.what {
        _ if process.ignored().is_some() => format!("{name} {reacts} and was killed after {after}"),
        KillReason::Ignored(ignored) => {
            format!(
                "{name} was killed {after} after {}, with the processes that ignored {ignored}",
                sent.what
            )
        }
        KillReason::Elapsed => {
            format!("{name} {reacts}, had not ended after {after} when time was up, and was killed")
        }
    }
}

/// A KILL from elsewhere: by the kernel, for lack of memory, or by an operator.
fn died_of_other_kill(record: &Record) -> Vec<String> {
    let sentence = |name: &str| format!("{name} {}", format::FOREIGN_KILL);
    let by_other = |process: &ProcessRecord| {
        record.end_of(process).is_some_and(|end| {
            let is_earlier = record.killed.is_none_or(|killed| end.at < killed.at);
            is_earlier && end.what == ProcessEnd::Reaped(Ended::Killed(Signal::KILL))
        })
    };
    let is_main_alone = record.main_died_of_other_kill() && !record.main().is_some_and(by_other);
    let main_alone = is_main_alone.then(|| sentence(&format::main(record)));
    let mut sentences = Vec::from_iter(main_alone);
    sentences.extend(first_few(record, &|process| {
        by_other(process).then(|| sentence(&format::process(process.name, process.pid)))
    }));
    sentences
}

/// Main ended during the stop, but neither by a signal of the stop nor with 0: it crashed, or says that something went wrong.
fn crashed(record: &Record) -> Option<String> {
    let stop = record.stop.filter(|stop| stop.reason != StopReason::OwnExit)?;
    let end = record.main_ended.filter(|end| end.what != Ended::Killed(Signal::KILL))?;
    let (own, remapped) = (end.what.code(), record.exit_code.unwrap_or(end.what.code()));
    let by_signal = |signal: Signal| [own, remapped].contains(&Ended::Killed(signal).code());
    let to_main = |to| matches!(to, Receiver::Main | Receiver::Group | Receiver::All);
    let sent = record.sent.last.iter().filter(|sent| stop.at <= sent.at && to_main(sent.to));
    let mut signals: Vec<Signal> = sent.map(|sent| sent.signal).collect();
    signals.extend(record.main().and_then(|main| main.signalled).map(|sent| sent.what));
    signals.push(stop.signal);
    if remapped == 0 || signals.into_iter().any(by_signal) {
        return None;
    }
    let main = format::main(record);
    let how = match end.what {
        Ended::Killed(signal) if remapped == own => {
            return Some(format!("{main} died of {signal}, which drainit did not send"));
        }
        Ended::Killed(_) => end.what.to_string(),
        Ended::Exited(code) => format!("exited with {code}{}", died_inside(code)),
    };
    let made = if remapped == own { String::new() } else { format!(", which --remap-exit makes {remapped}") };
    let expected = signalled_with(record).unwrap_or(stop.signal);
    let code = Ended::Killed(expected).code();
    Some(format!("{main} {how}{made}: a good end is 0 or {code} (128 + {expected})"))
}

/// The signal that a shell means by a code above 128.
fn died_inside(code: u8) -> String {
    let signal = code.checked_sub(128).and_then(|number| Signal::new(number.into()));
    signal.map(|signal| format!(" (128 + {signal})")).unwrap_or_default()
}

/// The process ignored its signal, and was sent another one before it ended.
fn passed_over(record: &Record, process: &ProcessRecord) -> Option<String> {
    if record.was_killed(process) {
        return None;
    }
    let (ignored, next) = record.ignored_then_sent(process)?;
    let name = format::process(process.name, process.pid);
    let later = format::duration(next.at.saturating_sub(ignored.at));
    Some(format!("{name} ignores {} and was sent {} after {later}", ignored.what, next.what))
}

fn escalated(next: Timed<Signal>) -> String {
    format!("{} was sent early, because the signal before it was ignored", next.what)
}

fn step_killed(record: &Record, killed: Timed<StepId>) -> String {
    let step = record.steps.iter().find(|step| step.id == killed.what);
    let name = step.map(|step| format::name(&step.name)).unwrap_or_default();
    format!("what was left of the step '{name}' had to be killed")
}

fn left_behind(process: &ProcessRecord) -> Option<String> {
    process.is_left_behind().then(|| {
        let (name, state) = (format::process(process.name, process.pid), format::state(process.state));
        format!("{name} was left behind: KILL did not end it ({state})")
    })
}

fn step_failed(step: &StepRecord) -> Option<String> {
    let (when, name, outcome) = (format::when(step.id.when), format::name(&step.name), format::outcome(step));
    (!step.went_well()).then(|| format!("the {when} step '{name}' {outcome}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::When;
    use crate::plan::processes::Disposition;
    use crate::report::fixtures::*;
    use crate::report::record::*;

    #[test]
    fn processes_that_end_by_themselves_pass() {
        assert_eq!(reasons(&well()), [""; 0]);
        assert_eq!(summary(&well()), "every process ended by itself 1.7s after TERM");
        let by_signal = StopReason::Signal;
        let stop = well().stop.map(|stop| StopRecord { reason: by_signal, ..stop });
        assert_eq!(reasons(&Record { stop, ..well() }), [""; 0], "it was stopped before its time");
        let ended_first =
            Record { signalled_at: None, processes: Vec::new(), ended_at: Some(ms(5_100)), ..well() };
        assert_eq!(reasons(&ended_first), [""; 0]);
        assert_eq!(
            summary(&ended_first),
            "every process ended by itself 100ms after the stop began; no signal was sent"
        );
    }

    #[test]
    fn a_command_that_ends_before_the_stop_fails() {
        let reason = "true exited with 0 by itself after 3ms, before the stop";
        assert_eq!(reasons(&left_alone()), [reason]);
        let own_exit = StopRecord {
            at: ms(3),
            reason: StopReason::OwnExit,
            signal: Signal::TERM,
            sender: Sender::default(),
        };
        assert_eq!(reasons(&Record { stop: Some(own_exit), ..left_alone() }), [reason]);
    }

    fn killed_with(disposition: Option<Disposition>, killed: KillReason, end: ProcessEnd) -> Record {
        let mut record = Record { killed: Some(timed(15_200, killed)), steps: Vec::new(), ..well() };
        let ended = Some(timed(15_210, end));
        record.processes = vec![ProcessRecord { disposition, ended, ..one(7, "server", 0) }];
        record.ended_at = Some(ms(15_210));
        record
    }

    #[test]
    fn every_way_to_be_killed_has_its_words() {
        let kill = ProcessEnd::Reaped(Ended::Killed(Signal::KILL));
        for (disposition, why, reason) in [
            (
                Some(Disposition::Ignored),
                KillReason::Elapsed,
                "server (7) ignores TERM and was killed after 10.0s",
            ),
            (
                Some(Disposition::Caught),
                KillReason::Elapsed,
                "server (7) catches TERM, had not ended after 10.0s when time was up, and was killed",
            ),
            (
                Some(Disposition::Blocked),
                KillReason::Elapsed,
                "server (7) blocks TERM, had not ended after 10.0s when time was up, and was killed",
            ),
            (
                Some(Disposition::Default),
                KillReason::Elapsed,
                "server (7) has no handler for TERM, had not ended after 10.0s when time was up, and was killed",
            ),
            (
                None,
                KillReason::Elapsed,
                "server (7) was sent TERM, had not ended after 10.0s when time was up, and was killed",
            ),
            (
                Some(Disposition::Default),
                KillReason::Ignored(Signal::INT),
                "server (7) was killed 10.0s after TERM, with the processes that ignored INT",
            ),
        ] {
            for end in [kill, ProcessEnd::Gone] {
                assert_eq!(reasons(&killed_with(disposition, why, end)), [reason]);
            }
        }
        let mut unsignalled = killed_with(None, KillReason::Elapsed, kill);
        unsignalled.processes.iter_mut().for_each(|process| process.signalled = None);
        let reason = "server (7) was killed after 10.0s without having been signalled";
        assert_eq!(reasons(&unsignalled), [reason]);
        let exited = ProcessEnd::Reaped(Ended::Exited(0));
        let in_time = killed_with(None, KillReason::Ignored(Signal::TERM), exited);
        let reason = "KILL was sent after 10.0s, because the processes left ignored TERM";
        assert_eq!(reasons(&in_time), [reason], "it ended at the same moment");
    }

    #[test]
    fn a_process_that_kill_does_not_end_fails_it() {
        let mut record = well();
        let end = Some(timed(9_000, ProcessEnd::LeftBehind));
        record.processes.push(ProcessRecord { state: b'D', ended: end, ..one(9, "nfs", 0) });
        assert_eq!(reasons(&record), ["nfs (9) was left behind: KILL did not end it (uninterruptible)"]);
    }

    #[test]
    fn only_the_first_few_are_named() {
        let mut record = killed_with(None, KillReason::Elapsed, ProcessEnd::Gone);
        record.processes = (0..8).flat_map(|_| record.processes.clone()).collect();
        let reasons = reasons(&record);
        assert_eq!(reasons.len(), NAMED + 1);
        assert_eq!(reasons.last().map(String::as_str), Some("and 3 more like these"));
    }

    #[test]
    fn a_kill_from_elsewhere_does_not_count_as_an_end_by_itself() {
        let mut record = well();
        record.main_ended = Some(timed(6_900, Ended::Killed(Signal::KILL)));
        record.processes.iter_mut().filter(|process| process.is_main).for_each(|main| main.ended = None);
        assert_eq!(reasons(&record), ["server (7) died of a KILL that drainit did not send"]);
        record.processes.clear();
        assert_eq!(reasons(&record), ["server died of a KILL that drainit did not send"]);
    }

    #[test]
    fn a_crash_fails_it_and_an_end_by_the_stop_signal_does_not() {
        let ends = |ended, exit_code| {
            let main_ended = Some(timed(6_900, ended));
            let mut record = Record { main_ended, exit_code: Some(exit_code), ..well() };
            record.processes.iter_mut().filter(|one| one.is_main).for_each(|main| main.ended = None);
            reasons(&record)
        };
        assert_eq!(ends(Ended::Exited(0), 0), [""; 0]);
        assert_eq!(ends(Ended::Killed(Signal::TERM), 143), [""; 0]);
        assert_eq!(ends(Ended::Exited(143), 143), [""; 0]);
        assert_eq!(ends(Ended::Exited(1), 0), [""; 0], "--remap-exit 1");
        assert_eq!(ends(Ended::Exited(143), 1), [""; 0], "--remap-exit 143:1");
        let died = "server (7) died of SEGV, which drainit did not send";
        assert_eq!(ends(Ended::Killed(Signal::SEGV), 139), [died]);
        assert_eq!(
            ends(Ended::Exited(1), 1),
            ["server (7) exited with 1: a good end is 0 or 143 (128 + TERM)"]
        );
        assert_eq!(
            ends(Ended::Exited(139), 139),
            ["server (7) exited with 139 (128 + SEGV): a good end is 0 or 143 (128 + TERM)"]
        );
        let remapped =
            "server (7) exited with 0, which --remap-exit makes 3: a good end is 0 or 143 (128 + TERM)";
        assert_eq!(ends(Ended::Exited(0), 3), [remapped]);
    }

    #[test]
    fn any_signal_of_the_stop_may_end_main() {
        let rewritten = StopRecord {
            at: ms(5_000),
            reason: StopReason::Elapsed,
            signal: Signal::USR1,
            sender: Sender::default(),
        };
        let mut record = Record { stop: Some(rewritten), ..well() };
        record.main_ended = Some(timed(6_900, Ended::Killed(Signal::QUIT)));
        record.exit_code = Some(131);
        record.processes.iter_mut().filter(|one| one.is_main).for_each(|main| main.ended = None);
        assert_eq!(reasons(&record), ["server (7) died of QUIT, which drainit did not send"]);
        record.note_sent(ms(6_800), Signal::QUIT, Receiver::Main);
        assert_eq!(reasons(&record), [""; 0]);
        for (signal, code) in [(Signal::TERM, 143), (Signal::USR1, 138)] {
            record.exit_code = Some(code);
            record.main_ended = Some(timed(6_900, Ended::Exited(code)));
            assert_eq!(reasons(&record), [""; 0], "{signal} as it was sent, or as it was received");
        }
    }

    #[test]
    fn a_process_that_was_passed_over_as_ignoring_fails_it_though_it_ended() {
        let mut record = well();
        for main in record.processes.iter_mut().filter(|process| process.is_main) {
            main.disposition = Some(Disposition::Ignored);
            main.signalled = Some(timed(5_200, Signal::INT));
        }
        record.sent = Sent::default();
        record.note_sent(ms(5_200), Signal::INT, Receiver::Group);
        record.note_sent(ms(5_201), Signal::CONT, Receiver::Group);
        assert_eq!(reasons(&record), [""; 0], "it ended for another reason");
        record.note_sent(ms(6_000), Signal::QUIT, Receiver::Process(13));
        assert_eq!(reasons(&record), [""; 0], "sent to another process");
        record.note_sent(ms(6_200), Signal::TERM, Receiver::Group);
        assert_eq!(reasons(&record), ["server (7) ignores INT and was sent TERM after 1.0s"]);
        record.escalated = Some(timed(6_200, Signal::TERM));
        assert_eq!(reasons(&record).len(), 1, "it is told once");
        record.processes.iter_mut().for_each(|process| process.disposition = None);
        assert_eq!(reasons(&record), ["TERM was sent early, because the signal before it was ignored"]);
    }

    #[test]
    fn a_signal_to_main_s_group_is_not_said_to_reach_a_daemon() {
        let mut record = well();
        let daemon = ProcessRecord {
            group: 13,
            disposition: Some(Disposition::Ignored),
            signalled: Some(timed(5_201, Signal::TERM)),
            ..one(13, "daemon", 6_800)
        };
        record.processes.push(daemon);
        record.note_sent(ms(6_200), Signal::INT, Receiver::Group);
        assert_eq!(reasons(&record), [""; 0]);
        for process in &mut record.processes {
            process.group = MAIN;
        }
        assert_eq!(reasons(&record), ["daemon (13) ignores TERM and was sent INT after 999ms"]);
    }

    #[test]
    fn every_step_must_have_done_its_work() {
        for (when, outcome, reason) in [
            (When::PreStop, Some(StepOutcome::TimedOut), "the pre-stop step 'x' timed out after 1.5s"),
            (When::PostExit, Some(StepOutcome::NotStarted), "the post-exit step 'x' could not be started"),
            (
                When::PostExit,
                Some(StepOutcome::Failed(Ended::Killed(Signal::SEGV))),
                "the post-exit step 'x' died of SEGV after 1.5s",
            ),
            (When::PreStop, None, "the pre-stop step 'x' was not seen to end"),
        ] {
            let mut record = well();
            let ended = outcome.map(|outcome| timed(6_500, outcome));
            record.steps.push(StepRecord { ended, ..step(when, "x", 5_000, 0, StepOutcome::Succeeded) });
            assert_eq!(reasons(&record), [reason]);
        }
        let mut dropped = well();
        dropped.steps.push(step(When::PreStop, "x", 5_000, 5_100, StepOutcome::Dropped));
        assert_eq!(reasons(&dropped), [""; 0]);
    }
}
