//! The termination message: what went wrong, in a few plain lines for `kubectl describe pod`.

use std::time::Duration;

use super::record::{ProcessEnd, ProcessRecord, Record, StepRecord};
use super::repeats::Repeats;
use super::{advice, format};
use crate::plan::{KillReason, StopReason};

/// The kubelet shows no more bytes than this.
const LIMIT: usize = 4096;

/// The message, with the newline at its end; `None` if there is nothing to tell.
#[must_use]
pub fn message(record: &Record) -> Option<String> {
    if record.went_well() {
        return None;
    }
    let mut lines = Vec::new();
    let groups = Repeats::of(&record.processes);
    for kind in Trouble::WORST_FIRST {
        let troubled = groups.iter().filter(|group| worst(record, group) == Some(kind));
        lines.extend(troubled.map(|group| process(record, kind, group)));
    }
    if record.more_processes > 0 {
        let more = format::counted(record.more_processes, "more process", "more processes");
        lines.push(format!("  {more} not listed"));
    }
    lines.extend(record.steps.iter().filter_map(step));
    let advice = advice_lines(record);
    let colon = if lines.is_empty() && advice.is_empty() { "" } else { ":" };
    lines.insert(0, format!("drainit: {}{colon}", summary(record)));
    Some(fitted(&lines, &advice))
}

/// The message while the stop is under way, true at the moment when it is written: if the runtime's KILL comes, it is the last word.
#[must_use]
pub fn message_ahead(record: &Record, now: Duration) -> String {
    let since = record.stop.map_or(now, |stop| now.saturating_sub(stop.at));
    let since = format::duration(since);
    let begun = format!("the stop was not over when this was last written, {since} after it began");
    let mut lines = vec![format!("drainit: {}; {begun}:", cause(record))];
    let running = record.steps.iter().filter(|step| step.ended.is_none() && record.signalled_at.is_none());
    for step in running {
        let (when, name) = (format::when(step.id.when), format::name(&step.name));
        lines.push(format!("  {when} step {name} was under way"));
    }
    for one in record.processes.iter().filter(|one| record.end_of(one).is_none()) {
        let main = if one.is_main { ", the command" } else { "" };
        let (name, state) = (format::process(one.name, one.pid), format::comma_state(one.state));
        lines.push(format!("  {name}{main}{state}: {}", reaction(record, one)));
    }
    if lines.len() == 1 {
        lines.push("  the command had not been signalled yet".to_owned());
    }
    fitted(&lines, &advice_lines(record))
}

fn advice_lines(record: &Record) -> Vec<String> {
    advice(record).into_iter().map(|sentence| format!("  advice: {sentence}\n")).collect()
}

/// As many lines as there is room for. The advice after them has up to half of the room.
fn fitted(lines: &[String], advice: &[String]) -> String {
    let mut end = String::new();
    for line in advice {
        if end.len() + line.len() <= LIMIT / 2 {
            end.push_str(line);
        }
    }
    let room = LIMIT - end.len();
    let more = |left: usize| format!("... and {left} more\n");
    let mut message = String::new();
    for (at, line) in lines.iter().enumerate() {
        let left = lines.len() - at;
        let room_for_more = if left == 1 { 0 } else { more(left - 1).len() };
        if message.len() + line.len() + 1 + room_for_more > room {
            message.push_str(&more(left));
            break;
        }
        message.push_str(line);
        message.push('\n');
    }
    message + &end
}

/// Why a process is worth a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    LeftBehind,
    Killed,
    /// KILL was sent, and it is not known what became of the process.
    EndUnknown,
    /// It ignored the signal and ended later by itself.
    Ignored,
}

impl Trouble {
    const WORST_FIRST: [Self; 4] = [Self::LeftBehind, Self::Killed, Self::EndUnknown, Self::Ignored];
}

fn trouble(record: &Record, process: &ProcessRecord) -> Option<Trouble> {
    if process.is_left_behind() {
        Some(Trouble::LeftBehind)
    } else if record.was_killed(process) {
        Some(Trouble::Killed)
    } else if record.killed.is_some() && record.end_of(process).is_none() {
        Some(Trouble::EndUnknown)
    } else {
        process.ignored().map(|_| Trouble::Ignored)
    }
}

/// The worst trouble of any of a loop's commands.
fn worst(record: &Record, repeats: &Repeats<'_>) -> Option<Trouble> {
    let is_one = |kind: &Trouble| repeats.all().any(|one| trouble(record, one) == Some(*kind));
    Trouble::WORST_FIRST.into_iter().find(is_one)
}

fn summary(record: &Record) -> String {
    let mut parts = vec![cause(record)];
    if record.main_died_of_other_kill() && record.stop.is_some_and(|stop| stop.reason != StopReason::OwnExit)
    {
        parts.push(other_kill(record));
    }
    parts.extend(record.stop_took().map(|took| format!("the stop took {}", format::duration(took))));
    let count = |is_one: &dyn Fn(&ProcessRecord) -> bool| {
        record.processes.iter().filter(|process| is_one(process)).count() as u64
    };
    match count(&|process| process.signalled.is_some()) {
        0 => {}
        signalled => {
            parts.push(format::counted(signalled, "process was signalled", "processes were signalled"));
        }
    }
    if let Some(killed) = record.killed {
        let killed_some = match count(&|process| trouble(record, process) == Some(Trouble::Killed)) {
            0 => "KILL was sent to every remaining process".to_owned(),
            many => format!("{many} had to be killed"),
        };
        let after = record.stop.map_or(killed.at, |stop| killed.at.saturating_sub(stop.at));
        let why = match killed.what {
            KillReason::Elapsed => "time was up".to_owned(),
            KillReason::Ignored(signal) => format!("{signal} was ignored"),
        };
        parts.push(format!("{killed_some} after {}, because {why}", format::duration(after)));
    }
    parts.join("; ")
}

fn other_kill(record: &Record) -> String {
    let why = if record.out_of_memory { format::OUT_OF_MEMORY } else { "" };
    format!("the command {}{why}", format::FOREIGN_KILL)
}

fn cause(record: &Record) -> String {
    let main = record.main_ended.map_or_else(|| "ended".to_owned(), |end| end.what.to_string());
    let Some(stop) = record.stop else {
        let is_foreign = record.main_died_of_other_kill();
        return if is_foreign { other_kill(record) } else { format!("the command {main}") };
    };
    match stop.reason {
        StopReason::Signal => format!("stopped by {}", format::received(stop)),
        StopReason::Elapsed => {
            "stopped because the time of --stop-after or --rehearse had elapsed".to_owned()
        }
        StopReason::OwnExit if record.main_died_of_other_kill() => other_kill(record),
        StopReason::OwnExit => format!("the command {main} by itself"),
    }
}

/// `  bash (7), the command, sleeping: ignores TERM, killed after 2.3s`.
fn process(record: &Record, trouble: Trouble, repeats: &Repeats<'_>) -> String {
    let (name, process) = (repeats.name(), repeats.last());
    let main = if process.is_main { ", the command" } else { "" };
    // The state of a process that ended by itself explains nothing.
    let state = match trouble {
        Trouble::Ignored => String::new(),
        Trouble::LeftBehind | Trouble::Killed | Trouble::EndUnknown => format::comma_state(process.state),
    };
    let reaction = reaction(record, process);
    let after = record.waited(process).map(|waited| format!(" after {}", format::duration(waited)));
    let after = after.unwrap_or_default();
    let end = match (trouble, record.end_of(process).map(|end| end.what)) {
        (Trouble::LeftBehind, _) if process.refused.is_some() => "left behind".to_owned(),
        (Trouble::LeftBehind, _) => "left behind: KILL did not end it".to_owned(),
        (Trouble::Killed, _) => format!("killed{after}"),
        (Trouble::EndUnknown, _) | (Trouble::Ignored, None) => format::NO_END.to_owned(),
        (Trouble::Ignored, Some(ProcessEnd::Reaped(ended))) => format!("{ended}{after}"),
        (Trouble::Ignored, Some(ProcessEnd::Gone | ProcessEnd::LeftBehind)) => format!("gone{after}"),
    };
    format!("  {name}{main}{state}: {reaction}, {end}")
}

/// What the process did about the signal, or why it was not signalled.
fn reaction(record: &Record, process: &ProcessRecord) -> String {
    match process.signalled {
        Some(sent) => format::reaction(process.disposition, sent.what),
        None if process.refused.is_some() => format::REFUSED.to_owned(),
        None if record.began_later(process) => "began after the signal".to_owned(),
        None => "was not signalled".to_owned(),
    }
}

/// `  pre-stop step command drain.sh: exited with 1 after 200ms`; `None` if it went well.
fn step(step: &StepRecord) -> Option<String> {
    let (when, name, outcome) = (format::when(step.id.when), format::name(&step.name), format::outcome(step));
    (!step.went_well()).then(|| format!("  {when} step {name}: {outcome}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::MAIN;
    use super::super::fixtures::{happy, ms, one, process, timed, unhappy};
    use super::super::generator::records;
    use super::super::record::{MAX_PROCESSES, Sender, StepOutcome, StopRecord, Timed};
    use super::*;
    use crate::outcome::Ended;
    use crate::plan::processes::Disposition;
    use crate::plan::{StepId, Target, When};
    use crate::signal::Signal;

    #[test]
    fn nothing_is_said_of_a_run_that_went_well() {
        assert_eq!(message(&Record::default()), None);
        assert_eq!(message(&happy()), None);
    }

    #[test]
    fn it_says_what_stopped_it_which_processes_delayed_it_and_which_steps_failed() {
        let expected = "\
drainit: stopped by TERM from outside the container; the stop took 4.3s; 3 processes were signalled; 1 had to be killed after 2.3s, because TERM was ignored:
  nfs (9), uninterruptible: blocks TERM, left behind: KILL did not end it
  bash (7), the command, sleeping: ignores TERM, killed after 2.3s
  pre-stop step command drain.sh: exited with 1 after 200ms
  pre-stop step idle 8080: timed out after 5.3s
  post-exit step command gone: could not be started
  post-exit step http localhost: was not seen to end
  advice: bash (7) ignores TERM: exec the server in the entrypoint, or send a signal that it handles with --rewrite TERM:SIGNAL
  advice: the pre-stop step 'sleep' took 3.0s of the stop's 4.3s
  advice: the pre-stop step 'idle 8080' used up the drain's time and was ended after 5.3s: make it faster, or raise --pre-stop-timeout and --grace-period
";
        assert_eq!(message(&unhappy()).as_deref(), Some(expected));
    }

    #[test]
    fn a_step_alone_can_go_wrong() {
        let mut record = Record { main_ended: None, ..happy() };
        record.stop = record.stop.map(|stop| StopRecord { sender: Sender { pid: 12, uid: 5 }, ..stop });
        record.processes.clear();
        let id = StepId { when: When::PreStop, at: 0 };
        record.begin_step(ms(0), id, "command a\nb".to_owned());
        record.end_step(ms(1_000), id, StepOutcome::Failed(Ended::Killed(Signal::SEGV)));
        let expected = "\
drainit: stopped by TERM from process 12 (uid 5); the stop took 500ms:
  pre-stop step command a\\nb: died of SEGV after 1.0s
";
        assert_eq!(message(&record).as_deref(), Some(expected));
    }

    #[test]
    fn a_kill_that_no_process_was_seen_to_die_of_is_told() {
        let mut record = Record { stop: None, ..happy() };
        record.killed = Some(Timed { at: ms(61_400), what: KillReason::Elapsed });
        record.processes.clear();
        record.main_ended = Some(Timed { at: ms(61_000), what: Ended::Exited(3) });
        let expected = "\
drainit: the command exited with 3; KILL was sent to every remaining process after 1m1s, because time was up
";
        assert_eq!(message(&record).as_deref(), Some(expected));
        record.stop = happy().stop.map(|stop| StopRecord { reason: StopReason::OwnExit, ..stop });
        assert!(message(&record).is_some_and(|text| text.contains("the command exited with 3 by itself; ")));
        record.stop = happy().stop.map(|stop| StopRecord { reason: StopReason::Elapsed, ..stop });
        assert!(message(&record).is_some_and(|text| {
            text.contains("stopped because the time of --stop-after or --rehearse had elapsed")
        }));
    }

    #[test]
    fn a_process_that_ignored_the_signal_and_ended_comes_after_those_killed() {
        let mut record = unhappy();
        record.steps.clear();
        let late = Some(Timed { at: ms(62_000), what: ProcessEnd::Gone });
        for one in &mut record.processes {
            one.is_main = false;
            one.disposition = Some(Disposition::Ignored);
            if one.pid == 7 {
                one.ended = late;
            }
            if one.pid == 8 {
                one.ended = None;
            }
        }
        let text = message(&record).expect("a message");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  nfs (9), uninterruptible: ignores TERM, left behind: KILL did not end it",
                "  worker (8), sleeping: ignores TERM, was not seen to end",
                "  bash (7): ignores TERM, gone after 1.0s",
            ]
        );
    }

    #[test]
    fn a_kill_from_elsewhere_is_told() {
        let mut record = happy();
        record.main_ended = Some(Timed { at: ms(61_500), what: Ended::Killed(Signal::KILL) });
        let expected = "drainit: stopped by TERM from outside the container; the command died of a KILL that drainit did not send; \
                        the stop took 500ms; 1 process was signalled\n";
        assert_eq!(message(&record).as_deref(), Some(expected));
        record.stop = record.stop.map(|stop| StopRecord { reason: StopReason::OwnExit, ..stop });
        let start = "drainit: the command died of a KILL that drainit did not send; the stop took";
        assert!(message(&record).is_some_and(|text| text.starts_with(start)));
        record.stop = None;
        assert!(message(&record).is_some_and(|text| text.starts_with("drainit: the command died of a KILL")));
        record.out_of_memory = true;
        let why = "a KILL that drainit did not send: its control group ran out of memory";
        assert!(message(&record).is_some_and(|text| text.contains(why)));
    }

    #[test]
    fn what_is_written_ahead_says_what_is_there_and_what_to_change() {
        let mut record = Record { main_ended: None, ended_at: None, exit_code: None, ..happy() };
        record.target = Some(Target::Auto);
        let there = |pid, name, is_main, disposition| ProcessRecord {
            first_seen: ms(61_010),
            last_seen: Some(ms(66_000)),
            signalled: Some(timed(61_010, Signal::TERM)),
            disposition: Some(disposition),
            parent: MAIN,
            is_main,
            ended: None,
            ..one(pid, name, 0)
        };
        let later = ProcessRecord {
            first_seen: ms(66_000),
            signalled: None,
            ..there(12, "cleanup", false, Disposition::Default)
        };
        let refused = ProcessRecord {
            refused: Some(timed(61_000, Signal::TERM)),
            signalled: None,
            first_seen: ms(61_000),
            ..later
        };
        record.processes = vec![
            there(MAIN, "sh", true, Disposition::Caught),
            there(9, "sleep", false, Disposition::Default),
            ProcessRecord {
                ended: Some(timed(61_020, ProcessEnd::Gone)),
                ..there(8, "gone", false, Disposition::Default)
            },
            later,
            ProcessRecord { refused: None, pid: 13, ..refused },
            ProcessRecord { pid: 14, ..refused },
        ];
        let expected = "\
drainit: stopped by TERM from outside the container; the stop was not over when this was last written, 5.0s after it began:
  sh (7), the command, sleeping: catches TERM
  sleep (9), sleeping: has no handler for TERM
  cleanup (12), sleeping: began after the signal
  cleanup (13), sleeping: was not signalled
  cleanup (14), sleeping: drainit is not permitted to signal it
  advice: the trap of sh (7) runs only when its foreground command has ended, and sleep (9) had not ended after 4.9s: start it in the background and wait for it, as in `server & wait`
";
        assert_eq!(message_ahead(&record, ms(66_000)), expected);
    }

    #[test]
    fn what_is_written_ahead_during_the_drain_names_the_step() {
        let mut record = Record { ended_at: None, signalled_at: None, ..happy() };
        record.processes.clear();
        let begun = "drainit: stopped by TERM from outside the container; the stop was not over when this was last written, 0ms after it began:\n";
        assert_eq!(
            message_ahead(&record, ms(61_000)),
            format!("{begun}  the command had not been signalled yet\n")
        );
        record.begin_step(ms(61_000), StepId { when: When::PreStop, at: 0 }, "idle 80".to_owned());
        assert_eq!(
            message_ahead(&record, ms(61_000)),
            format!("{begun}  pre-stop step idle 80 was under way\n")
        );
    }

    #[test]
    fn what_a_loop_starts_has_one_line() {
        let mut record = unhappy();
        record.steps.clear();
        let killed = ProcessEnd::Reaped(Ended::Killed(Signal::KILL));
        for (pid, seen, ended, how) in [(20, 61_000, 61_300, ProcessEnd::Gone), (31, 63_300, 63_310, killed)]
        {
            record.processes.push(ProcessRecord {
                parent: 7,
                first_seen: ms(seen),
                disposition: Some(Disposition::Ignored),
                signalled: (pid == 20).then_some(Timed { at: ms(61_000), what: Signal::TERM }),
                ended: Some(Timed { at: ms(ended), what: how }),
                ..one(pid, "sleep", 0)
            });
        }
        let text = message(&record).expect("a message");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  sleep")).collect();
        assert_eq!(lines, ["  sleep, 2 times, sleeping: began after the signal, killed"]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut record = unhappy();
        for pid in 100..400 {
            let stuck = process(pid, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b'D');
            if let Some(one) = record.process(ms(0), &stuck, false) {
                one.ended = Some(Timed { at: ms(9), what: ProcessEnd::LeftBehind });
            }
        }
        assert_eq!((record.processes.len(), record.more_processes), (MAX_PROCESSES, 47));
        let text = message(&record).expect("a message");
        assert!((LIMIT - 200..=LIMIT).contains(&text.len()), "{}", text.len());
        // The stuck processes, the killed one, the line on those not listed, and four steps; then three lines of advice, however long the rest is.
        let advice = text.lines().filter(|line| line.starts_with("  advice: ")).count();
        assert_eq!(advice, 3, "{text}");
        let told = text.lines().count() - 2 - advice;
        assert!(text.contains(&format!("\n... and {} more\n  advice: ", 254 + 1 + 1 + 4 - told)), "{text}");
    }

    #[test]
    fn a_message_that_just_fits_is_whole() {
        let lines = |last: usize| ["x".repeat(4_000), "y".repeat(last)];
        assert_eq!(fitted(&lines(94), &[]).len(), LIMIT);
        assert!(fitted(&lines(94), &[]).ends_with("y\n"));
        assert!(fitted(&lines(95), &[]).ends_with("x\n... and 1 more\n"));
        let too_much = ["a\n".repeat(LIMIT / 2), "  advice: b\n".to_owned()];
        assert_eq!(fitted(&["x".to_owned()], &too_much), "x\n  advice: b\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_short_and_plain_whatever_happened(record in records()) {
            let text = message(&record);
            prop_assert_eq!(text.is_none(), record.went_well());
            let text = text.unwrap_or_else(|| "drainit: \n".to_owned());
            prop_assert!(text.len() <= LIMIT && text.starts_with("drainit: ") && text.ends_with('\n'));
            prop_assert!(text.lines().all(|line| !line.is_empty() && !line.chars().any(char::is_control)));
        }
    }
}
