//! Who is there: the processes below this one, found in /proc, and who of them was asked to leave.
//!
//! [`Process::parse`] and [`Roster`] are pure; [`look`] does the reading.

#![forbid(unsafe_code)]

mod family;
mod process;
mod roster;
mod stance;

pub use process::{Name, Process};
pub use roster::Roster;
pub use stance::Stance;

use crate::plan::Waiting;
use crate::signal::Signal;
use crate::sys::{process as own, procfs};

/// So many looks at one process must say the same.
const AGREEING_LOOKS: usize = 8;

/// The living descendants of this process, adopted ones included; `None` where /proc cannot tell.
///
/// Who was started from outside of the namespace (`kubectl exec`: its parent is 0) is no descendant, nor are its children.
#[must_use]
pub fn look() -> Option<Vec<Process>> {
    if !procfs::is_ours() {
        return None;
    }
    let mut everybody = Vec::new();
    let readable = procfs::each_process(|_, stat| everybody.extend(Process::parse(stat)));
    readable.then(|| family::descendants(everybody, own::id(), reread))
}

/// The same process as it is now; `None` where it is gone, or its number is somebody else's.
#[must_use]
pub fn look_again(known: &Process) -> Option<Process> {
    reread(known.pid).filter(|now| now.start == known.start)
}

/// Looks whether it helps to wait for those who are left to take `signal`.
///
/// `witness` is somebody who was worth waiting for at the last look; while that holds, nobody else is looked at.
#[must_use]
pub fn judge(signal: Signal, main: Option<i32>, roster: &Roster, witness: &mut Option<Process>) -> Waiting {
    if !procfs::is_ours() {
        return Waiting::CannotTell;
    }
    let ignores = |process: &Process| ignores(process.pid, signal);
    let main_takes_it = main.is_some_and(|main| !self::ignores(main, signal));
    let still_holds = |known: &Process| {
        let alive = look_again(known).is_some_and(|now| now.is_alive());
        alive && (main.is_some() || !ignores(known))
    };
    if main_takes_it || witness.as_ref().is_some_and(still_holds) {
        return Waiting::Helps;
    }
    let Some(everyone) = look() else { return Waiting::CannotTell };
    let (waiting, hope) = stance::judge(&everyone, main, roster, ignores);
    *witness = hope;
    waiting
}

/// Whether the signal does nothing to the process. Who cannot be looked at, because it is gone or somebody else's, is not said
/// to ignore anything.
///
/// A process may begin to wait for the signal, or cease to, between the two files that tell of it; several looks in a row agree
/// only on one that does not wait at all.
fn ignores(pid: i32, signal: Signal) -> bool {
    let ignores = || {
        stance(pid)
            .is_some_and(|stance| stance.ignores(signal, || procfs::awaited_signals(pid).contains(signal)))
    };
    (0..AGREEING_LOOKS).all(|_| ignores())
}

/// Whether the process, which is about to be sent the signal, does nothing about it as far as one look can tell.
#[must_use]
pub fn has_no_use_for(process: &Process, signal: Signal) -> bool {
    stance(process.pid).is_some_and(|stance| stance.has_no_use_for(signal))
}

fn stance(pid: i32) -> Option<Stance> {
    Stance::parse(procfs::status(pid, &mut procfs::buffer())?)
}

/// Whether anybody but this process is in this process group.
#[must_use]
pub fn shares_group(group: i32) -> bool {
    let mut shared = false;
    procfs::each_process(|pid, stat| {
        shared |= pid != own::id() && Process::parse(stat).is_some_and(|process| process.group == group);
    });
    shared
}

fn reread(pid: i32) -> Option<Process> {
    Process::parse(procfs::stat(pid, &mut procfs::buffer())?)
}
