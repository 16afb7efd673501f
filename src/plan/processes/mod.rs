//! The processes below drainit as plain data, and the rules about them.
//!
//! | file | rule |
//! |---|---|
//! | [`tree`] | which processes descend from drainit |
//! | [`answering`] | which of them a stop signals: a process that handles the signal answers for its descendants |
//! | [`foreground`] | the exception: what a shell that catches the signal waits for in the foreground |
//! | [`readers`] | which processes are spared because they end with their writer |
//! | [`signalled`] | which processes have been signalled, so that none is signalled twice in one stage |
//! | [`ignoring`] | whether it can help to wait for the processes that are left |

#![forbid(unsafe_code)]

pub mod answering;
pub mod facts;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod foreground;
pub mod ignoring;
#[cfg(test)]
mod outlook_table;
mod readers;
pub mod shells;
pub mod signalled;
#[cfg(test)]
mod table;
pub mod tree;

use std::fmt;

use crate::signal::{Signal, SignalSet};

/// One process, as one look showed it. Pid and start time together identify it for good; the pid alone does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// When it was started, in clock ticks since boot.
    pub start: u64,
    /// The kernel's letter: R, S, D, T, t, Z, X.
    pub state: u8,
    pub threads: u32,
    /// The processor time that it has used, in clock ticks.
    pub cpu: u64,
    pub name: ProcessName,
    /// It has died of KILL and was not reaped yet; only if the kernel shows how it ended.
    pub has_died_of_kill: bool,
    /// Signals 1 to 31 only, because `/proc/PID/stat` has no more; `None` if it does not show them.
    pub signals: Option<SignalState>,
}

impl Process {
    /// Whether both are the same process, seen at two times.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// What identifies it for good.
    #[must_use]
    pub fn key(&self) -> (i32, u64) {
        (self.pid, self.start)
    }

    /// Whether it can still act. The kernel shows a leader that has ended as a zombie while its threads live on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X') || self.threads > 1
    }

    /// Whether a signal (SIGSTOP, Ctrl-Z) has stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state == b'T'
    }

    /// Its disposition according to its `stat` line; `None` for signals that the line does not have.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> Option<Disposition> {
        self.signals.filter(|_| signal.number() < 32).map(|signals| signals.disposition(signal))
    }
}

/// The living descendants of drainit, as one look showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Sorted by pid.
    processes: Vec<Process>,
    /// Indices into `processes`, sorted by the parent's pid, then by the pid.
    by_parent: Vec<usize>,
}

impl Table {
    /// A table of these processes.
    #[must_use]
    pub fn new(mut processes: Vec<Process>) -> Self {
        processes.sort_unstable_by_key(|process| process.pid);
        let mut by_parent: Vec<usize> = (0..processes.len()).collect();
        by_parent.sort_unstable_by_key(|&at| (processes.get(at).map(|process| process.parent), at));
        Self { processes, by_parent }
    }

    /// The process with this pid.
    #[must_use]
    pub fn find(&self, pid: i32) -> Option<&Process> {
        self.processes
            .binary_search_by_key(&pid, |process| process.pid)
            .ok()
            .and_then(|at| self.processes.get(at))
    }

    /// The children of a process, in order of their pids.
    pub fn children(&self, parent: i32) -> impl Iterator<Item = &Process> {
        let parent_at = |at: &usize| self.processes.get(*at).map_or(0, |process| process.parent);
        let first = self.by_parent.partition_point(|at| parent_at(at) < parent);
        let rest = self.by_parent.iter().skip(first);
        rest.filter_map(|&at| self.processes.get(at)).take_while(move |process| process.parent == parent)
    }
}

impl std::ops::Deref for Table {
    type Target = [Process];

    fn deref(&self) -> &[Process] {
        &self.processes
    }
}

/// What a process does about each signal (proc(5), `SigBlk`, `SigIgn`, `SigCgt`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalState {
    pub blocked: SignalSet,
    pub ignored: SignalSet,
    pub caught: SignalSet,
}

impl SignalState {
    /// Its disposition for this signal. A shell blocks signals for the moment of a fork, so a signal that is blocked and ignored counts as
    /// ignored.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> Disposition {
        if self.caught.contains(signal) && !self.blocked.contains(signal) {
            Disposition::Caught
        } else if self.is_dropped(signal) {
            Disposition::Ignored
        } else if self.blocked.contains(signal) {
            Disposition::Blocked
        } else {
            Disposition::Default
        }
    }

    /// Whether the kernel drops the signal unless it is blocked: it is ignored, or that is its default (signal(7), "Ign").
    fn is_dropped(&self, signal: Signal) -> bool {
        !self.caught.contains(signal) && (self.ignored.contains(signal) || signal.is_ignored_by_default())
    }
}

/// What a process does about one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing: the kernel drops the signal.
    Ignored,
    /// The signal is kept until the process takes it (sigwait, signalfd) or unblocks it.
    Blocked,
    /// It has a handler.
    Caught,
    /// The signal ends it, or stops it.
    Default,
}

/// A process's own name: at most 15 bytes of anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProcessName([u8; 16]);

impl ProcessName {
    /// A name of the first bytes of `name`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(name)
    }

    /// Its bytes, as the kernel has them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        self.0.get(..end).unwrap_or_default()
    }

    /// Whether it is the name of a shell.
    #[must_use]
    pub fn is_shell(&self) -> bool {
        shells::Shell::of(None, self.bytes()).is_some()
    }
}

impl fmt::Display for ProcessName {
    /// As printable ASCII, because it is any bytes, and is shown beside others in columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().escape_ascii().fmt(f)
    }
}

impl fmt::Debug for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::process;
    use super::*;

    #[test]
    fn a_zombie_leader_with_threads_is_alive() {
        let java = process(7, 1, 7, 5);
        assert!(java.is_alive());
        assert!(Process { state: b'Z', threads: 2, ..java }.is_alive());
        assert!(!Process { state: b'Z', threads: 1, ..java }.is_alive());
    }

    #[test]
    fn each_disposition_is_read_off_the_masks() {
        let of = |blocked: &[Signal], ignored: &[Signal], caught: &[Signal], signal| {
            let set = |signals: &[Signal]| signals.iter().fold(SignalSet::default(), |set, &s| set.with(s));
            SignalState { blocked: set(blocked), ignored: set(ignored), caught: set(caught) }
                .disposition(signal)
        };
        let term = [Signal::TERM];
        assert_eq!(of(&[], &[], &[], Signal::TERM), Disposition::Default);
        assert_eq!(of(&[], &term, &[], Signal::TERM), Disposition::Ignored);
        assert_eq!(of(&[], &[], &term, Signal::TERM), Disposition::Caught);
        assert_eq!(of(&term, &[], &[], Signal::TERM), Disposition::Blocked);
        assert_eq!(of(&term, &[], &term, Signal::TERM), Disposition::Blocked);
        assert_eq!(of(&term, &term, &[], Signal::TERM), Disposition::Ignored, "a shell that forks");
        assert_eq!(of(&[], &term, &[], Signal::QUIT), Disposition::Default);
        assert_eq!(of(&[], &[], &[], Signal::WINCH), Disposition::Ignored, "that is its default");
        assert_eq!(of(&[], &[], &[Signal::WINCH], Signal::WINCH), Disposition::Caught);
    }
}
