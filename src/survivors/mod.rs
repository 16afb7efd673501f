//! Who is there: the processes below this one, found in /proc, and who of them was asked to leave.
//!
//! [`Process::parse`] and [`Roster`] are pure; [`look`] does the reading.

#![forbid(unsafe_code)]

mod describe;
mod family;
mod group;
#[cfg(test)]
mod made_up;
mod process;
mod roster;
mod stance;

pub use describe::describe;
pub use group::{has_stopped, is_held_by_sibling, is_orphaned, shares_group};
pub use process::{FirstSignals, Name, Process};
pub use roster::{Moment, Roster};
pub use stance::{Attitude, Stance};

use crate::plan::Waiting;
use crate::signal::Signal;
use crate::sys::{clock, process as own, procfs};
use stance::Deafness;

/// So many looks at one process must say the same.
const AGREEING_LOOKS: usize = 8;
/// Who has had this much processor time, in clock ticks, while it was running at every look, is busy, and not about to wait
/// for a signal.
const BUSY: u64 = 5;

/// The living descendants of this process, adopted ones included; `None` where /proc cannot tell.
///
/// Who was started from outside of the namespace (`kubectl exec`: its parent is 0) is no descendant, nor are its children.
#[must_use]
pub fn look() -> Option<Vec<Process>> {
    if !procfs::is_ours() {
        return None;
    }
    // None of these can go before it is reaped here: a /proc that does not show them hides processes (hidepid, proc(5)).
    let children = procfs::own_children().unwrap_or_default();
    let mut everybody = Vec::new();
    let readable = procfs::each_process(|_, stat| everybody.extend(Process::parse(stat)));
    let mut shown: Vec<i32> = everybody.iter().map(|process| process.pid).collect();
    shown.sort_unstable();
    let is_whole = readable && children.iter().all(|child| shown.binary_search(child).is_ok());
    if !signals_are_shown(&everybody) {
        everybody.iter_mut().for_each(|process| process.signals = None);
    }
    is_whole.then(|| family::descendants(everybody, own::id(), look_at))
}

/// Whether these `stat` lines tell of signals: this process blocks all of them, and a kernel that is only much like Linux may have zeros there.
fn signals_are_shown(everybody: &[Process]) -> bool {
    let own = everybody.iter().find(|process| process.pid == own::id());
    own.and_then(|own| own.signals).is_some_and(|signals| signals.blocked().contains(Signal::TERM))
}

/// The same process as it is now; `None` where it is gone, or its number is somebody else's.
#[must_use]
pub fn look_again(known: &Process) -> Option<Process> {
    look_at(known.pid).filter(|now| now.start == known.start)
}

/// Looks at those who are left, again and again.
#[derive(Debug, Default)]
pub struct Watch {
    /// Somebody who was worth waiting for at the last look; while that holds, nobody else is looked at.
    witness: Option<Process>,
    /// Who has been running at every look since it was first seen so: as it was then.
    running: Vec<Process>,
}

impl Watch {
    /// Looks whether it helps to wait for those who are left to take `signal`.
    #[must_use]
    pub fn judge(&mut self, signal: Signal, main: Option<i32>, roster: &mut Roster) -> Waiting {
        if !procfs::is_ours() {
            return Waiting::CannotTell;
        }
        roster.find_nested_inits(self.witness.as_slice(), is_nested_init);
        let takes_it =
            |pid| !matches!(attitude_of(pid, signal), Some(Attitude::Ignores | Attitude::Blocks) | None);
        let still_holds = |known: &Process| {
            let alive = look_again(known).is_some_and(|now| now.is_alive());
            let holds = || roster.did_not_ignore(known) || deafness(known.pid, signal) == Deafness::Hears;
            alive && (main.is_some() || holds())
        };
        if main.is_some_and(takes_it) || self.witness.as_ref().is_some_and(still_holds) {
            return Waiting::Helps;
        }
        let Some(everyone) = look() else { return Waiting::CannotTell };
        roster.find_nested_inits(&everyone, is_nested_init);
        let before = std::mem::take(&mut self.running);
        let ignores = |process: &Process| match deafness(process.pid, signal) {
            Deafness::Deaf => Some(true),
            Deafness::Hears => Some(false),
            Deafness::Unclear => {
                let first = before.iter().find(|known| known.is_same(process)).unwrap_or(process);
                self.running.push(*first);
                (process.cpu >= first.cpu + BUSY).then_some(true)
            }
        };
        let (waiting, hope) = stance::judge(&everyone, main, roster, ignores);
        self.witness = hope;
        waiting
    }
}

/// Whether the signal does nothing to the process. Who cannot be looked at, because it is gone or somebody else's, is not said
/// to ignore anything.
///
/// A process may begin to wait for the signal, or cease to, between the two files that tell of it; several looks in a row agree
/// only on one that does not wait at all.
fn deafness(pid: i32, signal: Signal) -> Deafness {
    let mut found = Deafness::Deaf;
    for _ in 0..AGREEING_LOOKS {
        let seen = stance(pid).map(|stance| stance.deafness(signal, || procfs::awaited_signals(pid)));
        match seen {
            None | Some(Deafness::Hears) => return Deafness::Hears,
            Some(Deafness::Unclear) => found = Deafness::Unclear,
            Some(Deafness::Deaf) => {}
        }
    }
    found
}

/// Now, as a moment that processes can be compared with.
#[must_use]
pub fn moment() -> Moment {
    Moment { ticks: clock::boot_ticks(), last_pid: procfs::last_pid() }
}

/// What the process does about the signal as far as one look can tell.
#[must_use]
pub fn attitude(process: &Process, signal: Signal) -> Option<Attitude> {
    attitude_of(process.pid, signal)
}

/// The same as it was when the process was looked at, mostly without another look: to open one more file of each costs as much as
/// the look did. A nested init counts as any other process here: see [`Roster::find_nested_inits`].
#[must_use]
pub fn attitude_seen(process: &Process, signal: Signal) -> Option<Attitude> {
    let seen = process.signals.filter(|_| signal.number() < 32);
    seen.map(|seen| Stance::of_stat(seen).attitude(signal)).or_else(|| attitude(process, signal))
}

/// Whether it is the first process of a pid namespace below ours; `None` where that cannot be read.
#[must_use]
pub fn is_nested_init(process: &Process) -> Option<bool> {
    stance(process.pid).map(|stance| stance.is_nested_init())
}

fn attitude_of(pid: i32, signal: Signal) -> Option<Attitude> {
    stance(pid).map(|stance| stance.attitude(signal))
}

// As `look_at`.
#[inline(never)]
fn stance(pid: i32) -> Option<Stance> {
    Stance::parse(procfs::status(pid, &mut procfs::buffer())?)
}

/// The process that has this number now.
// Its buffer is a page, and has no place in the frame of the loop.
#[inline(never)]
#[must_use]
pub fn look_at(pid: i32) -> Option<Process> {
    Process::parse(procfs::stat(pid, &mut procfs::buffer())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survivors::made_up::process;

    #[test]
    fn both_files_say_the_same() {
        let (own, mut buffer) = (own::id(), procfs::buffer());
        let stat =
            procfs::stat(own, &mut buffer).and_then(Process::parse).and_then(|process| process.signals);
        let stat = Stance::of_stat(stat.expect("Linux tells"));
        let status = stance(own).expect("it is there");
        for signal in (1..32).filter_map(Signal::new) {
            assert_eq!(stat.attitude(signal), status.attitude(signal), "{signal}");
        }
        assert_eq!(status.attitude(Signal::PIPE), Attitude::Ignores, "as the standard library has it");
    }

    #[test]
    fn a_kernel_that_has_only_zeros_tells_nothing() {
        let with = |blocked: u32| {
            let own = own::id();
            let stat =
                format!("{own} (x) S 1 {own} 1 {}1 0 500 {}{blocked} 0 0", "0 ".repeat(13), "0 ".repeat(9));
            [process(1, 0, 1, 1), Process::parse(stat.as_bytes()).expect("a good line")]
        };
        assert!(signals_are_shown(&with(0x7ffb_feff)));
        assert!(!signals_are_shown(&with(0)));
        assert!(!signals_are_shown(&[process(1, 0, 1, 1)]), "nor one without the fields");
    }
}
