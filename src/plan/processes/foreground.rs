//! What a shell waits for in the foreground.
//!
//! A shell that catches a signal runs its trap only when its foreground command has ended (POSIX, "trap"), so it does not answer for that
//! command: both are signalled. If its command is in the background, the shell is in `wait`, and its trap runs at once. What tells the two
//! apart differs from shell to shell; each rule was found by experiment (`docs/decisions/a-handler-answers.md`).
//!
//! If in doubt, the shell answers: a server that gets the signal a second time, after the trap's, may lose work.

use super::facts::{Call, Fact, Facts, Reader, Stdin};
use super::shells::Shell;
use super::{Process, SignalState, Table};
use crate::signal::{Signal, SignalSet};

/// What a shell that catches the signal waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For these processes in the foreground; its trap runs when they have ended.
    For(Vec<i32>),
    /// For nothing that keeps its trap from running.
    Freely,
    /// Unknown, so the shell counts as answering for its children.
    InDoubt,
    /// Facts are missing.
    NotKnownYet,
}

/// Whether a shell has slept since its facts were read, so that what was found out about it still holds: it waits for the same command, and
/// has the same children.
///
/// /proc is read one file after another while the shell goes on from command to command, so the order matters: `children`, those that live
/// now, are read first, then `now`, the shell itself, and `switches` last. If the shell sleeps now, and has not gone to sleep again since
/// its facts were read, it has slept all the time.
#[must_use]
pub fn has_slept(
    shell: i32,
    table: &Table,
    known: &Facts,
    children: &[i32],
    now: Option<&Process>,
    switches: Option<u64>,
) -> bool {
    let has_run =
        now.is_none_or(|now| now.state == b'R' || Some(now.key()) != table.find(shell).map(Process::key));
    let before = known.status.and_then(|status| status.switches);
    !has_run
        && before == switches
        && children.iter().all(|&child| table.find(child).is_some_and(|known| known.parent == shell))
        && table.children(shell).all(|known| children.contains(&known.pid))
}

/// The signals that a background command of a shell without job control ignores (POSIX, "Asynchronous lists").
const KEYS: SignalSet = SignalSet::from_bits(0).with(Signal::INT).with(Signal::QUIT);

/// What this shell waits for. If `is_last_look`, a shell that is running will not be looked at again.
pub(super) fn waits(
    shell: Shell,
    process: &Process,
    table: &Table,
    facts: &mut Reader<'_>,
    is_last_look: bool,
) -> Waits {
    let Some(youngest) = table.children(process.pid).max_by_key(|child| (child.start, child.pid)) else {
        return Waits::Freely;
    };
    let in_front = match shell {
        Shell::Ash => ash(process, youngest, facts, is_last_look),
        Shell::Bash => bash(process, youngest, table, facts),
        Shell::Zsh => zsh(process, youngest, facts),
        Shell::Other => Some(Front::Doubt),
    };
    match in_front {
        None => Waits::NotKnownYet,
        Some(Front::Nothing) => Waits::Freely,
        Some(Front::Doubt) => Waits::InDoubt,
        Some(Front::Youngest) => {
            pipeline(youngest, process.pid, table, facts).map_or(Waits::NotKnownYet, Waits::For)
        }
    }
}

/// What is in the foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// The youngest child, and the processes that write into it.
    Youngest,
    Nothing,
    Doubt,
}

/// dash and busybox wait for a foreground command in `wait4`, for `$(...)` in `read` from its pipe, and for `wait` in `rt_sigsuspend`. The
/// shell command `read` reads from elsewhere, and a trap interrupts it.
fn ash(shell: &Process, youngest: &Process, facts: &mut Reader<'_>, is_last_look: bool) -> Option<Front> {
    match facts.call(shell.pid)? {
        Call::AwaitsChild => Some(Front::Youngest),
        Call::Reads(Some(pipe)) => {
            Some(if is_captured(pipe, youngest, facts)? { Front::Youngest } else { Front::Nothing })
        }
        Call::Reads(None) | Call::Suspended | Call::AwaitsSignals => Some(Front::Nothing),
        // It is between two commands, and will be in a call in a moment.
        Call::Running | Call::Other if !is_last_look => {
            facts.again(shell.pid, Fact::Call);
            None
        }
        Call::Running | Call::Other => Some(Front::Doubt),
        Call::Hidden => {
            let keys = facts.status(youngest.pid)?.signals;
            Some(if keys.is_some_and(|signals| has_both_at_default(&signals)) {
                Front::Youngest
            } else {
                Front::Doubt
            })
        }
    }
}

/// Whether the shell reads the output of this command from this pipe, for `$(...)`.
fn is_captured(pipe: u64, command: &Process, facts: &mut Reader<'_>) -> Option<bool> {
    let is_background = facts.status(command.pid)?.signals.is_some_and(|it| it.ignored.intersects(KEYS));
    Some(facts.outputs(command.pid)?.write_into(pipe) && !is_background)
}

/// zsh blocks INT only while it waits for a foreground command; for `$(...)` it reads from the command's pipe.
fn zsh(shell: &Process, youngest: &Process, facts: &mut Reader<'_>) -> Option<Front> {
    let signals = facts.status(shell.pid)?.signals.or(shell.signals);
    let Some(signals) = signals else { return Some(Front::Doubt) };
    let is_in_front = signals.blocked.contains(Signal::INT)
        || matches!(facts.call(shell.pid)?, Call::Reads(Some(pipe)) if is_captured(pipe, youngest, facts)?);
    Some(if is_in_front { Front::Youngest } else { Front::Nothing })
}

/// A background command of bash ignores INT and QUIT, and has a read-only `/dev/null` as its stdin. A program may have changed the signals
/// (node resets both and catches INT); then stdin decides, unless the shell reads the command's output, for `$(...)`. If the command is in
/// a group of its own (`set -m`), neither decides.
fn bash(shell: &Process, youngest: &Process, table: &Table, facts: &mut Reader<'_>) -> Option<Front> {
    let signals = facts.status(youngest.pid)?.signals.or(youngest.signals);
    let Some(signals) = signals else { return Some(Front::Doubt) };
    if signals.ignored.intersects(KEYS) {
        return Some(Front::Nothing);
    }
    if youngest.group != shell.group {
        return Some(Front::Doubt);
    }
    if has_both_at_default(&signals) {
        return Some(Front::Youngest);
    }
    if let Call::Reads(Some(pipe)) = facts.call(shell.pid)?
        && is_captured(pipe, youngest, facts)?
    {
        return Some(Front::Youngest);
    }
    let (own, its) = (facts.stdin(shell.pid)?, facts.stdin(youngest.pid)?);
    Some(match its {
        Stdin::ReadOnlyNull | Stdin::Hidden => Front::Doubt,
        its if its == own => Front::Youngest,
        // It reads from a pipe: if the pipeline is in the background, its first command has the null device.
        Stdin::Pipe(pipe) => match writer(pipe, youngest, shell.pid, table, facts)? {
            // The first command of a background pipeline ignores the two signals, whatever the others have done about them.
            Some(writer) if writer.signals.is_some_and(|signals| signals.ignored.intersects(KEYS)) => {
                Front::Nothing
            }
            Some(_) => Front::Youngest,
            None => Front::Doubt,
        },
        Stdin::Other(_) | Stdin::Closed => Front::Doubt,
    })
}

fn has_both_at_default(signals: &SignalState) -> bool {
    !signals.ignored.union(signals.caught).intersects(KEYS)
}

/// The sibling that writes into this pipe, if there is one.
fn writer<'a>(
    pipe: u64,
    reader: &Process,
    parent: i32,
    table: &'a Table,
    facts: &mut Reader<'_>,
) -> Option<Option<&'a Process>> {
    let mut found = Some(None);
    for sibling in table.children(parent).filter(|sibling| sibling.pid != reader.pid) {
        match facts.outputs(sibling.pid) {
            Some(outputs) if outputs.write_into(pipe) => return Some(Some(sibling)),
            Some(_) => {}
            None => found = None,
        }
    }
    found
}

/// The last command of a pipeline, the siblings that write into it, those that write into them, and so on.
fn pipeline(last: &Process, parent: i32, table: &Table, facts: &mut Reader<'_>) -> Option<Vec<i32>> {
    let siblings: Vec<&Process> = table.children(parent).collect();
    let mut members = vec![last.pid];
    let mut at = 0;
    let mut is_whole = siblings.len() > 1;
    if !is_whole {
        return Some(members);
    }
    while let Some(&reader) = members.get(at) {
        at += 1;
        match facts.stdin(reader) {
            None => is_whole = false,
            Some(Stdin::Pipe(pipe)) => {
                for sibling in &siblings {
                    match facts.outputs(sibling.pid) {
                        None => is_whole = false,
                        Some(outputs) if outputs.write_into(pipe) && !members.contains(&sibling.pid) => {
                            members.push(sibling.pid);
                        }
                        Some(_) => {}
                    }
                }
            }
            Some(_) => {}
        }
    }
    is_whole.then_some(members)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{MAIN, Sample, world};
    use super::*;

    #[test]
    fn what_was_found_out_about_a_shell_holds_while_it_sleeps() {
        let shell = Sample::new(MAIN, 1, "sh").catches(&[Signal::TERM]);
        let (table, facts) = world(&[shell, Sample::new(8, MAIN, "sleep")]);
        let known = facts.get(MAIN).expect("it is there");
        let runs = Process { state: b'R', ..shell.process };
        let another = Process { start: 99, ..shell.process };
        for (children, now, switches, holds) in [
            (&[8][..], Some(&shell.process), Some(10), true),
            (&[8], Some(&shell.process), Some(11), false),
            (&[8], Some(&runs), Some(10), false),
            (&[8], Some(&another), Some(10), false),
            (&[8], None, None, false),
            (&[8, 9], Some(&shell.process), Some(10), false),
            (&[9], Some(&shell.process), Some(10), false),
            (&[], Some(&shell.process), Some(10), false),
        ] {
            let said = has_slept(MAIN, &table, known, children, now, switches);
            assert_eq!(said, holds, "{children:?} {now:?} {switches:?}");
        }
    }
}
