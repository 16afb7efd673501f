//! Which processes a stage of the stop has signalled, so that none is signalled twice: a program that takes its signal once and then
//! restores the default action (Go's `signal.NotifyContext`) dies of the second one in the middle of its work.
//!
//! Just before the first signal of a stage, every process is noted by pid and start time. Later an orphan that drainit adopts is signalled,
//! unless
//!
//! - it was signalled before, or is spared because it ends with its writer;
//! - it was started after the signal: what a signalled process starts is part of its shutdown (a last backup, a clean-up);
//! - it may have been *told*: a process that it descended from handled the signal, and may have passed it on before it exited (`trap 'kill
//!   $pid; exit' TERM`). Then it is signalled at once only if it has not run since, which means that it was not told; else after a time,
//!   and never if it has removed its handler meanwhile.
//!
//! The same holds for a process that the rule reaches below such an orphan: the foreground command of a shell, or a child of a process that
//! ignores the signal. At the first signal of a stage there is no earlier look to compare with: every process that the rule names is
//! signalled.
//!
//! A process that drainit had adopted before the stage began has no ancestor that could have told it: it is signalled with main, whatever
//! started it.

use std::time::Duration;

use super::facts::Status;
use super::{Disposition, Process, ProcessName, SignalState, Table};
use crate::plan::StopSignal;
use crate::plan::sorted::{Map, Set};
use crate::signal::Signal;

/// The moment just before the first signal, in terms that processes can be compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// In clock ticks since boot, as start times are.
    pub ticks: u64,
    /// The pid that was assigned last: within one tick it shows which processes were there before.
    pub last_pid: Option<i32>,
}

/// How long a process that may have been told is left alone, if processes that ignore the signal are waited for without a limit.
pub const TOLD_PATIENCE: Duration = Duration::from_secs(2);

/// A pid that is lower than the last one by more than this was assigned after it: the numbers have wrapped around.
const WRAPPED: i32 = 1 << 14;

impl Moment {
    /// Whether this moment is before the process's start. If that is not known, it is: to signal a clean-up destroys work.
    fn is_before(self, process: &Process) -> bool {
        let is_new = |last: i32| process.pid > last || process.pid < last - WRAPPED;
        process.start > self.ticks || (process.start == self.ticks && self.last_pid.is_none_or(is_new))
    }
}

/// What one stage has done so far.
#[derive(Clone, Debug, Default)]
pub struct Signalled {
    signal: Option<StopSignal>,
    moment: Moment,
    known: Map<i32, KnownProcess>,
    /// A group that was signalled as a whole: each member was signalled, or was started by a process that was.
    group: Option<i32>,
    /// Every process that was there was signalled, without a look.
    all: bool,
}

/// A process that was there before the signal, or was signalled later.
#[derive(Clone, Copy, Debug)]
struct KnownProcess {
    start: u64,
    /// Its name: if that has changed, it is another program, whose missing handler means nothing.
    name: ProcessName,
    /// Its parent at that time.
    parent: i32,
    /// Its signal state just before the signal was sent. A process that has begun to ignore the signal since has got it, and is cleaning up.
    signals: Option<SignalState>,
    is_nested_init: bool,
    /// Its signals are from `status`, which has all 64; `stat` has 1 to 31.
    has_status: bool,
    /// It took signals in `rt_sigtimedwait`, which its mask does not show.
    awaits_signals: bool,
    /// How often it had gone to sleep by then.
    switches: Option<u64>,
    sent: WasSent,
    /// It ends with its writer, and is signalled at the last call at the earliest.
    is_spared: bool,
    /// The rule names it, but it may have been told: it is signalled later, if at all.
    is_owed: bool,
    /// The signal that it was sent.
    signal: Option<Signal>,
    was_there: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WasSent {
    No,
    Yes,
    /// The kernel refused it (EPERM), so the process counts as one that ignores the signal.
    Refused,
    /// It was told by another process, and would die of a second signal.
    ByOthers,
}

/// What is to be done about an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanVerdict {
    /// It is a top of the rule now.
    Signal,
    /// It may have been told; look again later.
    Wait,
    /// Nothing, in this stage.
    Leave,
}

impl Signalled {
    /// A stage begins; these processes are there.
    #[must_use]
    pub fn begin(signal: StopSignal, moment: Moment, table: &Table) -> Self {
        let mut stage = Self { signal: Some(signal), moment, known: Map::default(), group: None, all: false };
        for process in table.iter() {
            stage.insert(process, true);
        }
        stage
    }

    /// The signal of the stage; `None` before the first one.
    #[must_use]
    pub fn signal(&self) -> Option<StopSignal> {
        self.signal
    }

    /// Notes more about a process that was there: its `status`, read before the signal was sent.
    pub fn note_status(&mut self, pid: i32, status: &Status) {
        if let Some(entry) = self.known.get_mut(pid) {
            entry.switches = entry.switches.or(status.switches);
            entry.signals = status.signals.or(entry.signals);
            entry.is_nested_init |= status.is_nested_init;
            entry.has_status |= status.signals.is_some();
        }
    }

    /// It takes signals in `rt_sigtimedwait`.
    pub fn note_awaits_signals(&mut self, pid: i32) {
        if let Some(entry) = self.known.get_mut(pid) {
            entry.awaits_signals = true;
        }
    }

    /// The signal was sent to this process, or was refused.
    pub fn note_sent(&mut self, process: &Process, signal: Signal, was_refused: bool) {
        let sent = if was_refused { WasSent::Refused } else { WasSent::Yes };
        if self.find(process).is_none() {
            self.insert(process, false);
        }
        if let Some(entry) = self.known.get_mut(process.pid) {
            entry.sent = sent;
            entry.signal = Some(signal);
        }
    }

    /// The process was there before the signal, but was not looked at then.
    pub fn note_present(&mut self, process: &Process) {
        if self.find(process).is_none() {
            self.insert(process, true);
        }
    }

    /// These are signalled now, so the processes below them count as having been there. What an already signalled process has started since
    /// is its clean-up.
    pub fn note_those_below(&mut self, table: &Table, tops: &[i32]) {
        let mut below = tops.to_vec();
        let mut seen: Set<i32> = Set::default();
        while let Some(parent) = below.pop() {
            for child in table.children(parent) {
                if !self.is_done(child) && seen.insert(child.pid) {
                    self.note_present(child);
                    below.push(child.pid);
                }
            }
        }
    }

    /// It ends with its writer.
    pub fn note_spared(&mut self, pid: i32) {
        if let Some(entry) = self.known.get_mut(pid) {
            entry.is_spared = true;
        }
    }

    /// Whether it is not signalled because it ends with its writer.
    #[must_use]
    pub fn is_spared(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.is_spared && entry.sent == WasSent::No)
    }

    /// Every process that was there was signalled in one call.
    pub fn note_all(&mut self) {
        self.all = true;
    }

    /// A whole group was signalled.
    pub fn note_group(&mut self, group: i32) {
        self.group = Some(group);
    }

    /// Whether it needs no other signal in this stage: it was signalled or refused, or was told.
    #[must_use]
    pub fn is_done(&self, process: &Process) -> bool {
        match self.find(process) {
            Some(entry) => entry.sent != WasSent::No || self.is_of_many(process),
            None => self.is_of_many(process),
        }
    }

    /// Whether drainit sent it the signal of this stage; a refusal does not count.
    #[must_use]
    pub fn was_signalled(&self, process: &Process) -> bool {
        let sent = self.find(process).map(|entry| entry.sent);
        sent == Some(WasSent::Yes) || (sent != Some(WasSent::Refused) && self.is_of_many(process))
    }

    /// Whether the kernel refused to send it the signal of this stage.
    #[must_use]
    pub fn was_refused(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.sent == WasSent::Refused)
    }

    /// Whether it was there before the signal.
    #[must_use]
    pub fn was_there(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.was_there)
    }

    /// Whether it is about to end of the signal, or may be: it neither ignored the signal before nor ignores it now.
    #[must_use]
    pub fn is_worth_waiting_for(&self, process: &Process) -> bool {
        let now = self.signal_of(process).and_then(|signal| process.disposition(signal));
        !self.was_refused(process)
            && matches!(now, Some(Disposition::Caught | Disposition::Default))
            && self.disposition(process).is_some_and(|then| then != Disposition::Ignored)
    }

    /// Its disposition just before the signal.
    #[must_use]
    pub fn disposition(&self, process: &Process) -> Option<Disposition> {
        self.find(process)
            .and_then(|entry| entry.disposition(entry.signal.or(self.signal.map(|it| it.rewritten))?))
    }

    /// The signal that it was sent in this stage, or would be.
    #[must_use]
    pub fn signal_of(&self, process: &Process) -> Option<Signal> {
        self.find(process).and_then(|entry| entry.signal).or(self.signal.map(|signal| signal.rewritten))
    }

    /// What to do about an orphan that drainit has adopted. `status` reads its present state, if that matters. `since` is the time since
    /// the signal, `patience` how long a process that may have been told is left alone.
    pub fn orphan(
        &mut self,
        orphan: &Process,
        own_pid: i32,
        since: Duration,
        patience: Duration,
        status: impl FnOnce() -> Status,
    ) -> OrphanVerdict {
        if self.is_done(orphan) || self.is_spared(orphan) {
            return OrphanVerdict::Leave;
        }
        let Some(entry) = self.find(orphan) else {
            return if self.moment.is_before(orphan) { OrphanVerdict::Leave } else { OrphanVerdict::Signal };
        };
        let may_have_told = self.ancestors(&entry, own_pid).any(|ancestor| self.handled(ancestor));
        if !may_have_told {
            return OrphanVerdict::Signal;
        }
        self.told(orphan, &entry, since, patience, status())
    }

    /// The same for a process that the rule reaches below this orphan. The processes between the two have not told it: they wait for it, or
    /// ignore the signal.
    pub fn below(
        &mut self,
        top: &Process,
        process: &Process,
        own_pid: i32,
        since: Duration,
        patience: Duration,
        status: impl FnOnce() -> Status,
    ) -> OrphanVerdict {
        let (Some(top), Some(entry)) = (self.find(top), self.find(process)) else {
            return OrphanVerdict::Signal;
        };
        if self.is_done(process) || !self.ancestors(&top, own_pid).any(|ancestor| self.handled(ancestor)) {
            return OrphanVerdict::Signal;
        }
        let verdict = self.told(process, &entry, since, patience, status());
        if let Some(entry) = self.known.get_mut(process.pid) {
            entry.is_owed = verdict == OrphanVerdict::Wait;
        }
        verdict
    }

    /// The processes that the rule has named and that may have been told.
    pub fn owed<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = &'a Process> {
        table.iter().filter(|process| {
            self.find(process).is_some_and(|entry| entry.is_owed && entry.sent == WasSent::No)
        })
    }

    /// Whether there may be such a process.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.known.iter().any(|(_, entry)| entry.is_owed && entry.sent == WasSent::No)
    }

    /// Decides about a process that may have been told, by what it does now.
    fn told(
        &mut self,
        process: &Process,
        entry: &KnownProcess,
        since: Duration,
        patience: Duration,
        now: Status,
    ) -> OrphanVerdict {
        let handles = now.signals.is_none_or(|signals| {
            self.handled(&KnownProcess { signals: Some(signals), has_status: true, ..*entry })
        });
        if self.handled(entry) && !handles && entry.name == process.name {
            if let Some(entry) = self.known.get_mut(process.pid) {
                entry.sent = WasSent::ByOthers;
            }
            return OrphanVerdict::Leave;
        }
        let is_pending = self.signal.is_some_and(|signal| {
            now.pending.contains(signal.received) || now.pending.contains(signal.rewritten)
        });
        // A process that was told may not have run yet, or may be running.
        let has_not_run = process.state != b'R' && entry.switches.is_some() && entry.switches == now.switches;
        let was_told_nothing = has_not_run && !is_pending;
        if was_told_nothing || patience <= since { OrphanVerdict::Signal } else { OrphanVerdict::Wait }
    }

    /// The pids of processes that ignored the signal when it was sent, refused it, or were started since by such a process.
    #[must_use]
    pub fn ignoring(&self, table: &Table) -> Set<i32> {
        let mut found: Map<i32, bool> = Map::default();
        for process in table.iter() {
            let mut line = Vec::new();
            let mut at = process;
            let ignores = loop {
                if let Some(&known) = found.get(at.pid) {
                    break known;
                }
                line.push(at.pid);
                if let Some(entry) = self.find(at) {
                    let is_sent = entry.sent != WasSent::No || self.is_of_many(at);
                    let ignores = self.disposition(at) == Some(Disposition::Ignored);
                    break entry.sent == WasSent::Refused || (is_sent && ignores);
                }
                // Parents are older than their children, so this ends; the limit is for a clock that was turned back.
                match table.find(at.parent) {
                    Some(parent) if parent.start <= at.start && line.len() <= table.len() => at = parent,
                    _ => break false,
                }
            };
            found.extend(line.into_iter().map(|pid| (pid, ignores)));
        }
        found.iter().filter(|(_, ignores)| **ignores).map(|(pid, _)| pid).collect()
    }

    /// Its ancestors below drainit, as they were before the signal.
    fn ancestors(&self, entry: &KnownProcess, own_pid: i32) -> impl Iterator<Item = &KnownProcess> {
        let parent = move |entry: &KnownProcess| {
            let parent = self.known.get(entry.parent).filter(|_| entry.parent != own_pid);
            // Parents are older than their children, unless the pid has been reused.
            parent.filter(|parent| parent.start <= entry.start)
        };
        std::iter::successors(parent(entry), move |entry| parent(entry)).take(self.known.len())
    }

    /// Whether its `status` has still to be read: all 64 dispositions have to be known before a signal is sent.
    #[must_use]
    pub fn wants_status(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| !entry.has_status)
    }

    /// Whether one call has signalled it together with others.
    fn is_of_many(&self, process: &Process) -> bool {
        self.group == Some(process.group) || (self.all && !self.moment.is_before(process))
    }

    fn find(&self, process: &Process) -> Option<KnownProcess> {
        self.known.get(process.pid).filter(|entry| entry.start == process.start).copied()
    }

    fn insert(&mut self, process: &Process, was_there: bool) {
        let Process { pid, start, name, parent, signals, .. } = *process;
        self.known.insert(
            pid,
            KnownProcess {
                start,
                name,
                parent,
                signals,
                is_nested_init: false,
                has_status: false,
                awaits_signals: false,
                switches: None,
                sent: WasSent::No,
                is_spared: false,
                is_owed: false,
                signal: None,
                was_there,
            },
        );
    }

    /// Whether it handled the signal, as received or as rewritten.
    fn handled(&self, entry: &KnownProcess) -> bool {
        let Some(StopSignal { received, rewritten }) = self.signal else { return false };
        let handles =
            |signal| matches!(entry.disposition(signal), Some(Disposition::Caught | Disposition::Blocked));
        handles(rewritten) || handles(received)
    }
}

impl KnownProcess {
    fn disposition(&self, signal: Signal) -> Option<Disposition> {
        if self.awaits_signals {
            return Some(Disposition::Blocked);
        }
        let signals = self.signals.filter(|_| self.has_status || signal.number() < 32);
        let disposition = signals?.disposition(signal);
        let is_dropped = disposition == Disposition::Default && self.is_nested_init;
        Some(if is_dropped { Disposition::Ignored } else { disposition })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::processes::fixtures::{Sample, process};

    #[test]
    fn a_signal_to_all_was_one_to_each_that_was_there() {
        let moment = Moment { ticks: 100, last_pid: Some(50) };
        let mut stage = Signalled::begin(StopSignal::plain(Signal::TERM), moment, &Table::default());
        let (older, newer) = (process(7, 1, 7, 90), process(60, 1, 60, 110));
        assert!(!stage.is_done(&older), "nothing was looked at");
        stage.note_all();
        assert!(stage.is_done(&older) && stage.was_signalled(&older));
        assert!(!stage.is_done(&newer), "it was started since");
    }

    #[test]
    fn what_is_below_those_that_are_signalled_now_was_there_and_a_clean_up_is_not() {
        let moment = Moment { ticks: 0, last_pid: None };
        let mut stage = Signalled::begin(StopSignal::plain(Signal::TERM), moment, &Table::default());
        let [top, child, done, clean_up] =
            [(7, 1), (8, 7), (9, 7), (10, 9)].map(|(pid, parent)| process(pid, parent, 7, 100));
        stage.note_sent(&done, Signal::TERM, false);
        stage.note_those_below(&Table::new(vec![top, child, done, clean_up]), &[7]);
        assert_eq!(
            [top, child, done, clean_up].map(|one| stage.was_there(&one)),
            [false, true, false, false]
        );
    }

    #[test]
    fn only_what_has_not_ignored_the_signal_and_does_not_now_is_worth_waiting_for() {
        let term = [Signal::TERM];
        let sample = || Sample::new(7, 1, "server");
        for (then, now, was_refused, is_worth_it) in [
            (sample().catches(&term), sample().catches(&term), false, true),
            (sample(), sample(), false, true),
            // Its handler has taken the signal.
            (sample().catches(&term), sample(), false, true),
            (sample().catches(&term), sample().ignores(&term), false, false),
            (sample().ignores(&term), sample().catches(&term), false, false),
            (sample().blocks(&term), sample().blocks(&term), false, false),
            (sample(), sample(), true, false),
        ] {
            let table = Table::new(vec![then.process]);
            let mut stage = Signalled::begin(StopSignal::plain(Signal::TERM), Moment::default(), &table);
            stage.note_status(7, &then.facts.status.expect("it is known"));
            stage.note_sent(&then.process, Signal::TERM, was_refused);
            assert_eq!(stage.is_worth_waiting_for(&now.process), is_worth_it, "{then:?} {now:?}");
        }
    }
}
