//! Applying the rule: it names the facts that it needs, and they are read here.

use std::time::Duration;

use super::super::Main;
use super::{LOOKS, Recorder, Stopper};
use crate::plan::StopSignal;
use crate::plan::processes::answering::{self, Input, Recipient, Selection, Why};
use crate::plan::processes::facts::{Call, Fact, FactTable};
use crate::plan::processes::foreground::has_slept;
use crate::plan::processes::signalled::{OrphanVerdict, Signalled};
use crate::plan::processes::{Process, Table};
use crate::signal::Signal;
use crate::supervisor::kernel::Kernel;

/// A shell that is between two commands is looked at again for this long before it is signalled.
const SETTLING: Duration = Duration::from_millis(20);
const BETWEEN_SETTLING: Duration = Duration::from_millis(1);
/// It is looked at this often at least, however long a look takes.
const LEAST_LOOKS: usize = 2;

/// The result of the rule, and the facts that it rests on.
pub(super) struct Selected {
    pub(super) selection: Selection,
    pub(super) facts: FactTable,
    /// A newer table, if a shell has gone on while it was looked at.
    pub(super) newer: Option<Table>,
}

impl<K: Kernel> Stopper<K> {
    /// Applies the rule. A shell may go from one command to the next while /proc is read: then it is looked at again.
    pub(super) fn select(&self, table: &Table, tops: &[i32], signal: StopSignal) -> Selected {
        let begun = self.kernel.now();
        let mut facts = FactTable::default();
        let mut newer: Option<Table> = None;
        let mut looks = 0;
        loop {
            let table = newer.as_ref().unwrap_or(table);
            let is_late = SETTLING <= self.kernel.now().saturating_sub(begun) && LEAST_LOOKS <= looks;
            let is_last_look = is_late || self.has_read_enough(begun);
            let unsettled =
                match self.select_once(&Input { table, tops, signal, is_last_look }, &mut facts, begun) {
                    Ok(selection) => {
                        self.read_ahead(table, &mut facts, &selection.handling, begun);
                        let mut shells = selection.shells.clone();
                        shells.retain(|&shell| !is_last_look && !self.has_slept_since(shell, table, &facts));
                        if shells.is_empty() {
                            return Selected { selection, facts, newer };
                        }
                        shells
                    }
                    Err(unsettled) => unsettled,
                };
            self.kernel.pause(BETWEEN_SETTLING);
            newer = Some(self.look_below(table, &unsettled, &mut facts));
            looks += 1;
        }
    }

    /// Applies the rule to this table, and reads the facts that it names until there is a result.
    ///
    /// # Errors
    /// The shells that are between two commands.
    fn select_once(
        &self,
        input: &Input<'_>,
        facts: &mut FactTable,
        begun: Duration,
    ) -> Result<Selection, Vec<i32>> {
        let own_stdin = self.kernel.own_stdin();
        loop {
            let missing = match answering::select(input, facts) {
                Ok(selection) => return Ok(selection),
                Err(missing) => missing,
            };
            let mut is_new = false;
            let pids = missing.iter().map(|(pid, _)| pid).collect();
            for (pid, fact) in missing.iter() {
                let known = facts.or_default(pid);
                is_new |= !known.has(fact);
                match input.table.find(pid) {
                    Some(process) if !self.has_read_enough(begun) => {
                        self.kernel.read(process, fact, own_stdin, known)
                    }
                    _ => *known = known.or_hidden(),
                }
            }
            if !is_new {
                return Err(pids);
            }
        }
    }

    /// Whether what was read of this shell still holds.
    fn has_slept_since(&self, shell: i32, table: &Table, facts: &FactTable) -> bool {
        let Some(known) = facts.get(shell) else { return true };
        let (children, now) = self.shell(shell, table);
        // Without the kernel's list the other checks have to do.
        let children = children.unwrap_or_else(|| table.children(shell).copied().collect());
        let children: Vec<i32> = children.iter().map(|child| child.pid).collect();
        has_slept(shell, table, known, &children, now.as_ref(), self.kernel.status(shell).switches)
    }

    /// Its living children, if the kernel lists them, and then the shell itself: the order matters for `has_slept`.
    fn shell(&self, shell: i32, table: &Table) -> (Option<Vec<Process>>, Option<Process>) {
        let known = |child: i32| table.find(child).filter(|known| known.parent == shell).copied();
        let now = |child: i32| self.kernel.process(child).filter(Process::is_alive);
        let children = self.kernel.children(shell);
        let children = children.map(|children| {
            children.into_iter().filter_map(|child| known(child).or_else(|| now(child))).collect()
        });
        (children, self.kernel.process(shell))
    }

    /// The same table, with these shells and their children as they are now. Their facts are forgotten.
    fn look_below(&self, table: &Table, shells: &[i32], facts: &mut FactTable) -> Table {
        let mut processes: Vec<Process> = table.to_vec();
        for &shell in shells {
            let (children, now) = self.shell(shell, table);
            // Without the kernel's list all of /proc has to be read.
            let all = || Some(self.table()?.children(shell).copied().collect());
            let Some(children) = children.or_else(all) else { continue };
            processes.retain(|process| process.pid != shell && process.parent != shell);
            processes.extend(now.filter(Process::is_alive).into_iter().chain(children));
            facts.retain(|pid| pid != shell && table.find(pid).is_some_and(|known| known.parent != shell));
        }
        Table::new(processes)
    }

    /// A process that has not run since the signal cannot have been told by an ancestor. To see that later, how often it has gone to sleep is
    /// read before the signal.
    pub(super) fn read_ahead(&self, table: &Table, facts: &mut FactTable, handling: &[i32], begun: Duration) {
        let signal = self.rest.map_or(Signal::TERM, |signal| signal.received);
        let told = answering::may_be_told(table, handling, signal);
        for process in told.iter().filter_map(|pid| table.find(pid)) {
            let facts = facts.or_default(process.pid);
            if facts.status.is_none() && !self.has_read_enough(begun) {
                self.kernel.read(process, Fact::Status, None, facts);
            }
        }
    }

    /// Leaves out the recipients below an orphan that may have been told already.
    pub(super) fn leave_out_told(&mut self, table: &Table, recipients: &mut Vec<Recipient>) {
        let since = self.kernel.now().saturating_sub(self.began_at);
        let mut top = None;
        recipients.retain(|recipient| {
            let Some(process) = table.find(recipient.pid) else { return false };
            // The recipients below a top follow it.
            let Some(top) = top.filter(|_| recipient.why != Why::Top) else {
                top = Some(process);
                return true;
            };
            let (own, patience) = (self.kernel.own_pid(), self.patience);
            let status = || self.kernel.status(process.pid);
            self.signalled.below(top, process, own, since, patience, status) == OrphanVerdict::Signal
        });
    }

    /// Whether the signal has to go out with the facts that are known: the processes are to have most of the time until KILL or the next stage.
    /// What is not known of a process by then counts as if it handled the signal.
    fn has_read_enough(&self, begun: Duration) -> bool {
        let until = self.limit.map(|limit| begun.saturating_add(limit.saturating_sub(begun) / 4));
        until.is_some_and(|until| until <= self.kernel.now())
    }

    /// Whether KILL or the next stage is due.
    pub(super) fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| limit <= self.kernel.now())
    }

    pub(super) fn note(&mut self, signal: StopSignal, table: &Table, facts: &FactTable) {
        self.signalled = Signalled::begin(signal, self.kernel.moment(), table);
        self.note_facts(facts);
    }

    pub(super) fn note_facts(&mut self, facts: &FactTable) {
        for (pid, facts) in facts.iter() {
            if let Some(status) = &facts.status {
                self.signalled.note_status(pid, status);
            }
            if facts.call == Some(Call::AwaitsSignals) {
                self.signalled.note_awaits_signals(pid);
            }
        }
    }

    /// Signals, by the rule, the processes that the stage's target has left out, because KILL would come next.
    pub(in crate::supervisor) fn signal_others(&mut self, main: Main, recorder: &mut Recorder<K>) {
        let (Some(table), Some(signal)) = (self.table(), self.rest) else { return };
        let mut before = Vec::new();
        for _ in 0..LOOKS {
            let is_left_out = |process: &&Process| !main.is(process.pid) && !recorder.is_of_step(process);
            let tops = answering::unanswered(&table, &self.signalled).filter(is_left_out);
            let tops: Vec<i32> = tops.map(|process| process.pid).collect();
            if tops.is_empty() || tops == before {
                return;
            }
            self.by_the_rule(&table, &tops, signal, recorder);
            // What has refused the signal just now answers for no process: those below it come next.
            before = tops;
        }
    }
}
