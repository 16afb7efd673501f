//! Whether it can help to wait for the processes that are left.
//!
//! Waiting is futile while main lives if main ignores the signal, and every other process that was there when it was sent is gone. (A job
//! of an ignoring shell is at work. A `sleep` that the shell's loop has started since is not.) When main is gone, waiting is futile if all
//! processes ignore the signal.
//!
//! A process counts as ignoring the signal only if it ignored it when the signal was sent: a handler may ignore further signals while it
//! cleans up, but it has got the first one. A process that is plainly at work is waited for although it ignores the signal.

use std::time::Duration;

use super::facts::{Call, Status};
use super::signalled::Signalled;
use super::{Disposition, Process, Table};
use crate::plan::sorted::Map;
use crate::signal::Signal;

/// What a look says about waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Some process is at work, or has not taken the signal yet.
    KeepWaiting,
    /// Waiting would be futile, but some processes have not been signalled.
    SignalOthersFirst,
    /// The processes that are left ignore the signal.
    Futile,
    /// There is no /proc to look in.
    Unknown,
}

/// Usage is measured over at least this time, however close together the looks are: clock ticks are 10 ms long.
const WINDOW: Duration = Duration::from_millis(250);
/// A process is at work if it uses more than one part in this many of a processor, over the whole of a window.
const PART_OF_A_PROCESSOR: u128 = 10;
/// It is also at work if it moves more bytes than this per [`WINDOW`].
const MOVED: u128 = 64 * 1024;

/// How much of the machine a process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub at: Duration,
    /// In clock ticks.
    pub cpu: u64,
    /// The bytes that it has read and written; `None` if that was not read, or could not be.
    pub moved: Option<u64>,
}

/// What a process did between two looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    AtWork,
    Idle,
    /// No look is old enough to compare with, or the bytes were not read then.
    NotKnownYet,
}

impl Usage {
    /// What happened between `then` and this look.
    fn since(&self, then: &Self, ticks_per_second: u64) -> Activity {
        let window = self.at.saturating_sub(then.at);
        if window < WINDOW {
            return Activity::NotKnownYet;
        }
        let cpu = u128::from(self.cpu.saturating_sub(then.cpu));
        if cpu * PART_OF_A_PROCESSOR * 1000 > u128::from(ticks_per_second) * window.as_millis() {
            return Activity::AtWork;
        }
        match (self.moved, then.moved) {
            (Some(now), Some(then)) => {
                let moved = u128::from(now.saturating_sub(then));
                let is_work = moved * WINDOW.as_millis() > MOVED * window.as_millis();
                if is_work { Activity::AtWork } else { Activity::Idle }
            }
            (Some(_), None) => Activity::NotKnownYet,
            (None, _) => Activity::Idle,
        }
    }
}

/// Two looks at a process: the one that the next look is compared with, and a later one that takes its place when it is old enough.
#[derive(Clone, Copy, Debug)]
struct TwoLooks {
    then: Usage,
    later: Option<Usage>,
}

impl TwoLooks {
    fn new(now: Usage) -> Self {
        Self { then: now, later: None }
    }

    /// Notes a look, and says what the process did before it.
    fn look(&mut self, now: Usage, ticks_per_second: u64) -> Activity {
        if let Some(later) = self.later.filter(|later| later.at.saturating_add(WINDOW) <= now.at) {
            *self = Self::new(later);
        }
        self.later.get_or_insert(now);
        now.since(&self.then, ticks_per_second)
    }
}

/// What has to be read of a process that may be ignoring the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closer {
    pub status: Status,
    pub call: Call,
    /// What it has read and written, in bytes.
    pub moved: Option<u64>,
}

impl Closer {
    /// Nothing is known, because it was not read.
    #[must_use]
    pub fn hidden() -> Self {
        Self { status: Status::default(), call: Call::Hidden, moved: None }
    }
}

/// Judges, look after look, and remembers what the processes had used at earlier looks.
#[derive(Clone, Debug, Default)]
pub struct IgnoreCheck {
    /// A process that was worth waiting for at the last look. As long as it is, no other process has to be looked at.
    worth_waiting_for: Option<Process>,
    /// By pid and start time.
    watched: Map<(i32, u64), TwoLooks>,
}

/// The circumstances of one look.
#[derive(Debug)]
pub struct Look<'a> {
    pub now: Duration,
    pub table: &'a Table,
    pub main: Option<i32>,
    /// Clock ticks in a second (sysconf(3), `_SC_CLK_TCK`).
    pub ticks_per_second: u64,
}

impl IgnoreCheck {
    /// Notes what the processes had used when the signal was sent: the first look compares with that. `moved` reads the bytes that main has
    /// moved, if main ignores the signal: the first look may be the only one.
    pub fn begin(
        &mut self,
        now: Duration,
        table: &Table,
        main: Option<&Process>,
        moved: impl FnOnce(&Process) -> Option<u64>,
    ) {
        *self = Self::default();
        let usage = |process: &Process| Usage { at: now, cpu: process.cpu, moved: None };
        self.watched = table.iter().map(|process| (process.key(), TwoLooks::new(usage(process)))).collect();
        if let Some(main) = main {
            let usage = Usage { moved: moved(main), ..usage(main) };
            self.watched.insert(main.key(), TwoLooks::new(usage));
        }
    }

    /// The process that the last look found worth waiting for.
    #[must_use]
    pub fn worth_waiting_for(&self) -> Option<&Process> {
        self.worth_waiting_for.as_ref()
    }

    /// Whether this process is still worth waiting for: it is, whatever it does now, if it did not ignore the signal when that was sent.
    #[must_use]
    pub fn still_holds(signalled: &Signalled, process: &Process) -> bool {
        signalled.disposition(process).is_some_and(|then| then != Disposition::Ignored)
    }

    /// Judges the processes that are left. `closer` reads more about one of them.
    pub fn outlook(
        &mut self,
        look: &Look<'_>,
        signalled: &Signalled,
        mut closer: impl FnMut(&Process) -> Closer,
    ) -> Outlook {
        let ignoring = signalled.ignoring(look.table);
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain(|(pid, start)| look.table.find(pid).is_some_and(|process| process.start == start));
        let mut ignores = |process: &Process| {
            if !ignoring.contains(process.pid) {
                return false;
            }
            let seen = closer(process);
            let now = Usage { at: look.now, cpu: process.cpu, moved: seen.moved };
            let activity = match watched.get_mut(process.key()) {
                Some(watched) => watched.look(now, look.ticks_per_second),
                None => {
                    watched.insert(process.key(), TwoLooks::new(now));
                    Activity::NotKnownYet
                }
            };
            let is_at_work = match activity {
                Activity::AtWork => true,
                Activity::Idle => false,
                // Short-lived commands that an ignoring loop starts again and again are no reason to wait.
                Activity::NotKnownYet => signalled.was_there(process),
            };
            let ignores = || ignores_now(process, &seen, signalled.signal_of(process));
            !is_at_work && process.state != b'D' && (signalled.was_refused(process) || ignores())
        };
        let (outlook, worth_waiting_for) = judge(look, signalled, &mut ignores);
        self.worth_waiting_for = worth_waiting_for;
        self.watched = watched;
        outlook
    }
}

/// Whether the signal has no effect on it, as far as can be seen now.
fn ignores_now(process: &Process, seen: &Closer, signal: Option<Signal>) -> bool {
    let Some(signal) = signal else { return false };
    let signals = seen.status.signals.or(process.signals.filter(|_| signal.number() < 32));
    let Some(signals) = signals else { return false };
    let is_dropped = signals.disposition(signal) == Disposition::Ignored
        || (seen.status.is_nested_init && signals.disposition(signal) == Disposition::Default);
    // A signal that is blocked or waited for is queued even if it is ignored. A process that is running may have just left
    // `rt_sigtimedwait`.
    is_dropped
        && !signals.blocked.contains(signal)
        && !matches!(seen.call, Call::AwaitsSignals | Call::Running)
}

fn judge(
    look: &Look<'_>,
    signalled: &Signalled,
    ignores: &mut dyn FnMut(&Process) -> bool,
) -> (Outlook, Option<Process>) {
    let Look { table, main, .. } = *look;
    let Some(main) = main else {
        // A spared reader ends with its writer, so it is no reason to wait for the writer.
        let spares_all = table.iter().all(|process| signalled.is_spared(process));
        let counts = |process: &&Process| spares_all || !signalled.is_spared(process);
        let worth = table.iter().filter(counts).find(|process| !ignores(process)).copied();
        let outlook =
            if worth.is_some() || table.is_empty() { Outlook::KeepWaiting } else { Outlook::Futile };
        return (outlook, worth);
    };
    match table.find(main) {
        Some(process) if ignores(process) => {}
        Some(_) => return (Outlook::KeepWaiting, None),
        // It has just ended.
        None => return (Outlook::KeepWaiting, None),
    }
    let others = || table.iter().filter(|process| process.pid != main);
    if let Some(at_work) =
        others().find(|process| signalled.was_there(process) && signalled.was_signalled(process))
    {
        return (Outlook::KeepWaiting, Some(*at_work));
    }
    let unsignalled = others().any(|process| !is_of_signalled(process, table, signalled));
    (if unsignalled { Outlook::SignalOthersFirst } else { Outlook::Futile }, None)
}

/// Whether it was signalled, or was started after the signal by a process that was.
fn is_of_signalled(process: &Process, table: &Table, signalled: &Signalled) -> bool {
    let mut at = process;
    for _ in 0..=table.len() {
        if signalled.is_done(at) {
            return true;
        }
        if signalled.was_there(at) {
            return false;
        }
        match table.find(at.parent) {
            Some(parent) if parent.start <= at.start => at = parent,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{MAIN, Sample, world};
    use super::super::signalled::Moment;
    use super::*;
    use crate::plan::StopSignal;

    fn usage(at: u64, cpu: u64, moved: Option<u64>) -> Usage {
        Usage { at: Duration::from_millis(at), cpu, moved }
    }

    #[test]
    fn work_is_a_tenth_of_a_processor_or_64_kib_in_a_quarter_of_a_second() {
        let kib = |kib: u64| Some(kib * 1024);
        for (millis, cpu, moved, activity) in [
            (249, 100, kib(100), Activity::NotKnownYet),
            (250, 2, kib(64), Activity::Idle),
            (250, 3, kib(0), Activity::AtWork),
            (250, 0, kib(65), Activity::AtWork),
            (1_000, 10, kib(256), Activity::Idle),
            (1_000, 11, kib(0), Activity::AtWork),
            (1_000, 0, kib(257), Activity::AtWork),
            (1_000, 10, None, Activity::Idle),
        ] {
            let said = usage(millis, cpu, moved).since(&usage(0, 0, Some(0)), 100);
            assert_eq!(said, activity, "{millis} ms, {cpu} ticks, {moved:?}");
        }
        assert_eq!(usage(250, 0, Some(1)).since(&usage(0, 0, None), 100), Activity::NotKnownYet);
        assert_eq!(usage(250, 3, Some(1)).since(&usage(0, 0, None), 100), Activity::AtWork);
    }

    #[test]
    fn looks_that_are_close_together_share_a_window() {
        let mut watched = TwoLooks::new(usage(0, 0, Some(0)));
        for (at, moved, activity) in [
            (20, 100 << 10, Activity::NotKnownYet),
            (50, 100 << 10, Activity::NotKnownYet),
            // Since 0: 100 KiB in 250 ms, and in 260 ms.
            (250, 100 << 10, Activity::AtWork),
            (260, 100 << 10, Activity::AtWork),
            // Since 20, then since 270: nothing was moved.
            (270, 100 << 10, Activity::Idle),
            (290, 100 << 10, Activity::Idle),
            (520, 300 << 10, Activity::AtWork),
        ] {
            assert_eq!(watched.look(usage(at, 0, Some(moved)), 100), activity, "{at}");
        }
    }

    /// What looks at these times find about a process that ignores TERM. Each look comes with the bytes moved so far.
    fn outlooks(begins: Option<u64>, looks: &[(u64, u64)]) -> Vec<Outlook> {
        let main = Sample::new(MAIN, 1, "main").ignores(&[Signal::TERM]);
        let (table, facts) = world(&[main]);
        let moment = Moment { ticks: 100, last_pid: Some(100) };
        let mut signalled = Signalled::begin(StopSignal::plain(Signal::TERM), moment, &table);
        signalled.note_sent(&main.process, Signal::TERM, false);
        let mut check = IgnoreCheck::default();
        check.begin(Duration::ZERO, &table, begins.map(|_| &main.process), |_| begins);
        let status = facts.get(MAIN).and_then(|facts| facts.status).expect("it is there");
        let look = |&(at, moved): &(u64, u64)| {
            let now = Duration::from_millis(at);
            let look = Look { now, table: &table, main: Some(MAIN), ticks_per_second: 100 };
            check.outlook(&look, &signalled, |_| Closer { status, call: Call::Other, moved: Some(moved) })
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn an_idle_process_that_ignores_the_signal_is_known_at_the_first_look() {
        assert_eq!(outlooks(Some(5), &[(2_000, 5), (2_250, 5)]), [Outlook::Futile, Outlook::Futile]);
    }

    #[test]
    fn what_moves_data_is_waited_for_however_close_the_looks_are() {
        let moves = |at: u64| (at, at * 1024);
        let looks = [moves(2_000), moves(2_020), moves(2_040), moves(2_290), moves(2_540)];
        for begins in [Some(0), None] {
            assert_eq!(outlooks(begins, &looks), [Outlook::KeepWaiting; 5], "{begins:?}");
        }
    }
}
