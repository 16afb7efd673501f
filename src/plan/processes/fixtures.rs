//! Processes for tests.

use super::facts::{Call, FactTable, Facts, Outputs, Status, Stdin};
use super::shells::Shell;
use super::{Process, ProcessName, SignalState, Table};
use crate::signal::{Signal, SignalSet};

pub(crate) const MAIN: i32 = 7;

pub(crate) fn process(pid: i32, parent: i32, group: i32, start: u64) -> Process {
    Process {
        pid,
        parent,
        group,
        start,
        state: b'S',
        threads: 1,
        cpu: 0,
        name: ProcessName::new(b"x"),
        has_died_of_kill: false,
        signals: Some(SignalState::default()),
    }
}

fn set(signals: &[Signal]) -> SignalSet {
    signals.iter().fold(SignalSet::default(), |set, &signal| set.with(signal))
}

/// A process with all facts that a rule may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) process: Process,
    pub(crate) facts: Facts,
}

impl Sample {
    /// A child of this parent with every signal at default. Start times follow the pids.
    pub(crate) fn new(pid: i32, parent: i32, name: &str) -> Self {
        let process = Process {
            name: ProcessName::new(name.as_bytes()),
            ..process(pid, parent, MAIN, u64::try_from(pid).expect("a pid"))
        };
        let status = Status {
            signals: Some(SignalState::default()),
            is_nested_init: false,
            pending: SignalSet::default(),
            switches: Some(10),
        };
        let facts = Facts {
            status: Some(status),
            call: Some(Call::Other),
            shell: Some(Shell::of(None, name.as_bytes())),
            stdin: Some(Stdin::Other(1)),
            outputs: Some(Outputs::default()),
        };
        Self { process, facts }
    }

    fn change(mut self, change: impl Fn(&mut SignalState)) -> Self {
        let mut signals = self.process.signals.unwrap_or_default();
        change(&mut signals);
        self.process.signals = Some(signals);
        if let Some(status) = &mut self.facts.status {
            status.signals = Some(signals);
        }
        self
    }

    pub(crate) fn catches(self, signals: &[Signal]) -> Self {
        self.change(|state| state.caught = state.caught.union(set(signals)))
    }

    pub(crate) fn ignores(self, signals: &[Signal]) -> Self {
        self.change(|state| state.ignored = state.ignored.union(set(signals)))
    }

    pub(crate) fn blocks(self, signals: &[Signal]) -> Self {
        self.change(|state| state.blocked = state.blocked.union(set(signals)))
    }

    pub(crate) fn call(mut self, call: Call) -> Self {
        self.facts.call = Some(call);
        self
    }

    pub(crate) fn stdin(mut self, stdin: Stdin) -> Self {
        self.facts.stdin = Some(stdin);
        self
    }

    pub(crate) fn writes_into(mut self, pipe: u64) -> Self {
        self.facts.outputs = Some(Outputs([Some(pipe), None]));
        self
    }

    pub(crate) fn group(mut self, group: i32) -> Self {
        self.process.group = group;
        self
    }

    pub(crate) fn nested_init(mut self) -> Self {
        if let Some(status) = &mut self.facts.status {
            status.is_nested_init = true;
        }
        self
    }
}

/// A table of these processes, and all their facts.
pub(crate) fn world(samples: &[Sample]) -> (Table, FactTable) {
    let table = Table::new(samples.iter().map(|sample| sample.process).collect());
    (table, samples.iter().map(|sample| (sample.process.pid, sample.facts)).collect())
}
