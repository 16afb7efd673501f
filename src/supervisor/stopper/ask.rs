//! Asking the rule: it names the facts that it wants, and they are read here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Stopper;
use crate::plan::StopSignal;
use crate::plan::processes::answering::{Question, Selection, select};
use crate::plan::processes::facts::{Call, Fact, FactTable};
use crate::plan::processes::signalled::Signalled;
use crate::plan::processes::{Disposition, Process, Table};
use crate::signal::Signal;
use crate::supervisor::kernel::Kernel;

/// So long a shell that is between two commands is looked at again before it is signalled.
const SETTLING: Duration = Duration::from_millis(20);
const BETWEEN_SETTLING: Duration = Duration::from_millis(1);
/// So many processes that may be told by their parents are looked at before the signal.
const READ_AHEAD: usize = 1024;

impl<K: Kernel> Stopper<K> {
    /// Asks the rule, and reads what it wants to know until it has an answer.
    pub(super) fn select(&self, table: &Table, tops: &[i32], signal: StopSignal) -> (Selection, FactTable) {
        let mut facts = FactTable::new();
        let begun = self.kernel.now();
        let own_stdin = self.kernel.own_stdin();
        loop {
            let since = self.kernel.now().saturating_sub(begun);
            let question =
                Question { table, tops, signal, is_last_look: SETTLING <= since || self.is_over() };
            let missing = match select(&question, &facts) {
                Ok(selection) => return (selection, facts),
                Err(missing) => missing,
            };
            let mut is_new = false;
            for (pid, fact) in missing {
                let known = facts.entry(pid).or_default();
                is_new |= !known.has(fact);
                match table.find(pid) {
                    Some(process) if !self.is_over() => self.kernel.read(process, fact, own_stdin, known),
                    _ => *known = known.or_hidden(),
                }
            }
            if !is_new {
                // A shell between two commands will be somewhere in a moment.
                self.kernel.pause(BETWEEN_SETTLING);
            }
        }
    }

    /// What a process that handles the signal may tell its children shows in whether they have run since: that is read before the signal.
    pub(super) fn read_ahead(&self, table: &Table, mut facts: FactTable, handling: &[i32]) -> FactTable {
        let handles = |process: &Process| handling.contains(&process.pid) || self.may_handle(process);
        let mut below: Vec<i32> =
            table.iter().filter(|process| handles(process)).map(|process| process.pid).collect();
        let mut told: BTreeSet<i32> = BTreeSet::new();
        while let Some(parent) = below.pop().filter(|_| told.len() < READ_AHEAD) {
            below.extend(table.children(parent).map(|child| child.pid).filter(|&child| told.insert(child)));
        }
        for process in told.iter().filter_map(|&pid| table.find(pid)) {
            let facts = facts.entry(process.pid).or_default();
            if facts.status.is_none() {
                self.kernel.read(process, Fact::Status, None, facts);
            }
        }
        facts
    }

    /// Whether KILL or the next stage is due.
    pub(super) fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| limit <= self.kernel.now())
    }

    fn may_handle(&self, process: &Process) -> bool {
        let signal = self.rest.map_or(Signal::TERM, |signal| signal.received);
        !matches!(process.disposition(signal), Some(Disposition::Default | Disposition::Ignored))
    }

    pub(super) fn note(&mut self, signal: StopSignal, table: &Table, facts: &FactTable) {
        self.signalled = Signalled::begin(signal, self.kernel.moment(), table);
        self.note_facts(facts);
    }

    pub(super) fn note_facts(&mut self, facts: &FactTable) {
        for (&pid, facts) in facts {
            if let Some(status) = &facts.status {
                self.signalled.note_status(pid, status);
            }
            if facts.call == Some(Call::AwaitsSignals) {
                self.signalled.note_awaits_signals(pid);
            }
        }
    }

    /// Those below the ones that are signalled now were there, too. What one that was signalled before has started since is its clean-up.
    pub(super) fn note_those_below(&mut self, table: &Table, tops: &[i32]) {
        let mut below = tops.to_vec();
        let mut seen: BTreeSet<i32> = BTreeSet::new();
        while let Some(parent) = below.pop() {
            for child in table.children(parent) {
                if !self.signalled.is_done(child) && seen.insert(child.pid) {
                    self.signalled.note_present(child);
                    below.push(child.pid);
                }
            }
        }
    }
}
