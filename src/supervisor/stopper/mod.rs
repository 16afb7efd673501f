//! The stopper: sends the signals of the plan, looks at the processes that are left, and kills them.
//!
//! The rules of [`plan::processes`](crate::plan::processes) decide which processes these are. The stopper reads /proc for the rules, and
//! carries out their results.

#![forbid(unsafe_code)]

mod kill;
mod many;
mod select;
pub(super) mod send;
mod sight;

use std::time::Duration;

use super::Main;
use super::kernel::{Kernel, Linux};
use super::recorder::Recorder;
use crate::outcome::Ended;
use crate::plan::processes::answering::{Recipient, Selection, Why};
use crate::plan::processes::facts::FactTable;
use crate::plan::processes::ignoring::{Closer, IgnoreCheck, Look, Outlook};
use crate::plan::processes::signalled::{OrphanVerdict, Signalled, TOLD_PATIENCE};
use crate::plan::processes::{Disposition, Process, Table};
use crate::plan::sorted::Set;
use crate::plan::{Cause, Recipients, StopSignal, Target};
use crate::report::{Receiver, format};
use crate::say::{debug, info};
use crate::signal::{Signal, SignalSet};
pub(super) use kill::left_behind;
use select::Selected;
use send::Delivery;
pub(super) use send::{send_and_continue, send_one};

/// The most looks for new processes: if processes are started faster than that, the rest is left to the next stage of the stop.
const LOOKS: usize = 64;
/// How often, and how far apart, a failed look is repeated before a stage begins without one.
const TRIES: usize = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);
/// The most processes whose refusals are logged, however long drainit runs.
const REFUSING: usize = 64;

/// What is known of the stop that is under way.
#[derive(Debug)]
pub(super) struct Stopper<K: Kernel = Linux> {
    kernel: K,
    /// How long a process that may have been told by its parent is left alone.
    patience: Duration,
    signalled: Signalled,
    began_at: Duration,
    /// The signal for the processes that the stage's target leaves out at first.
    rest: Option<StopSignal>,
    check: IgnoreCheck,
    /// Children of drainit that need not be looked at again.
    settled: Vec<i32>,
    /// Signals that could not be sent, for a reason that may pass.
    unsent: Vec<(Process, Signal)>,
    /// What the last look showed.
    last_look: Table,
    /// When KILL or the next stage is due.
    limit: Option<Duration>,
    /// When KILL comes, if the last call could not read /proc and has to be repeated.
    call_again: Option<Duration>,
    /// The signals that were forwarded to the command.
    forwarded: SignalSet,
    /// Main, which is looked at each time a signal is forwarded.
    watched_main: K::Watched,
    /// Whether it is limited how long processes that ignore the signal are waited for.
    checks_ignoring: bool,
    /// Whether it was logged that /proc shows nothing of signals.
    has_said_hidden: bool,
    killing: bool,
    failed_looks: u32,
    /// Processes whose refusal was logged, by pid and start time.
    refusing: Set<(i32, u64)>,
}

impl<K: Kernel> Stopper<K> {
    /// `patience` is how long processes that ignore the signal are waited for, if that is limited.
    pub(super) fn new(kernel: K, patience: Option<Duration>) -> Self {
        Self {
            kernel,
            patience: patience.unwrap_or(TOLD_PATIENCE),
            signalled: Signalled::default(),
            began_at: Duration::ZERO,
            rest: None,
            check: IgnoreCheck::default(),
            settled: Vec::new(),
            unsent: Vec::new(),
            last_look: Table::default(),
            limit: None,
            call_again: None,
            forwarded: SignalSet::default(),
            watched_main: K::Watched::default(),
            checks_ignoring: patience.is_some(),
            has_said_hidden: false,
            killing: false,
            failed_looks: 0,
            refusing: Set::default(),
        }
    }

    pub(super) fn is_killing(&self) -> bool {
        self.killing
    }

    /// The signal that the processes were last sent.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.signalled.signal().map(|signal| signal.rewritten)
    }

    /// Which processes have been sent it.
    pub(super) fn signalled(&self) -> &Signalled {
        &self.signalled
    }

    /// Whether this signal was forwarded, and no stop has begun.
    pub(super) fn has_forwarded(&self, signal: Signal) -> bool {
        self.forwarded.contains(signal) && self.signal().is_none()
    }

    /// When KILL or the next stage is due: a look is given up then.
    pub(super) fn set_limit(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    fn table(&self) -> Option<Table> {
        self.kernel.table_while(&|| !self.is_over())
    }

    /// As `table`, repeated if it fails: without a table all processes are signalled alike.
    fn table_for_a_stage(&self) -> Option<Table> {
        for _ in 0..TRIES {
            if let Some(table) = self.table() {
                return Some(table);
            }
            if self.is_over() || !self.kernel.has_own_proc() {
                return None;
            }
            self.kernel.pause(BETWEEN_TRIES);
        }
        None
    }

    /// Sends a signal that is no request to stop.
    pub(super) fn forward(&mut self, signal: Signal, to: Recipients, main: Main, recorder: &mut Recorder<K>) {
        self.forwarded = self.forwarded.with(signal);
        let to = match (to, main.pid()) {
            (Recipients::MainOrGroup, Some(main))
                if self.kernel.watched_handles(&mut self.watched_main, main, signal) =>
            {
                Recipients::Main
            }
            (Recipients::MainOrGroup, Some(_)) => Recipients::Group,
            (to, _) => to,
        };
        info!("forwarding {signal} to {}", send::in_words(to));
        match (to, main) {
            (Recipients::Main, Main::Alive(pid)) => {
                // Main is not looked at: a look takes a page of memory, and there may be none.
                if send::to_main(&self.kernel, pid, signal) == Delivery::Refused {
                    self.say_main_refused(pid, signal);
                } else {
                    recorder.sent(signal, Receiver::Main);
                }
            }
            (Recipients::Group, Main::Alive(pid)) => {
                recorder.sent(signal, Receiver::Group);
                send::to_group_of(&self.kernel, pid, signal);
            }
            (Recipients::Adopted | Recipients::AdoptedOrGroups, _) => {
                self.forward_to_adopted(signal, to == Recipients::AdoptedOrGroups, main, recorder);
            }
            (Recipients::All | Recipients::Main | Recipients::Group | Recipients::MainOrGroup, _) => {
                recorder.sent(signal, Receiver::All);
                match self.kernel.table() {
                    Some(table) => {
                        table.iter().for_each(|process| _ = send::one(&self.kernel, process, signal))
                    }
                    None => _ = send::unseen(&self.kernel, signal, main),
                }
            }
        }
    }

    fn forward_to_adopted(
        &mut self,
        signal: Signal,
        or_groups: bool,
        main: Main,
        recorder: &mut Recorder<K>,
    ) {
        let Some(table) = self.kernel.table() else {
            send::unseen(&self.kernel, signal, main);
            return;
        };
        let children: Vec<&Process> =
            table.children(self.kernel.own_pid()).filter(|child| !recorder.is_of_step(child)).collect();
        let mut to: Set<i32> = Set::default();
        for child in children {
            let alone = !or_groups || self.kernel.handles(child.pid, signal);
            let group = table.iter().filter(|process| !alone && process.group == child.group);
            group.map(|process| process.pid).chain([child.pid]).for_each(|pid| _ = to.insert(pid));
        }
        for process in to.iter().filter_map(|pid| table.find(pid)) {
            match send::one(&self.kernel, process, signal) {
                Delivery::Sent => recorder.sent(signal, Receiver::Process(process.pid)),
                Delivery::Refused => self.say_refused(process, signal),
                Delivery::Gone | Delivery::Failed => {}
            }
        }
    }

    /// Logs that a signal was refused, once for each process.
    pub(super) fn say_refused(&mut self, process: &Process, signal: Signal) {
        if self.refusing.len() < REFUSING && self.refusing.insert(process.key()) {
            send::say_refused(process, signal);
        }
    }

    fn say_main_refused(&mut self, main: i32, signal: Signal) {
        if let Some(process) = self.kernel.process(main) {
            self.say_refused(&process, signal);
        }
    }

    /// Begins a stage.
    pub(super) fn begin_stage(
        &mut self,
        signal: StopSignal,
        target: Target,
        cause: Cause,
        main: Main,
        recorder: &mut Recorder<K>,
    ) {
        let now = self.kernel.now();
        let before = self.signal();
        let table = self.table_for_a_stage();
        if let (Cause::Elapsed | Cause::Ignored(_), Some(before)) = (cause, before) {
            let waited_for = |table| recorder.waited_for(table, before, &self.signalled);
            let left = table.as_ref().map(waited_for).unwrap_or_default();
            recorder.escalates(before, signal.rewritten, cause, &left);
        }
        recorder.begin_signalling(now, signal.rewritten, target);
        if let (Cause::OwnExit, Some(Ended::Exited(0)), Some(table)) = (cause, main.ended(), &table) {
            send::warn_of_daemons(table);
        }
        self.began_at = now;
        self.settled.clear();
        self.unsent.clear();
        self.rest = Some(signal.for_others(target));
        let Some(table) = table else {
            self.note_failed_look(sight::FAILURES);
            return self.begin_without_table(signal, target, main, recorder);
        };
        self.say_what_is_hidden(&table, signal.rewritten);
        let ignores = |main: &&Process| main.disposition(signal.rewritten) == Some(Disposition::Ignored);
        let main_process = main.pid().and_then(|pid| table.find(pid)).filter(ignores);
        self.check.begin(now, &table, main_process, |main| self.kernel.moved(main));
        recorder.present(&table);
        self.last_look = table.clone();
        let main_pid = main.pid().filter(|&pid| table.find(pid).is_some());
        match (target, main_pid) {
            (Target::All, _) => {
                self.signalled = Signalled::begin(signal, self.kernel.moment(), &table);
                self.signal_all(Some(table), recorder);
            }
            (Target::Main, Some(pid)) => {
                let mut facts = FactTable::default();
                self.read_ahead(&table, &mut facts, &[pid], now);
                self.note(signal, &table, &facts);
                self.send(&table, &[Recipient { pid, signal: signal.rewritten, why: Why::Top }], recorder);
            }
            (Target::Group, Some(pid)) => self.group(signal, pid, &table, recorder),
            (Target::Auto, _) | (Target::Main | Target::Group, None) => {
                let tops = self.tops(&table, main_pid, recorder);
                let Selected { selection, facts, newer } = self.select(&table, &tops, signal);
                let table = newer.unwrap_or(table);
                self.note(signal, &table, &facts);
                self.note_selection(&selection, recorder);
                self.send(&table, &selection.recipients, recorder);
            }
        }
    }

    /// The processes where the rule begins: main, and the processes that drainit has adopted.
    fn tops(&self, table: &Table, main: Option<i32>, recorder: &Recorder<K>) -> Vec<i32> {
        let adopted = table
            .children(self.kernel.own_pid())
            .filter(|child| Some(child.pid) != main && !recorder.is_of_step(child));
        main.into_iter().chain(adopted.map(|child| child.pid)).collect()
    }

    fn send(&mut self, table: &Table, recipients: &[Recipient], recorder: &mut Recorder<K>) {
        if let Some(line) = send::words(table, recipients) {
            info!("{line}");
        }
        for &Recipient { pid, signal, why } in recipients {
            let Some(process) = table.find(pid) else { continue };
            if self.signalled.wants_status(process) && !self.is_over() {
                self.signalled.note_status(pid, &self.kernel.status(pid));
            }
            debug!("{signal} to {}: {}", format::process(process.name, pid), send::reason(why, signal));
            if let Why::ForegroundOf(shell) = why {
                recorder.in_foreground(shell, pid);
            }
            let delivery = send::one(&self.kernel, process, signal);
            match delivery {
                Delivery::Sent => recorder.sent_to(process, signal),
                Delivery::Refused => self.say_refused(process, signal),
                Delivery::Gone => continue,
                Delivery::Failed => {
                    self.unsent.push((*process, signal));
                    continue;
                }
            }
            self.signalled.note_sent(process, signal, delivery == Delivery::Refused);
            recorder.signalled(
                process,
                self.signalled.disposition(process),
                signal,
                delivery == Delivery::Refused,
            );
            send::continue_stopped(&self.kernel, process);
        }
    }

    /// Signals new orphans, continues processes that have been stopped since, and judges if that is requested.
    pub(super) fn look(&mut self, judges: bool, main: Main, recorder: &mut Recorder<K>) -> Option<Outlook> {
        self.send_again(recorder);
        if let Some(process) = main.pid().and_then(|main| self.kernel.process(main)) {
            send::continue_stopped(&self.kernel, &process);
        }
        if let Some(kill_at) = self.call_again.take() {
            self.last_call(kill_at.saturating_sub(self.kernel.now()), recorder);
        }
        let holds = judges && self.is_worth_waiting(main);
        if !self.has_new_orphans(main, recorder) && (!judges || holds) {
            return judges.then_some(Outlook::KeepWaiting);
        }
        let Some(table) = self.table() else {
            self.note_failed_look(1);
            if self.looks_fail() {
                self.orphans_without_table(main, recorder);
            }
            let outlook = if self.kernel.has_own_proc() { Outlook::KeepWaiting } else { Outlook::Unknown };
            return judges.then_some(outlook);
        };
        recorder.seen(&table);
        self.last_look = table.clone();
        self.orphans(&table, main, recorder);
        for process in
            table.iter().filter(|process| process.is_stopped() && self.signalled.was_signalled(process))
        {
            send::continue_stopped(&self.kernel, process);
        }
        if !judges || holds {
            return judges.then_some(Outlook::KeepWaiting);
        }
        let look = Look {
            now: self.kernel.now(),
            table: &table,
            main: main.pid(),
            ticks_per_second: self.kernel.ticks_per_second(),
        };
        let (kernel, limit) = (&self.kernel, self.limit);
        let closer = |process: &Process| {
            let is_over = limit.is_some_and(|limit| limit <= kernel.now());
            if is_over { Closer::hidden() } else { kernel.closer(process) }
        };
        Some(self.check.outlook(&look, &self.signalled, closer))
    }

    /// Whether the last look's reason to wait still holds; then no other process has to be looked at.
    fn is_worth_waiting(&self, main: Main) -> bool {
        if main
            .pid()
            .and_then(|main| self.kernel.process(main))
            .is_some_and(|main| main.is_alive() && self.signalled.is_worth_waiting_for(&main))
        {
            return true;
        }
        let known = self
            .check
            .worth_waiting_for()
            .and_then(|known| self.kernel.process_again(known))
            .filter(Process::is_alive);
        known.is_some_and(|known| main.pid().is_some() || IgnoreCheck::still_holds(&self.signalled, &known))
    }

    /// The kernel's list of drainit's own children shows whether there may be an orphan that was not looked at yet.
    fn has_new_orphans(&self, main: Main, recorder: &Recorder<K>) -> bool {
        let Some(children) = self.kernel.own_children() else { return true };
        let is_known = |child: &i32| {
            main.is(*child) || self.settled.binary_search(child).is_ok() || recorder.is_step(*child)
        };
        self.signalled.owes() || !children.iter().all(is_known)
    }

    fn orphans(&mut self, table: &Table, main: Main, recorder: &mut Recorder<K>) {
        let Some(signal) = self.rest else { return };
        let since = self.kernel.now().saturating_sub(self.began_at);
        let mut tops = Vec::new();
        self.settled.clear();
        let own = self.kernel.own_pid();
        let owed: Vec<Process> =
            self.signalled.owed(table).filter(|process| process.parent != own).copied().collect();
        for orphan in table.children(own).chain(&owed) {
            if main.is(orphan.pid) || recorder.is_of_step(orphan) {
                continue;
            }
            let status = || self.kernel.status(orphan.pid);
            match self.signalled.orphan(orphan, own, since, self.patience, status) {
                OrphanVerdict::Signal => tops.push(orphan.pid),
                OrphanVerdict::Wait => {}
                OrphanVerdict::Leave => self.settled.push(orphan.pid),
            }
        }
        self.settled.sort_unstable();
        if !tops.is_empty() {
            self.by_the_rule(table, &tops, signal, recorder);
        }
    }

    /// Notes what the rule says of processes that it does not signal.
    fn note_selection(&mut self, selection: &Selection, recorder: &mut Recorder<K>) {
        selection.spared.iter().for_each(|&pid| self.signalled.note_spared(pid));
        selection.in_doubt.iter().for_each(|&shell| recorder.in_doubt(shell));
    }

    fn by_the_rule(&mut self, table: &Table, tops: &[i32], signal: StopSignal, recorder: &mut Recorder<K>) {
        let Selected { mut selection, facts, newer } = self.select(table, tops, signal);
        let table = newer.as_ref().unwrap_or(table);
        let recipients: Vec<i32> = selection.recipients.iter().map(|recipient| recipient.pid).collect();
        self.leave_out_told(table, &mut selection.recipients);
        self.signalled.note_those_below(table, &recipients);
        self.note_facts(&facts);
        self.note_selection(&selection, recorder);
        selection.recipients.retain(|recipient| {
            table.find(recipient.pid).is_some_and(|process| !self.signalled.is_done(process))
        });
        self.send(table, &selection.recipients, recorder);
    }

    /// Signals every process that has not been signalled: KILL comes soon.
    pub(super) fn last_call(&mut self, until_kill: Duration, recorder: &mut Recorder<K>) {
        if self.rest.is_none() {
            return;
        }
        let Some(table) = self.table() else {
            self.call_without_table(recorder);
            self.call_again = Some(self.kernel.now().saturating_add(until_kill));
            return;
        };
        let left =
            table.iter().filter(|process| !self.signalled.is_done(process) && !recorder.is_of_step(process));
        let left = Table::new(left.copied().collect());
        if left.iter().next().is_some() {
            info!("last call, {} before KILL", format::duration(until_kill));
            self.send_rest(&left, recorder);
        }
    }

    /// Sends the signal of this stage to all of these.
    fn send_rest(&mut self, left: &Table, recorder: &mut Recorder<K>) {
        let Some(StopSignal { received, rewritten }) = self.rest else { return };
        let recipient = |process: &Process| {
            let signal = if self.kernel.handles(process.pid, rewritten) { rewritten } else { received };
            Recipient { pid: process.pid, signal, why: Why::Top }
        };
        let recipients: Vec<Recipient> = left.iter().map(recipient).collect();
        self.send(left, &recipients, recorder);
    }

    fn send_again(&mut self, recorder: &mut Recorder<K>) {
        for (process, signal) in std::mem::take(&mut self.unsent) {
            let again = self.kernel.process_again(&process);
            if let Some(process) = again.filter(|process| !self.signalled.is_done(process)) {
                let table = Table::new(vec![process]);
                self.send(&table, &[Recipient { pid: process.pid, signal, why: Why::Top }], recorder);
            }
        }
    }
}

#[cfg(test)]
mod tests;
