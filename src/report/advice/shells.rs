//! Advice about shells in front of servers.

use std::time::Duration;

use super::{NAMED, SLOW, outlived};
use crate::outcome::Ended;
use crate::plan::Target;
use crate::plan::processes::Disposition;
use crate::report::record::{ProcessRecord, Record, TOGETHER, Timed};
use crate::report::{format, repeats};
use crate::signal::Signal;

/// The kernel keeps this many bytes of a process's name (proc_pid_comm(5)).
const NAME_LENGTH: usize = 15;
/// If a process is reaped by its own parent, drainit sees its end up to this late: at the next look.
const SEEN_LATE: Duration = Duration::from_millis(500);

/// A shell that dies of the signal leaves its children without a parent, and their exit status is lost.
pub(super) fn died_first(record: &Record) -> Option<String> {
    let end = record.main_ended.filter(|_| main_is_shell(record))?;
    let Ended::Killed(signal) = end.what else { return None };
    let others: Vec<&ProcessRecord> = outlived(record, end.at).collect();
    if others.is_empty() {
        return None;
    }
    let (main, names) = (format::main(record), repeats::list(&others, NAMED));
    Some(format!(
        "{main}, a shell, died of {signal} while {names} went on: exec the server in the entrypoint"
    ))
}

/// A trap runs when the foreground command has ended. The record shows a foreground command by this: the rule has signalled it although its
/// parent, the shell, handles the signal.
pub(super) fn waits_in_front(record: &Record) -> Option<String> {
    record.target.filter(|&target| target == Target::Auto)?;
    record.processes.iter().find_map(|shell| {
        let sent = catching_shell(record, shell)?;
        let is_in_front = |child: &&ProcessRecord| {
            child.parent == shell.pid
                && child.signalled.is_some_and(|to_child| to_child.at.abs_diff(sent.at) <= TOGETHER)
        };
        let command =
            record.processes.iter().filter(is_in_front).max_by_key(|child| record.waited_so_far(child))?;
        let (shell_s, waited) = (record.waited_so_far(shell)?, record.waited_so_far(command)?);
        if waited < SLOW || shell_s.saturating_add(SEEN_LATE) < waited {
            return None;
        }
        let [shell, name] = [shell, command].map(|one| format::process(one.name, one.pid));
        let waited = format::duration(waited);
        let end = if record.was_killed(command) {
            "was killed after"
        } else if record.end_of(command).is_none() {
            "had not ended after"
        } else {
            "ended after"
        };
        Some(format!(
            "the trap of {shell} runs only when its foreground command has ended, and {name} {end} {waited}: \
             start it in the background and wait for it, as in `server & wait`"
        ))
    })
}

/// A trap that does not exit: the loop goes on, and starts the same commands again. A shell that ended by itself was only cleaning up.
pub(super) fn goes_on(record: &Record) -> Option<String> {
    record.processes.iter().find_map(|shell| {
        let sent = catching_shell(record, shell)?;
        if record.end_of(shell).is_some() && !record.was_killed(shell) {
            return None;
        }
        let children = || record.processes.iter().filter(|child| child.parent == shell.pid);
        let before = |child: &&ProcessRecord| child.first_seen <= sent.at.saturating_add(TOGETHER);
        let again = children().filter(|child| !before(child)).find(|new| {
            let mut old = children().filter(before);
            old.any(|old| {
                old.name == new.name && record.end_of(old).is_some_and(|end| end.at <= new.first_seen)
            })
        })?;
        let (name, signal) = (format::process(shell.name, shell.pid), sent.what);
        Some(format!(
            "{name} catches {signal} and goes on: it started {} again afterwards; end its trap with `exit`",
            again.name
        ))
    })
}

/// The signal that a shell was sent, if it handles that.
fn catching_shell(record: &Record, process: &ProcessRecord) -> Option<Timed<Signal>> {
    let is_shell = process.name.is_shell() || (process.is_main && main_is_shell(record));
    process.signalled.filter(|_| is_shell && process.disposition == Some(Disposition::Caught))
}

/// The kernel names a script's process after the first bytes of the script's name, until the process executes another program. If main was
/// never seen alive, it may have done that, so it does not count as a shell.
pub(super) fn main_is_shell(record: &Record) -> bool {
    let Some(main) = record.main() else { return false };
    let command = record.command.rsplit('/').next().unwrap_or_default();
    let is_script = command.ends_with(".sh");
    let is_named_after = || command.bytes().take(NAME_LENGTH).eq(main.name.bytes().iter().copied());
    main.name.is_shell() || (is_script && is_named_after())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::KillReason;
    use crate::report::fixtures::*;
    use crate::report::record::*;

    /// A shell with a trap, whose foreground command ends at this time.
    fn trap(command_ends: u64) -> Record {
        let mut record = well();
        record.target = Some(Target::Auto);
        record.steps.clear();
        record.processes = vec![
            ProcessRecord { is_main: true, ..one(MAIN, "sh", 9_000) },
            ProcessRecord {
                parent: MAIN,
                disposition: Some(Disposition::Default),
                ..one(12, "sleep", command_ends)
            },
        ];
        record
    }

    #[test]
    fn a_trap_that_waits_for_its_foreground_command_is_seen() {
        assert_eq!(
            waits_in_front(&trap(8_200)).as_deref(),
            Some(
                "the trap of sh (7) runs only when its foreground command has ended, and sleep (12) ended after \
                 3.0s: start it in the background and wait for it, as in `server & wait`"
            )
        );
        assert_eq!(waits_in_front(&trap(5_300)), None, "it cost nothing");
        assert_eq!(
            waits_in_front(&Record { target: Some(Target::Group), ..trap(8_200) }),
            None,
            "no evidence"
        );
        let mut later = trap(8_200);
        later.processes.iter_mut().filter(|one| !one.is_main).for_each(|one| {
            one.signalled = Some(timed(8_000, Signal::TERM));
        });
        assert_eq!(waits_in_front(&later), None, "the last call reaches every process");
    }

    #[test]
    fn a_loop_that_goes_on_after_the_trap_is_seen() {
        let mut record = trap(5_210);
        assert_eq!(goes_on(&record), None);
        let unsignalled =
            ProcessRecord { parent: MAIN, first_seen: ms(15_200), signalled: None, ..one(20, "sleep", 0) };
        record.processes.push(unsignalled);
        assert_eq!(goes_on(&record), None, "it cleaned up, and ended");
        record.killed = Some(timed(15_200, KillReason::Elapsed));
        record.processes.iter_mut().filter(|one| one.is_main).for_each(|shell| {
            shell.ended = Some(timed(15_210, ProcessEnd::Reaped(Ended::Killed(Signal::KILL))));
        });
        assert_eq!(
            goes_on(&record).as_deref(),
            Some(
                "sh (7) catches TERM and goes on: it started sleep again afterwards; end its trap with `exit`"
            )
        );
        record.processes.iter_mut().filter(|one| one.pid == 20).for_each(|one| one.name = name(b"backup"));
        assert_eq!(goes_on(&record), None, "the trap may have started it");
    }
}
