//! Whether waiting for those that are left can help.
//!
//! While main lives it cannot if main ignores the signal and all others that were there when it was sent are gone: a job of a shell that
//! ignores the signal is at work, a `sleep` that the shell's loop has started since is not. When main is gone it cannot if all ignore the
//! signal.
//!
//! A process ignores the signal only if it did so when that was sent: a handler that wants to clean up undisturbed ignores it too, once it has
//! got it. And one that is plainly at work is waited for although it ignores the signal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::{Call, Status};
use super::signalled::Signalled;
use super::{Disposition, Process, Table};
use crate::signal::Signal;

/// What a look says about waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Some process is at work, or has not taken the signal yet.
    KeepWaiting,
    /// Waiting would be futile, but some have not been signalled.
    SignalOthersFirst,
    /// Those that are left ignore the signal.
    Futile,
    /// There is no /proc to look in.
    Unknown,
}

/// More bytes than this between two looks are work.
const MOVED: u64 = 64 * 1024;
/// As is more than this part of one processor.
const PART_OF_A_PROCESSOR: u32 = 10;

/// What a process has used of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In clock ticks.
    pub cpu: u64,
    /// What it has read and written, in bytes; `None` if that may not be read.
    pub moved: Option<u64>,
}

/// What has to be read of a process that may be ignoring the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closer {
    pub status: Status,
    pub call: Call,
    /// What it has read and written, in bytes.
    pub moved: Option<u64>,
}

/// Looks again and again at those that are left, and remembers what they had used at the look before.
#[derive(Clone, Debug, Default)]
pub struct IgnoreCheck {
    /// It was worth waiting for at the last look; as long as that holds, no other process has to be looked at.
    worth_waiting_for: Option<Process>,
    /// By pid and start time.
    used: BTreeMap<(i32, u64), Usage>,
    looked_at: Option<Duration>,
}

/// What one look is about.
#[derive(Debug)]
pub struct Look<'a> {
    pub now: Duration,
    pub table: &'a Table,
    pub main: Option<i32>,
    /// Clock ticks in a second (sysconf(3), `_SC_CLK_TCK`).
    pub ticks_per_second: u64,
}

impl IgnoreCheck {
    /// What was used when the signal was sent: the first look compares with that.
    pub fn begin(&mut self, now: Duration, table: &Table) {
        *self = Self::default();
        self.used =
            table.iter().map(|process| (process.key(), Usage { cpu: process.cpu, moved: None })).collect();
        self.looked_at = Some(now);
    }

    /// The process that the last look found worth waiting for.
    #[must_use]
    pub fn worth_waiting_for(&self) -> Option<&Process> {
        self.worth_waiting_for.as_ref()
    }

    /// Whether a process that did not ignore the signal when it was sent is reason enough to wait: it is, whatever it does now.
    #[must_use]
    pub fn still_holds(signalled: &Signalled, process: &Process) -> bool {
        signalled.disposition(process).is_some_and(|then| then != Disposition::Ignored)
    }

    /// Looks at those that are left. `closer` reads more of one process.
    pub fn outlook(
        &mut self,
        look: &Look<'_>,
        signalled: &Signalled,
        mut closer: impl FnMut(&Process) -> Closer,
    ) -> Outlook {
        let since = look.now.saturating_sub(self.looked_at.replace(look.now).unwrap_or_default());
        let before = std::mem::take(&mut self.used);
        let ignoring = signalled.ignoring(look.table);
        let mut used = BTreeMap::new();
        let mut ignores = |process: &Process| {
            if !ignoring.contains(&process.pid) {
                return false;
            }
            let seen = closer(process);
            let now = Usage { cpu: process.cpu, moved: seen.moved };
            used.insert(process.key(), now);
            let is_at_work = before.get(&process.key()).is_some_and(|before| {
                let ticks = u128::from(look.ticks_per_second) * since.as_millis() / 1000;
                let cpu = u128::from(now.cpu.saturating_sub(before.cpu)) * u128::from(PART_OF_A_PROCESSOR);
                let moved = now.moved.zip(before.moved).map_or(0, |(now, before)| now.saturating_sub(before));
                cpu > ticks || moved > MOVED
            });
            let ignores = || ignores_now(process, &seen, signalled.signal_of(process));
            !is_at_work && process.state != b'D' && (signalled.was_refused(process) || ignores())
        };
        let (outlook, worth_waiting_for) = judge(look, signalled, &mut ignores);
        self.worth_waiting_for = worth_waiting_for;
        self.used = used;
        outlook
    }
}

/// Whether the signal does nothing to it, as far as it can be seen now.
fn ignores_now(process: &Process, seen: &Closer, signal: Option<Signal>) -> bool {
    let Some(signal) = signal else { return false };
    let signals = seen.status.signals.or(process.signals.filter(|_| signal.number() < 32));
    let Some(signals) = signals else { return false };
    let is_dropped = signals.disposition(signal) == Disposition::Ignored
        || (seen.status.is_nested_init && signals.disposition(signal) == Disposition::Default);
    // What is blocked, or waited for, is queued even if it is ignored. A process that runs may have come out of that wait a moment ago.
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
        // What ends with its writer is no reason to wait for that.
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

/// Whether it was signalled, or was started since by a process that was.
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
