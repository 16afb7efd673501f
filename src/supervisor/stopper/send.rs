//! Sending signals to processes.

use std::io;

use super::super::kernel::Kernel;
use super::super::{Main, NAMED, log_failure};
use crate::plan::processes::answering::{Recipient, Why};
use crate::plan::processes::{Process, Table};
use crate::plan::{Recipients, Target};
use crate::report::format;
use crate::say::{debug, warn};
use crate::signal::Signal;
use crate::sys::{kill, process};
use crate::text::plain;

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Sent,
    /// The process is gone.
    Gone,
    /// EPERM: this process may not signal it.
    Refused,
    /// Another error, which may pass (EAGAIN: too many real-time signals wait).
    Failed,
}

/// Signals one process. drainit's own children keep their pids until they are reaped; every other process is pinned, and checked again
/// first.
pub(super) fn one(kernel: &impl Kernel, process: &Process, signal: Signal) -> Delivery {
    let pinned = (process.parent != kernel.own_pid()).then(|| kernel.pin(process.pid));
    if pinned.is_some() && kernel.process_again(process).is_none() {
        return Delivery::Gone;
    }
    let sent = match &pinned {
        Some(pinned) => kernel.send_pinned(pinned, signal),
        None => kernel.send(process.pid, signal),
    };
    match sent {
        Ok(()) => Delivery::Sent,
        Err(error) => {
            let name = format::process(process.name, process.pid);
            debug!("cannot send {signal} to {name}: {}", plain(&error));
            to_delivery(&error)
        }
    }
}

pub(super) fn to_delivery(error: &io::Error) -> Delivery {
    if kill::is_gone(error) {
        Delivery::Gone
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        Delivery::Refused
    } else {
        Delivery::Failed
    }
}

/// A process that is stopped takes no signal but KILL before it is continued.
pub(super) fn continue_stopped(kernel: &impl Kernel, process: &Process) {
    if process.is_stopped() {
        let _ = one(kernel, process, Signal::CONT);
    }
}

pub(super) fn to_main(kernel: &impl Kernel, main: i32, signal: Signal) -> Delivery {
    match kernel.send(main, signal) {
        Ok(()) => Delivery::Sent,
        Err(error) => {
            let delivery = to_delivery(&error);
            if delivery == Delivery::Failed {
                log_failure("cannot signal the command", Err(error));
            }
            delivery
        }
    }
}

/// The group that main is in now; `None` if that is drainit's own, or is not known.
pub(super) fn group_of(kernel: &impl Kernel, main: i32) -> Option<i32> {
    kernel.group_of(main).filter(|&group| group > 1 && group != kernel.own_group())
}

/// Whether a signal to this process is refused. One to its whole group succeeds if it reaches any member (kill(2)).
pub(super) fn is_refused(kernel: &impl Kernel, process: &Process) -> bool {
    kernel.may_signal(process.pid).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Which processes a signal has reached if it was sent without a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Reached {
    Main,
    Group(i32),
    All,
    Nothing,
}

/// Main's group, or main itself if it has none of its own.
pub(super) fn to_group_of(kernel: &impl Kernel, main: i32, signal: Signal) -> Reached {
    if let Some(group) = group_of(kernel, main) {
        match kernel.send_to_group(group, signal) {
            Ok(()) => return Reached::Group(group),
            // Main has left the group meanwhile.
            Err(error) if kill::is_gone(&error) => {
                #[cfg(test)]
                if kernel.has_bug(crate::supervisor::simulation::Bug::GroupIsGone) {
                    return Reached::Group(group);
                }
            }
            sent @ Err(_) => {
                log_failure("cannot signal the group", sent);
                return Reached::Nothing;
            }
        }
    }
    reached_main(kernel, main, signal)
}

fn reached_main(kernel: &impl Kernel, main: i32, signal: Signal) -> Reached {
    match to_main(kernel, main, signal) {
        Delivery::Sent => Reached::Main,
        Delivery::Gone | Delivery::Refused | Delivery::Failed => Reached::Nothing,
    }
}

/// Without /proc the signal cannot be sent to single descendants.
pub(in crate::supervisor) fn without_table(
    kernel: &impl Kernel,
    signal: Signal,
    target: Target,
    main: Main,
) -> Reached {
    match (target, main) {
        (Target::Main, Main::Alive(main)) => reached_main(kernel, main, signal),
        (Target::Group, Main::Alive(main)) => to_group_of(kernel, main, signal),
        // Without a look the rule cannot be applied. Main's group comes closest to it.
        (Target::Auto, Main::Alive(main)) if !kernel.is_pid_one() => to_group_of(kernel, main, signal),
        (Target::Auto | Target::Main | Target::Group | Target::All, _) => unseen(kernel, signal, main),
    }
}

/// As PID 1, signals every process; otherwise the group, while its number is surely the command's.
pub(super) fn unseen(kernel: &impl Kernel, signal: Signal, main: Main) -> Reached {
    let mut reached = Reached::Nothing;
    for signal in [signal, Signal::CONT] {
        let sent = match main {
            _ if kernel.is_pid_one() => {
                reached = Reached::All;
                kernel.send_to_every_process(signal)
            }
            Main::Alive(main) => {
                let now = to_group_of(kernel, main, signal);
                reached = if reached == Reached::Nothing { now } else { reached };
                Ok(())
            }
            Main::Gone(_) => Err(io::Error::other("/proc is missing")),
        };
        log_failure("cannot signal the processes that are left", sent);
    }
    reached
}

pub(super) fn in_words(to: Recipients) -> &'static str {
    match to {
        Recipients::Main | Recipients::MainOrGroup => "the command",
        Recipients::Group => "the command's group",
        Recipients::Adopted | Recipients::AdoptedOrGroups => "the processes that the command left behind",
        Recipients::All => "every process that is left",
    }
}

/// `sending TERM to server (7) and worker (9)`; `None` if there is none.
pub(super) fn words(table: &Table, recipients: &[Recipient]) -> Option<String> {
    let named = |recipient: &Recipient| {
        let process = table.find(recipient.pid);
        process.map(|process| format::process(process.name, process.pid)).unwrap_or_default()
    };
    let signal = recipients.first()?.signal;
    Some(format!("sending {signal} to {}", format::list(recipients.iter().map(named), NAMED)))
}

pub(super) fn reason(why: Why, signal: Signal) -> String {
    match why {
        Why::Top => "no other process is to pass it on".to_owned(),
        Why::ForegroundOf(shell) => format!("shell {shell} waits for it in the foreground"),
        Why::BelowIgnoring(parent) => format!("its parent {parent} ignores {signal}"),
    }
}

/// Logs that a signal was refused.
pub(super) fn say_refused(process: &Process, signal: Signal) {
    let name = format::process(process.name, process.pid);
    warn!(
        "{signal} to {name} was refused: it runs as another user, and drainit lacks the capability CAP_KILL"
    );
}

/// A command that puts itself in the background exits with 0, and leaves daemons behind in sessions of their own.
pub(super) fn warn_of_daemons(table: &Table) {
    let own_session = process::first_session();
    let is_daemon =
        |one: &&Process| process::session_of(one.pid).is_some_and(|session| Some(session) != own_session);
    let daemons: Vec<&Process> = table.iter().filter(is_daemon).collect();
    if !daemons.is_empty() {
        let names = format::list(daemons.iter().map(|one| format::process(one.name, one.pid)), NAMED);
        warn!(
            "the command exited with 0 and left {names} running in the background: stopping them; to keep such processes running, use --wait-for-all"
        );
    }
}

/// Sends one signal to one process that is not part of the stop.
pub(in crate::supervisor) fn send_one(kernel: &impl Kernel, process: &Process, signal: Signal) {
    let _ = one(kernel, process, signal);
}

/// The same, and continues it if it is stopped.
pub(in crate::supervisor) fn send_and_continue(kernel: &impl Kernel, process: &Process, signal: Signal) {
    send_one(kernel, process, signal);
    continue_stopped(kernel, process);
}
