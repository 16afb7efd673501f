//! The termination message: what went wrong, in a few plain lines for `kubectl describe pod`.

use std::time::Duration;

use super::format;
use super::record::{ProcessEnd, ProcessRecord, Record, StepOutcome, StepRecord, StopReason};
use super::repeats::Repeats;
use crate::plan::KillReason;

/// The kubelet shows no more bytes than this.
const LIMIT: usize = 4096;

/// The message, with the newline at its end; `None` if there is nothing to tell.
#[must_use]
pub fn message(record: &Record) -> Option<String> {
    if record.went_well() {
        return None;
    }
    let mut lines = Vec::new();
    for kind in Trouble::WORST_FIRST {
        let troubled = record.processes.iter().filter(|one| trouble(record, one) == Some(kind));
        lines.extend(Repeats::of(troubled).iter().map(|one| process(record, kind, one)));
    }
    if record.more_processes > 0 {
        let more = format::counted(record.more_processes, "more process", "more processes");
        lines.push(format!("  {more} not listed"));
    }
    lines.extend(record.steps.iter().filter_map(step));
    let colon = if lines.is_empty() { "" } else { ":" };
    lines.insert(0, format!("drainit: {}{colon}", summary(record)));
    Some(fitted(&lines))
}

/// What is known while the stop is under way, true at the moment when it is written: if the runtime's KILL comes, it is the last word.
#[must_use]
pub fn message_ahead(record: &Record, now: Duration) -> String {
    let since = record.stop.map_or(now, |stop| now.saturating_sub(stop.at));
    let since = format::duration(since);
    let mut lines = vec![format!("drainit: {}; {since} later the stop was not over yet:", cause(record))];
    let running = record.steps.iter().filter(|step| step.ended.is_none() && record.signalled_at.is_none());
    for step in running {
        let (when, name) = (format::when(step.id.when), format::name(&step.name));
        lines.push(format!("  {when} step {name} was under way"));
    }
    for one in record.processes.iter().filter(|one| record.end_of(one).is_none()) {
        let main = if one.is_main { ", the command" } else { "" };
        let reaction = match (one.signalled, one.disposition) {
            (None, _) => "not signalled".to_owned(),
            (Some(sent), Some(disposition)) => format::reaction(disposition, sent.what),
            (Some(sent), None) => format!("was sent {}", sent.what),
        };
        let name = format::process(one.name, one.pid);
        lines.push(format!("  {name}{main}, {}: {reaction}", format::state(one.state)));
    }
    if lines.len() == 1 {
        lines.push("  the command had not been signalled yet".to_owned());
    }
    fitted(&lines)
}

/// As many lines as there is room for.
fn fitted(lines: &[String]) -> String {
    let more = |left: usize| format!("... and {left} more\n");
    let mut message = String::new();
    for (at, line) in lines.iter().enumerate() {
        let left = lines.len() - at;
        let room_for_more = if left == 1 { 0 } else { more(left - 1).len() };
        if message.len() + line.len() + 1 + room_for_more > LIMIT {
            message.push_str(&more(left));
            break;
        }
        message.push_str(line);
        message.push('\n');
    }
    message
}

/// Why a process is worth a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    LeftBehind,
    Killed,
    /// KILL was sent, and what became of it is not known.
    EndUnknown,
    /// It ignored the signal and ended by itself later.
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

fn summary(record: &Record) -> String {
    let mut parts = vec![cause(record)];
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
            0 => "KILL was sent to every process left".to_owned(),
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

fn cause(record: &Record) -> String {
    let main = record.main_ended.map_or_else(|| "ended".to_owned(), |end| end.what.to_string());
    let Some(stop) = record.stop else { return format!("the command {main}") };
    match stop.reason {
        StopReason::Signal { sender: 0, .. } => {
            format!("stopped by {} from outside the container", stop.signal)
        }
        StopReason::Signal { sender, uid } => {
            format!("stopped by {} from process {sender} (uid {uid})", stop.signal)
        }
        StopReason::Time => "stopped because its time to run was over".to_owned(),
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
        Trouble::LeftBehind | Trouble::Killed | Trouble::EndUnknown => {
            format!(", {}", format::state(process.state))
        }
    };
    let reaction = match (process.signalled, process.disposition) {
        (None, _) => "was not signalled".to_owned(),
        (Some(sent), Some(disposition)) => format::reaction(disposition, sent.what),
        (Some(sent), None) => format!("was sent {}", sent.what),
    };
    let after = record.waited(process).map(|waited| format!(" after {}", format::duration(waited)));
    let after = after.unwrap_or_default();
    let end = match (trouble, record.end_of(process).map(|end| end.what)) {
        (Trouble::LeftBehind, _) => "left behind: KILL did not end it".to_owned(),
        (Trouble::Killed, _) => format!("killed{after}"),
        (Trouble::EndUnknown, _) | (Trouble::Ignored, None) => "its end was not seen".to_owned(),
        (Trouble::Ignored, Some(ProcessEnd::Reaped(ended))) => format!("{ended}{after}"),
        (Trouble::Ignored, Some(ProcessEnd::Gone | ProcessEnd::LeftBehind)) => format!("gone{after}"),
    };
    format!("  {name}{main}{state}: {reaction}, {end}")
}

/// `  pre-stop step command drain.sh: exited with 1 after 200ms`; `None` if it went well.
fn step(step: &StepRecord) -> Option<String> {
    let after = step.took().map(format::duration).unwrap_or_default();
    let outcome = match step.ended.map(|end| end.what) {
        Some(StepOutcome::Succeeded | StepOutcome::Dropped) => return None,
        Some(StepOutcome::Failed(ended)) => format!("{ended} after {after}"),
        Some(StepOutcome::NotStarted) => "could not be started".to_owned(),
        Some(StepOutcome::TimedOut) => format!("timed out after {after}"),
        None => "its end was not seen".to_owned(),
    };
    Some(format!("  {} step {}: {outcome}", format::when(step.id.when), format::name(&step.name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{happy, ms, process, unhappy};
    use super::super::generator::records;
    use super::super::record::{MAX_PROCESSES, StopRecord, Timed};
    use super::*;
    use crate::outcome::Ended;
    use crate::plan::processes::Disposition;
    use crate::plan::{StepId, When};
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
  post-exit step http localhost: its end was not seen
";
        assert_eq!(message(&unhappy()).as_deref(), Some(expected));
    }

    #[test]
    fn a_step_alone_can_go_wrong() {
        let mut record = Record { main_ended: None, ..happy() };
        record.stop =
            record.stop.map(|stop| StopRecord { reason: StopReason::Signal { sender: 12, uid: 5 }, ..stop });
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
drainit: the command exited with 3; KILL was sent to every process left after 1m1s, because time was up
";
        assert_eq!(message(&record).as_deref(), Some(expected));
        record.stop = happy().stop.map(|stop| StopRecord { reason: StopReason::OwnExit, ..stop });
        assert!(message(&record).is_some_and(|text| text.contains("the command exited with 3 by itself; ")));
        record.stop = happy().stop.map(|stop| StopRecord { reason: StopReason::Time, ..stop });
        assert!(
            message(&record).is_some_and(|text| text.contains("stopped because its time to run was over"))
        );
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
                "  worker (8), sleeping: ignores TERM, its end was not seen",
                "  bash (7): ignores TERM, gone after 1.0s",
            ]
        );
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
        // The stuck processes, the killed one, the line on those not listed, and four steps.
        let told = text.lines().count() - 2;
        assert!(text.ends_with(&format!("\n... and {} more\n", 254 + 1 + 1 + 4 - told)), "{text}");
    }

    #[test]
    fn a_message_that_just_fits_is_whole() {
        let lines = |last: usize| ["x".repeat(4_000), "y".repeat(last)];
        assert_eq!(fitted(&lines(94)).len(), LIMIT);
        assert!(fitted(&lines(94)).ends_with("y\n"));
        assert!(fitted(&lines(95)).ends_with("x\n... and 1 more\n"));
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
