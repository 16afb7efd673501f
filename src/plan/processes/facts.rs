//! What a rule has to know of a process beyond its line in the table. It is read only if a rule needs it, because each fact is another file
//! of `/proc`; here it is plain data.

use super::SignalState;
use super::shells::Shell;
use crate::plan::sorted::{Map, Set};
use crate::signal::SignalSet;

/// One thing that a rule has to know of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// Its signals, and what else `/proc/PID/status` shows.
    Status,
    /// The system call that it is in.
    Call,
    /// Whether it is a shell, and which.
    Shell,
    /// What its descriptor 0 is.
    Stdin,
    /// The pipes that its descriptors 1 and 2 write into.
    Outputs,
}

/// What is known of one process. `None` is a fact that has not been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub status: Option<Status>,
    pub call: Option<Call>,
    pub shell: Option<Option<Shell>>,
    pub stdin: Option<Stdin>,
    pub outputs: Option<Outputs>,
}

impl Facts {
    /// Facts that are missing count as hidden: there is no time left to read them.
    #[must_use]
    pub fn or_hidden(self) -> Self {
        Self {
            status: Some(self.status.unwrap_or_default()),
            call: Some(self.call.unwrap_or(Call::Hidden)),
            shell: Some(self.shell.unwrap_or_default()),
            stdin: Some(self.stdin.unwrap_or(Stdin::Hidden)),
            outputs: Some(self.outputs.unwrap_or_default()),
        }
    }

    /// Whether this fact is known.
    #[must_use]
    pub fn has(&self, fact: Fact) -> bool {
        match fact {
            Fact::Status => self.status.is_some(),
            Fact::Call => self.call.is_some(),
            Fact::Shell => self.shell.is_some(),
            Fact::Stdin => self.stdin.is_some(),
            Fact::Outputs => self.outputs.is_some(),
        }
    }
}

/// What is known of each process, by pid.
pub type FactTable = Map<i32, Facts>;

/// What `/proc/PID/status` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// All 64 signals; `None` if the file cannot be read, or has no such lines (gVisor before 2026).
    pub signals: Option<SignalState>,
    /// It is the first process of a nested pid namespace: the kernel drops a signal that it does not handle (pid_namespaces(7)).
    pub is_nested_init: bool,
    /// Signals that were sent to it, and that it has not taken yet.
    pub pending: SignalSet,
    /// How often it has gone to sleep: if the number has not changed, the process has not run.
    pub switches: Option<u64>,
}

/// The system call that a process is in, if it shows what the process waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `rt_sigtimedwait`: it takes signals, and those that it waits for are missing from its mask.
    AwaitsSignals,
    /// `wait4` or `waitid`: a child.
    AwaitsChild,
    /// `rt_sigsuspend`: it waits for a signal that has a handler.
    Suspended,
    /// `read`, with the pipe if it is one, of more than one byte. (The shell command `read` reads single bytes.)
    Reads(Option<u64>),
    /// None: it runs.
    Running,
    Other,
    /// Reading it is not allowed.
    Hidden,
}

/// What descriptor 0 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// A pipe, by the number of its inode.
    Pipe(u64),
    /// `/dev/null`, opened only for reading, as bash does for background commands.
    ReadOnlyNull,
    /// Anything else, as a hash of the file's name, its inode, its mount and its open flags: two processes that share it have the same
    /// number here.
    Other(u64),
    /// It is closed.
    Closed,
    /// Reading it is not allowed.
    Hidden,
}

/// The pipes that descriptors 1 and 2 write into, by the numbers of their inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outputs(pub [Option<u64>; 2]);

impl Outputs {
    /// Whether one of them writes into this pipe.
    #[must_use]
    pub fn write_into(self, pipe: u64) -> bool {
        self.0.contains(&Some(pipe))
    }
}

/// The facts as a rule sees them. Missing ones are noted, so that they can be read and the rule applied again.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    known: &'a FactTable,
    /// What is not known yet.
    pub(super) missing: Set<(i32, Fact)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(known: &'a FactTable) -> Self {
        Self { known, missing: Set::default() }
    }

    fn get<T>(&mut self, pid: i32, fact: Fact, pick: impl Fn(&Facts) -> Option<T>) -> Option<T> {
        let found = self.known.get(pid).and_then(pick);
        if found.is_none() {
            self.missing.insert((pid, fact));
        }
        found
    }

    pub(super) fn status(&mut self, pid: i32) -> Option<Status> {
        self.get(pid, Fact::Status, |facts| facts.status)
    }

    pub(super) fn call(&mut self, pid: i32) -> Option<Call> {
        self.get(pid, Fact::Call, |facts| facts.call)
    }

    pub(super) fn shell(&mut self, pid: i32) -> Option<Option<Shell>> {
        self.get(pid, Fact::Shell, |facts| facts.shell)
    }

    pub(super) fn stdin(&mut self, pid: i32) -> Option<Stdin> {
        self.get(pid, Fact::Stdin, |facts| facts.stdin)
    }

    pub(super) fn outputs(&mut self, pid: i32) -> Option<Outputs> {
        self.get(pid, Fact::Outputs, |facts| facts.outputs)
    }

    /// Names a fact to be read once more, because it is about to change.
    pub(super) fn again(&mut self, pid: i32, fact: Fact) {
        self.missing.insert((pid, fact));
    }
}
