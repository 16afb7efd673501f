//! Signals to many processes at once: main's group, every process, or all that can be reached without a look.

use super::super::kernel::Kernel;
use super::super::{Main, log_failure};
use super::send::Reached;
use super::{LOOKS, Recorder, Stopper, send};
use crate::plan::processes::answering::{Recipient, Why};
use crate::plan::processes::facts::FactTable;
use crate::plan::processes::signalled::{OrphanVerdict, Signalled};
use crate::plan::processes::{Process, Table};
use crate::plan::{StopSignal, Target};
use crate::report::Receiver;
use crate::signal::Signal;

impl<K: Kernel> Stopper<K> {
    /// The look has failed: the signal goes to many processes at once, which get no other one in this stage.
    pub(super) fn begin_without_table(
        &mut self,
        signal: StopSignal,
        target: Target,
        main: Main,
        recorder: &mut Recorder<K>,
    ) {
        let known = main.pid().and_then(|main| self.kernel.process(main));
        let table = Table::new(known.into_iter().collect());
        self.signalled = Signalled::begin(signal, self.kernel.moment(), &table);
        recorder.sent(signal.rewritten, Receiver::All);
        if main.pid().is_none() && !self.kernel.is_pid_one() {
            return self.signal_own_children(signal.rewritten, recorder);
        }
        let reached = send::without_table(&self.kernel, signal.rewritten, target, main);
        #[cfg(test)]
        if self.kernel.has_bug(crate::supervisor::simulation::Bug::ForgetsAfterFailedLook) {
            return;
        }
        match reached {
            Reached::All => self.signalled.note_all(),
            Reached::Group(group) => self.signalled.note_group(group),
            Reached::Main | Reached::Nothing => {}
        }
        if let Some(main) = known.filter(|_| reached != Reached::Nothing) {
            self.signalled.note_sent(&main, signal.rewritten, false);
        }
    }

    /// The children that drainit has adopted can be listed although a look at all processes fails.
    fn signal_own_children(&mut self, signal: Signal, recorder: &mut Recorder<K>) {
        let children = self.kernel.own_children().unwrap_or_default();
        let mut found = Vec::new();
        for child in children.into_iter().filter(|child| !recorder.is_step(*child)) {
            match self.kernel.process(child) {
                Some(child) if recorder.is_of_step(&child) => {}
                Some(child) => found.push(child),
                // It keeps its pid until drainit reaps it.
                None => log_failure("cannot signal a child", self.kernel.send(child, signal)),
            }
        }
        let table = Table::new(found);
        let to: Vec<Recipient> =
            table.iter().map(|child| Recipient { pid: child.pid, signal, why: Why::Top }).collect();
        self.send(&table, &to, recorder);
    }

    /// Looks have failed: the children that drainit has adopted are signalled by what is known of each. What is below them is not known.
    pub(super) fn orphans_without_table(&mut self, main: Main, recorder: &mut Recorder<K>) {
        let since = self.kernel.now().saturating_sub(self.began_at);
        let mut left = self.own_children(recorder);
        left.retain(|orphan| {
            let status = || self.kernel.status(orphan.pid);
            let verdict = self.signalled.orphan(orphan, self.kernel.own_pid(), since, self.patience, status);
            !main.is(orphan.pid) && verdict == OrphanVerdict::Signal
        });
        self.send_rest(&Table::new(left), recorder);
    }

    /// The last call, if the look for it has failed: to drainit's own children.
    pub(super) fn call_without_table(&mut self, recorder: &mut Recorder<K>) {
        let mut left = self.own_children(recorder);
        left.retain(|child| !self.signalled.is_done(child));
        self.send_rest(&Table::new(left), recorder);
    }

    fn own_children(&self, recorder: &Recorder<K>) -> Vec<Process> {
        let children = self.kernel.own_children().unwrap_or_default();
        let found = children.into_iter().filter_map(|child| self.kernel.process(child));
        found.filter(|child| child.is_alive() && !recorder.is_of_step(child)).collect()
    }

    /// Main's group as a whole, if it has one of its own.
    pub(super) fn group(&mut self, signal: StopSignal, main: i32, table: &Table, recorder: &mut Recorder<K>) {
        let group = send::group_of(&self.kernel, main);
        let mut facts = FactTable::default();
        self.read_ahead(table, &mut facts, &[main], self.began_at);
        self.note(signal, table, &facts);
        for process in table.iter().filter(|process| Some(process.group) == group) {
            if self.is_over() {
                break;
            }
            self.signalled.note_status(process.pid, &self.kernel.status(process.pid));
        }
        let reached = send::to_group_of(&self.kernel, main, signal.rewritten);
        let is_reached = |process: &&Process| match reached {
            Reached::Group(group) => process.pid == main || process.group == group,
            Reached::Main => process.pid == main,
            Reached::All | Reached::Nothing => false,
        };
        match reached {
            Reached::Group(group) => {
                recorder.sent(signal.rewritten, Receiver::Group);
                self.signalled.note_group(group);
            }
            Reached::Main => recorder.sent(signal.rewritten, Receiver::Main),
            // The members are signalled one by one: each failure is logged, and tried again.
            Reached::All | Reached::Nothing => {
                let is_meant = |process: &&Process| process.pid == main || Some(process.group) == group;
                let recipients: Vec<Recipient> = table
                    .iter()
                    .filter(is_meant)
                    .map(|process| Recipient { pid: process.pid, signal: signal.rewritten, why: Why::Top })
                    .collect();
                self.send(table, &recipients, recorder);
            }
        }
        for process in table.iter().filter(is_reached) {
            let is_refused = send::is_refused(&self.kernel, process);
            if is_refused {
                self.say_refused(process, signal.rewritten);
            }
            self.signalled.note_sent(process, signal.rewritten, is_refused);
            let disposition = self.signalled.disposition(process);
            recorder.signalled(process, disposition, signal.rewritten, is_refused);
            send::continue_stopped(&self.kernel, process);
        }
    }

    /// Signals every process, until a look finds no new one.
    pub(super) fn signal_all(&mut self, mut seen: Option<Table>, recorder: &mut Recorder<K>) {
        let Some(StopSignal { rewritten, .. }) = self.signalled.signal() else { return };
        for _ in 0..LOOKS {
            let Some(table) = seen.take().or_else(|| self.table()) else { return };
            let new = table
                .iter()
                .filter(|process| !self.signalled.is_done(process) && !recorder.is_of_step(process));
            let new: Vec<Recipient> =
                new.map(|process| Recipient { pid: process.pid, signal: rewritten, why: Why::Top }).collect();
            if new.is_empty() {
                return;
            }
            self.send(&table, &new, recorder);
        }
    }
}
