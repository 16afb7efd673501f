//! Advice about which signal is sent, and to which processes.

use super::shells::main_is_shell;
use super::{NAMED, SLOW};
use crate::outcome::Ended;
use crate::plan::Target;
use crate::plan::processes::Disposition;
use crate::report::record::{ProcessEnd, ProcessRecord, Record};
use crate::report::{format, repeats};
use crate::signal::Signal;

/// A signal that other programs take as a request to stop, and that began no stop.
pub(super) fn unheeded(record: &Record) -> Option<String> {
    let came = record.unheeded?;
    let stop = record.stop.map_or(Signal::TERM, |stop| stop.signal);
    let (signal, after) = (came.what, format::duration(came.at));
    let both = if stop == signal { stop.to_string() } else { format!("{stop},{signal}") };
    Some(format!(
        "{signal} came from outside after {after} and began no stop: if it should begin one, set --stop-signal {both}"
    ))
}

/// Only about processes that suffered for it: others may ignore the signal for good reasons.
pub(super) fn ignoring(record: &Record) -> Option<String> {
    let suffered = |process: &&ProcessRecord| record.suffered_for_ignoring(process);
    let ignoring: Vec<&ProcessRecord> = record.processes.iter().filter(suffered).collect();
    let signal = ignoring.first()?.ignored()?.what;
    let names = repeats::list(&ignoring, NAMED);
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

/// No process handles a signal other than TERM, so those that were sent it died as in a crash: it may be the wrong signal.
pub(super) fn unhandled(record: &Record) -> Option<String> {
    let signal = record.processes.iter().find_map(|process| process.signalled)?.what;
    let mut reached =
        record.processes.iter().filter(|one| one.signalled.is_some_and(|sent| sent.what == signal));
    let has_handler =
        |one: &ProcessRecord| !matches!(one.disposition, Some(Disposition::Default | Disposition::Ignored));
    if matches!(signal, Signal::TERM | Signal::KILL) || reached.clone().any(has_handler) {
        return None;
    }
    reached.any(|one| one.disposition == Some(Disposition::Default)).then(|| {
        format!(
            "no process handles {signal}, which ends a process without a handler at once: \
             send a signal that the server handles, as --rewrite {signal}:TERM does"
        )
    })
}

/// Main handles the signal, and the target had its children signalled as well: that may have cut their work off.
pub(super) fn past_main(record: &Record) -> Option<String> {
    record.target.filter(|target| matches!(target, Target::Group | Target::All))?;
    let main = record.main().filter(|main| main.disposition == Some(Disposition::Caught))?;
    let sent = main.signalled?;
    let target = if record.target == Some(Target::Group) { "group" } else { "all" };
    let children = record.processes.iter().filter(|child| child.parent == main.pid && !child.is_main);
    let children =
        children.filter(|child| child.signalled.is_some_and(|to_child| to_child.what == sent.what));
    let (name, signal) = (format::process(main.name, main.pid), sent.what);

    let main_ended = record.end_of(main).map(|end| end.at);
    let ended_first = |child: &&ProcessRecord| {
        let end = record.end_of(child).filter(|end| end.what != ProcessEnd::LeftBehind);
        !record.was_killed(child)
            && end.is_some_and(|end| main_ended.is_some_and(|main| end.at.saturating_add(SLOW) <= main))
    };
    let first: Vec<&ProcessRecord> = children.clone().filter(ended_first).collect();
    if !first.is_empty() {
        let names = repeats::list(&first, NAMED);
        return Some(format!(
            "{name} catches {signal}, but --forward-to {target} sent it to {names} too, which ended while {name} went on: \
             with --forward-to auto or main only {name} gets it"
        ));
    }
    let ended_well = |one: &ProcessRecord| {
        record.end_of(one).is_some_and(|end| end.what != ProcessEnd::Reaped(Ended::Killed(signal)))
    };
    let main_ended_well = record.main_ended.is_some_and(|end| end.what == Ended::Exited(0));
    if record.killed.is_none() && main_ended_well && children.clone().all(ended_well) {
        return None;
    }
    let both: Vec<&ProcessRecord> =
        children.filter(|child| child.disposition == Some(Disposition::Caught)).collect();
    let (one_parent, get) = if both.len() == 1 { ("its parent", "gets") } else { ("their parent", "get") };
    (!both.is_empty()).then(|| {
        let names = repeats::list(&both, NAMED);
        format!(
            "{names} {get} {signal} twice if {one_parent} {name} passes it on, because --forward-to {target} sent it to both: \
             with --forward-to auto or main only {name} gets it"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::*;
    use crate::report::record::*;

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
            ignoring(&record).as_deref(),
            Some(
                "server (7), server (1234567) and server (9) ignore TERM: handle it, or send a signal that they handle \
                 with --rewrite TERM:..."
            )
        );
    }

    #[test]
    fn a_stop_like_signal_that_began_no_stop_is_told() {
        let mut record = well();
        record.unheeded = Some(timed(3_000, Signal::QUIT));
        assert_eq!(
            unheeded(&record).as_deref(),
            Some(
                "QUIT came from outside after 3.0s and began no stop: if it should begin one, set --stop-signal TERM,QUIT"
            )
        );
        assert_eq!(unheeded(&well()), None);
    }

    #[test]
    fn a_signal_that_no_process_handles_is_told_unless_it_is_term() {
        let stopped_by = |signal, disposition| {
            let mut record = well();
            for process in &mut record.processes {
                process.signalled = Some(timed(5_200, signal));
                process.disposition = disposition;
                process.ended = Some(timed(5_210, ProcessEnd::Reaped(Ended::Killed(signal))));
            }
            unhandled(&record)
        };
        let expected = "no process handles QUIT, which ends a process without a handler at once: send a signal that the \
                        server handles, as --rewrite QUIT:TERM does";
        assert_eq!(stopped_by(Signal::QUIT, Some(Disposition::Default)).as_deref(), Some(expected));
        assert_eq!(
            stopped_by(Signal::TERM, Some(Disposition::Default)),
            None,
            "it is what a process dies of"
        );
        for other in [None, Some(Disposition::Caught), Some(Disposition::Blocked), Some(Disposition::Ignored)]
        {
            assert_eq!(stopped_by(Signal::INT, other), None);
        }
    }

    #[test]
    fn children_that_were_signalled_past_main_are_told() {
        let mut record = well();
        record.processes.iter_mut().filter(|one| !one.is_main).for_each(|one| one.parent = MAIN);
        assert_eq!(past_main(&record), None, "not known");
        record.target = Some(Target::Auto);
        assert_eq!(past_main(&record), None, "the rule leaves them to main");
        record.target = Some(Target::Group);
        assert_eq!(
            past_main(&record).as_deref(),
            Some(
                "server (7) catches TERM, but --forward-to group sent it to worker (12) too, which ended while \
                 server (7) went on: with --forward-to auto or main only server (7) gets it"
            )
        );
        record.processes.retain(|one| one.pid != 12);
        record.target = Some(Target::All);
        assert_eq!(past_main(&record), None, "nothing was lost");
        record.main_ended = Some(timed(6_900, Ended::Exited(1)));
        assert_eq!(
            past_main(&record).as_deref(),
            Some(
                "worker (13) gets TERM twice if its parent server (7) passes it on, because --forward-to all sent it to \
                 both: with --forward-to auto or main only server (7) gets it"
            )
        );
        record.processes.iter_mut().for_each(|one| one.disposition = Some(Disposition::Default));
        assert_eq!(past_main(&record), None);
    }
}
