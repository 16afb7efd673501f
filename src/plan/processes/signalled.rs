//! Which processes a stage of the stop has signalled, so that none is signalled twice: a program that takes its signal once and gives it its
//! default back (Go's `signal.NotifyContext`) dies of the second one in the middle of its work.
//!
//! Just before the first signal of a stage, all that are there are noted by pid and start time. Later an orphan that drainit adopts is
//! signalled, unless
//!
//! - it was signalled before, or is spared because it ends with what writes into it;
//! - it was started after the signal: what a signalled process starts is its way of ending (a last backup, a clean-up);
//! - a process that it descended from handled the signal, and may have passed it on before it left (`trap 'kill $pid; exit' TERM`). Then it is signalled
//!   at once only if it has not run since, which means that it was told nothing; else after a time, and never if it has given its handler
//!   up meanwhile.
//!
//! That goes for what the rule comes to below such an orphan, too: the command in the foreground of a shell, or a child of a process that ignores the
//! signal. At the first signal of a stage nothing can be told by comparison, because there is no earlier look: there all that the rule names are signalled.
//!
//! A process that drainit had adopted before the stage began has no ancestor that could tell it anything, whatever started it: it is signalled with main.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::facts::Status;
use super::{Disposition, Process, ProcessName, SignalState, Table};
use crate::plan::StopSignal;
use crate::signal::Signal;

/// The moment just before the first signal, as processes can be compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// In clock ticks since boot, as start times are.
    pub ticks: u64,
    /// The pid that was given away last: within one tick it tells which process was there before.
    pub last_pid: Option<i32>,
}

/// What a process that may have been told is given if processes that ignore the signal are waited for without a limit.
pub const TOLD_PATIENCE: Duration = Duration::from_secs(2);

/// Pids that lie further below the last one come after it: the numbers have begun again from the start.
const WRAPPED: i32 = 1 << 14;

impl Moment {
    /// Whether the process was started after it. If that cannot be told it was: to signal a clean-up destroys work.
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
    known: BTreeMap<i32, Entry>,
    /// A group that was signalled as a whole: what is in it was signalled, or was started by a process that was.
    group: Option<i32>,
    /// All that were there were signalled, without a look at them.
    all: bool,
}

/// A process that was there before the signal, or was signalled later.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    /// What it was called: another name is another program, which has given nothing up.
    name: ProcessName,
    /// The parent that it had.
    parent: i32,
    /// Just before the signal. A process that ignores it only since then has got it, and cleans up undisturbed.
    signals: Option<SignalState>,
    is_nested_init: bool,
    /// Its signals are from `status`, which has all of them; `stat` has 1 to 31.
    has_status: bool,
    /// It took signals in `rt_sigtimedwait`, which its mask does not show.
    awaits_signals: bool,
    /// How often it had waited then.
    switches: Option<u64>,
    sent: Sent,
    /// It ends with what writes into it, and is signalled at the last call at the earliest.
    is_spared: bool,
    /// The rule names it, but it may have been told: it is signalled later.
    is_owed: bool,
    /// What it was sent, if that is not what came.
    signal: Option<Signal>,
    was_there: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    No,
    Yes,
    /// The kernel refused it (EPERM): to this process the signal means as little as to one that ignores it.
    Refused,
    /// It was told by another process, and would die of a second signal.
    ByOthers,
}

/// What is to be done about an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanVerdict {
    /// It is a top of the rule now.
    Signal,
    /// Its parent may have told it; look again later.
    Wait,
    /// Nothing, in this stage.
    Leave,
}

impl Signalled {
    /// A stage begins: these are there.
    #[must_use]
    pub fn begin(signal: StopSignal, moment: Moment, table: &Table) -> Self {
        let mut stage =
            Self { signal: Some(signal), moment, known: BTreeMap::new(), group: None, all: false };
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

    /// More is known of a process that was there: from its `status`, read before the signal was sent.
    pub fn note_status(&mut self, pid: i32, status: &Status) {
        if let Some(entry) = self.known.get_mut(&pid) {
            entry.switches = entry.switches.or(status.switches);
            entry.signals = status.signals.or(entry.signals);
            entry.is_nested_init |= status.is_nested_init;
            entry.has_status |= status.signals.is_some();
        }
    }

    /// It takes signals in `rt_sigtimedwait`.
    pub fn note_awaits_signals(&mut self, pid: i32) {
        if let Some(entry) = self.known.get_mut(&pid) {
            entry.awaits_signals = true;
        }
    }

    /// The signal was sent to this process, or was refused.
    pub fn note_sent(&mut self, process: &Process, signal: Signal, was_refused: bool) {
        let sent = if was_refused { Sent::Refused } else { Sent::Yes };
        if self.find(process).is_none() {
            self.insert(process, false);
        }
        if let Some(entry) = self.known.get_mut(&process.pid) {
            entry.sent = sent;
            entry.signal = Some(signal);
        }
    }

    /// It was there before the signal, but was not looked at then.
    pub fn note_present(&mut self, process: &Process) {
        if self.find(process).is_none() {
            self.insert(process, true);
        }
    }

    /// It ends with what writes into it.
    pub fn note_spared(&mut self, pid: i32) {
        if let Some(entry) = self.known.get_mut(&pid) {
            entry.is_spared = true;
        }
    }

    /// Whether it is not signalled because it ends with what writes into it.
    #[must_use]
    pub fn is_spared(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.is_spared && entry.sent == Sent::No)
    }

    /// All that were there were signalled at once.
    pub fn note_all(&mut self) {
        self.all = true;
    }

    /// A whole group was signalled.
    pub fn note_group(&mut self, group: i32) {
        self.group = Some(group);
    }

    /// Whether it needs no other signal in this stage: it has got one, or was told by another process.
    #[must_use]
    pub fn is_done(&self, process: &Process) -> bool {
        match self.find(process) {
            Some(entry) => entry.sent != Sent::No || self.is_of_many(process),
            None => self.is_of_many(process),
        }
    }

    /// Whether drainit sent it the signal of this stage; a refusal does not count.
    #[must_use]
    pub fn was_signalled(&self, process: &Process) -> bool {
        let sent = self.find(process).map(|entry| entry.sent);
        sent == Some(Sent::Yes) || (sent != Some(Sent::Refused) && self.is_of_many(process))
    }

    /// Whether the kernel refused to send it the signal of this stage.
    #[must_use]
    pub fn was_refused(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.sent == Sent::Refused)
    }

    /// Whether it was there before the signal.
    #[must_use]
    pub fn was_there(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| entry.was_there)
    }

    /// Its disposition just before the signal.
    #[must_use]
    pub fn disposition(&self, process: &Process) -> Option<Disposition> {
        self.find(process)
            .and_then(|entry| entry.disposition(entry.signal.or(self.signal.map(|it| it.rewritten))?))
    }

    /// What it was sent in this stage, or would be.
    #[must_use]
    pub fn signal_of(&self, process: &Process) -> Option<Signal> {
        self.find(process).and_then(|entry| entry.signal).or(self.signal.map(|signal| signal.rewritten))
    }

    /// What is to be done about an orphan that drainit has adopted. `status` reads what it does now, if that matters. `since` is the
    /// time since the signal, `patience` how long a process that may have been told is given.
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

    /// The same for a process that the rule comes to below this orphan. What lies between the two has told it nothing: it waits for it, or ignores the
    /// signal.
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
        if let Some(entry) = self.known.get_mut(&process.pid) {
            entry.is_owed = verdict == OrphanVerdict::Wait;
        }
        verdict
    }

    /// Those that the rule has named, and that may have been told.
    pub fn owed<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = &'a Process> {
        table
            .iter()
            .filter(|process| self.find(process).is_some_and(|entry| entry.is_owed && entry.sent == Sent::No))
    }

    /// Whether there may be such a process.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.known.values().any(|entry| entry.is_owed && entry.sent == Sent::No)
    }

    /// Whether a process was told by one that handled the signal.
    fn told(
        &mut self,
        process: &Process,
        entry: &Entry,
        since: Duration,
        patience: Duration,
        now: Status,
    ) -> OrphanVerdict {
        let handles = now.signals.is_none_or(|signals| {
            self.handled(&Entry { signals: Some(signals), has_status: true, ..*entry })
        });
        if self.handled(entry) && !handles && entry.name == process.name {
            if let Some(entry) = self.known.get_mut(&process.pid) {
                entry.sent = Sent::ByOthers;
            }
            return OrphanVerdict::Leave;
        }
        let is_pending = self.signal.is_some_and(|signal| {
            now.pending.contains(signal.received) || now.pending.contains(signal.rewritten)
        });
        // One that was told may not have run yet, or be running.
        let has_not_run = process.state != b'R' && entry.switches.is_some() && entry.switches == now.switches;
        let was_told_nothing = has_not_run && !is_pending;
        if was_told_nothing || patience <= since { OrphanVerdict::Signal } else { OrphanVerdict::Wait }
    }

    /// The pids of processes that ignored the signal when it was sent, could not be sent it, or were started since by such a one.
    #[must_use]
    pub fn ignoring(&self, table: &Table) -> BTreeSet<i32> {
        let mut found: BTreeMap<i32, bool> = BTreeMap::new();
        for process in table.iter() {
            let mut line = Vec::new();
            let mut at = process;
            let ignores = loop {
                if let Some(&known) = found.get(&at.pid) {
                    break known;
                }
                line.push(at.pid);
                if let Some(entry) = self.find(at) {
                    let is_sent = entry.sent != Sent::No || self.is_of_many(at);
                    let ignores = self.disposition(at) == Some(Disposition::Ignored);
                    break entry.sent == Sent::Refused || (is_sent && ignores);
                }
                // Parents are older than their children, so this comes to an end; times that were turned back do not.
                match table.find(at.parent) {
                    Some(parent) if parent.start <= at.start && line.len() <= table.len() => at = parent,
                    _ => break false,
                }
            };
            found.extend(line.into_iter().map(|pid| (pid, ignores)));
        }
        found.into_iter().filter(|(_, ignores)| *ignores).map(|(pid, _)| pid).collect()
    }

    /// The processes that it descended from before the signal, below drainit.
    fn ancestors(&self, entry: &Entry, own_pid: i32) -> impl Iterator<Item = &Entry> {
        let parent = move |entry: &Entry| {
            let parent = self.known.get(&entry.parent).filter(|_| entry.parent != own_pid);
            // Parents are older than their children; a number that was given away again is not.
            parent.filter(|parent| parent.start <= entry.start)
        };
        std::iter::successors(parent(entry), move |entry| parent(entry)).take(self.known.len())
    }

    /// Whether its `status` is still to be read: before a signal is sent all 64 dispositions have to be known.
    #[must_use]
    pub fn wants_status(&self, process: &Process) -> bool {
        self.find(process).is_some_and(|entry| !entry.has_status)
    }

    /// Whether it was signalled with others at once.
    fn is_of_many(&self, process: &Process) -> bool {
        self.group == Some(process.group) || (self.all && !self.moment.is_before(process))
    }

    fn find(&self, process: &Process) -> Option<Entry> {
        self.known.get(&process.pid).filter(|entry| entry.start == process.start).copied()
    }

    fn insert(&mut self, process: &Process, was_there: bool) {
        let Process { pid, start, name, parent, signals, .. } = *process;
        self.known.insert(
            pid,
            Entry {
                start,
                name,
                parent,
                signals,
                is_nested_init: false,
                has_status: false,
                awaits_signals: false,
                switches: None,
                sent: Sent::No,
                is_spared: false,
                is_owed: false,
                signal: None,
                was_there,
            },
        );
    }

    /// Whether it handled the signal, in one of its forms.
    fn handled(&self, entry: &Entry) -> bool {
        let Some(StopSignal { received, rewritten }) = self.signal else { return false };
        let handles =
            |signal| matches!(entry.disposition(signal), Some(Disposition::Caught | Disposition::Blocked));
        handles(rewritten) || handles(received)
    }
}

impl Entry {
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
    use crate::plan::processes::fixtures::process;

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
}
