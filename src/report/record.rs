//! The facts of a run, noted as they happen, and what follows from them.
//!
//! Everything is bounded: a run of a year that reaps a million orphans takes no more memory than one of a second.

use std::time::Duration;

use crate::outcome::Ended;
use crate::plan::processes::{Disposition, Process, ProcessName};
use crate::plan::sorted::Set;
use crate::plan::{KillReason, StepId, StopReason, Target, When};
use crate::signal::Signal;

/// How many processes are noted one by one, in the order in which they were found.
pub const MAX_PROCESSES: usize = 256;
/// How many more are counted, each once.
const MAX_COUNTED: usize = 1 << 16;
/// Processes that one look signals are noted and signalled within this time of one another.
pub(super) const TOGETHER: Duration = Duration::from_millis(100);
/// How many of the last signals are kept.
pub const MAX_SIGNALS: usize = 64;

/// The facts of one run. All times are since drainit started.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The command's own name (no arguments: they may hold secrets).
    pub command: String,
    pub main_pid: Option<i32>,
    pub grace_period: Option<Duration>,
    /// How the stop began; `None` if every process ended before one did.
    pub stop: Option<StopRecord>,
    /// When the stop first signalled processes.
    pub signalled_at: Option<Duration>,
    /// Which processes the stop's first signal was for.
    pub target: Option<Target>,
    /// In the order in which they were started.
    pub steps: Vec<StepRecord>,
    pub sent: Sent,
    /// The processes that were there when the stop's signal was sent, or appeared later in the stop; main first if it was there.
    pub processes: Vec<ProcessRecord>,
    /// How many processes beyond [`MAX_PROCESSES`] there were.
    pub more_processes: u64,
    /// Their pids and start times.
    pub(crate) counted: Set<(i32, u64)>,
    /// When a step's group had to be killed.
    pub step_killed: Option<Timed<StepId>>,
    /// When the stop went on early because a signal was ignored, and the signal that came next.
    pub escalated: Option<Timed<Signal>>,
    /// A signal that stops other images came from outside before there was a stop, and it began none.
    pub unheeded: Option<Timed<Signal>>,
    /// Children that ended and were neither main, nor a step, nor noted in `processes`.
    pub orphans_reaped: u64,
    /// How many of drainit's children, main and the steps apart, died of a KILL that drainit did not send.
    pub foreign_kills: u64,
    /// Main died of a KILL that drainit did not send, and its control group had run out of memory.
    pub out_of_memory: bool,
    /// How and when main ended.
    pub main_ended: Option<Timed<Ended>>,
    /// When KILL was first sent to every process left, and why.
    pub killed: Option<Timed<KillReason>>,
    /// When the last process had ended, or drainit gave up on those left; `None` until then.
    pub ended_at: Option<Duration>,
    /// What drainit exits with, `--remap-exit` included; `None` until the run is over.
    pub exit_code: Option<u8>,
}

/// Something that happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed<T> {
    pub at: Duration,
    pub what: T,
}

/// How a stop began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRecord {
    pub at: Duration,
    pub reason: StopReason,
    /// As it was received, or drainit's own; before `--rewrite`.
    pub signal: Signal,
    /// All zeros if no signal was received.
    pub sender: Sender,
}

/// The process that sent a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// 0 is a process outside of the pid namespace, or the kernel.
    pub pid: i32,
    /// Its real user id.
    pub uid: u32,
}

/// A drain or post-exit step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    pub id: StepId,
    /// `command nginx`, `sleep`, `http 127.0.0.1:8080`, `idle 8080`: kind and name without arguments.
    pub name: String,
    pub began: Duration,
    /// `None` while it runs, or if its end was not seen.
    pub ended: Option<Timed<StepOutcome>>,
    /// The step waited for connections, and nothing was seen to happen on the ones that were left.
    pub only_kept_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Succeeded,
    /// It exited with another status than 0, or died of a signal.
    Failed(Ended),
    NotStarted,
    TimedOut,
    /// Main ended while it ran, so there was nothing left to drain.
    Dropped,
}

/// The signals that drainit sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The last [`MAX_SIGNALS`], oldest first.
    pub last: Vec<SentSignal>,
    /// How many came before those.
    pub before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentSignal {
    pub at: Duration,
    pub signal: Signal,
    pub to: Receiver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Main alone.
    Main,
    /// Main's group.
    Group,
    /// Every process at once.
    All,
    /// One process that was found.
    Process(i32),
    /// The group of a step.
    Step(StepId),
}

/// A process that a stop had to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    pub pid: i32,
    /// In clock ticks since boot; pid and start time together identify the process.
    pub start: u64,
    /// Its parent when it was first seen; 0 if that is outside of the pid namespace.
    pub parent: i32,
    /// Its process group when it was first seen.
    pub group: i32,
    pub name: ProcessName,
    pub is_main: bool,
    pub first_seen: Duration,
    /// When it was last seen alive, if it was looked at again.
    pub last_seen: Option<Duration>,
    /// The kernel's letter for its state when it was last seen (S, R, D, T, ...).
    pub state: u8,
    /// What it did about the stop's signal just before that was sent; `None` if that is not known.
    pub disposition: Option<Disposition>,
    /// The first signal of the stop that it was sent.
    pub signalled: Option<Timed<Signal>>,
    /// A signal that drainit was not allowed to send to it.
    pub refused: Option<Timed<Signal>>,
    pub ended: Option<Timed<ProcessEnd>>,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// drainit reaped it.
    Reaped(Ended),
    /// It was gone when drainit looked again: its own parent reaped it.
    Gone,
    /// Not even KILL had ended it when drainit exited.
    LeftBehind,
}

/// How facts are noted.
impl Record {
    /// From now on noting a signal allocates nothing.
    pub fn make_room(&mut self) {
        self.sent.last.reserve_exact(MAX_SIGNALS);
    }

    /// Notes a signal that was sent.
    pub fn note_sent(&mut self, at: Duration, signal: Signal, to: Receiver) {
        if self.sent.last.len() == MAX_SIGNALS {
            self.sent.last.remove(0);
            self.sent.before += 1;
        }
        self.sent.last.push(SentSignal { at, signal, to });
    }

    /// The record of this process, made now if there is none; `None` if there are too many already.
    pub fn process(&mut self, now: Duration, process: &Process, is_main: bool) -> Option<&mut ProcessRecord> {
        let is_known = |known: &ProcessRecord| known.pid == process.pid && known.start == process.start;
        if let Some(at) = self.processes.iter().position(is_known) {
            return self.processes.get_mut(at);
        }
        if self.processes.len() >= MAX_PROCESSES {
            if self.counted.len() < MAX_COUNTED && self.counted.insert((process.pid, process.start)) {
                self.more_processes += 1;
            }
            return None;
        }
        self.processes.push(ProcessRecord {
            pid: process.pid,
            start: process.start,
            parent: process.parent,
            group: process.group,
            name: process.name,
            is_main,
            first_seen: now,
            last_seen: process.is_alive().then_some(now),
            state: process.state,
            disposition: None,
            signalled: None,
            refused: None,
            ended: None,
        });
        self.processes.last_mut()
    }

    /// Notes a reaped child that is neither main nor a step. Reads the clock only if it is one of `processes`.
    pub fn note_reaped(&mut self, at: impl FnOnce() -> Duration, pid: i32, ended: Ended) {
        let process = self.processes.iter_mut().find(|process| process.pid == pid && process.ended.is_none());
        match process {
            Some(process) => process.ended = Some(Timed { at: at(), what: ProcessEnd::Reaped(ended) }),
            None => self.orphans_reaped += 1,
        }
    }

    /// A step begins.
    pub fn begin_step(&mut self, at: Duration, id: StepId, name: String) {
        self.steps.push(StepRecord { id, name, began: at, ended: None, only_kept_alive: false });
    }

    /// A step is over; only the first outcome counts.
    pub fn end_step(&mut self, at: Duration, id: StepId, outcome: StepOutcome) {
        let open = self.steps.iter_mut().find(|step| step.id == id && step.ended.is_none());
        if let Some(step) = open {
            step.ended = Some(Timed { at, what: outcome });
        }
    }
}

/// What follows from the facts.
impl Record {
    /// Whether the run is over, and nothing will be added.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.exit_code.is_some()
    }

    /// Whether all went well: no process was killed or left behind, no KILL from elsewhere ended main, and every step did its work.
    #[must_use]
    pub fn went_well(&self) -> bool {
        self.killed.is_none()
            && self.step_killed.is_none()
            && !self.main_died_of_other_kill()
            && self.steps.iter().all(StepRecord::went_well)
            && !self.processes.iter().any(ProcessRecord::is_left_behind)
    }

    /// Whether main died of a KILL that was not drainit's, but the kernel's, for lack of memory, or an operator's.
    #[must_use]
    pub fn main_died_of_other_kill(&self) -> bool {
        self.main_ended.is_some_and(|end| {
            end.what == Ended::Killed(Signal::KILL) && self.killed.is_none_or(|killed| end.at < killed.at)
        })
    }

    /// The steps of this phase, in order.
    pub fn steps_of(&self, when: When) -> impl Iterator<Item = &StepRecord> {
        self.steps.iter().filter(move |step| step.id.when == when)
    }

    /// Main's own record, if the stop found it alive.
    #[must_use]
    pub fn main(&self) -> Option<&ProcessRecord> {
        self.processes.iter().find(|process| process.is_main)
    }

    /// When the last process had ended, in a run that is over.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.ended_at.unwrap_or_default()
    }

    /// The time from the beginning of the stop to its end; `None` if there was no stop, or it is not over.
    #[must_use]
    pub fn stop_took(&self) -> Option<Duration> {
        Some(self.ended_at?.saturating_sub(self.stop?.at))
    }

    /// When the processes were first signalled or, if they were not, when the stop began.
    #[must_use]
    pub fn signalled_or_stopped_at(&self) -> Duration {
        self.signalled_at.or(self.stop.map(|stop| stop.at)).unwrap_or_default()
    }

    /// What became of a process. Main's end is known even if it ended before the stop noted it.
    #[must_use]
    pub fn end_of(&self, process: &ProcessRecord) -> Option<Timed<ProcessEnd>> {
        let main = self.main_ended.filter(|_| process.is_main);
        process.ended.or_else(|| main.map(|end| Timed { at: end.at, what: ProcessEnd::Reaped(end.what) }))
    }

    /// How long it kept the stop waiting after it was signalled; `None` if it was not signalled, or is still waited for.
    #[must_use]
    pub fn waited(&self, process: &ProcessRecord) -> Option<Duration> {
        let until = self.end_of(process).map(|end| end.at).or(self.ended_at)?;
        Some(until.saturating_sub(process.signalled?.at))
    }

    /// Whether it appeared after the first signal. The look that comes with a signal takes a moment.
    #[must_use]
    pub fn began_later(&self, process: &ProcessRecord) -> bool {
        self.signalled_at.is_some_and(|signalled| signalled.saturating_add(TOGETHER) < process.first_seen)
    }

    /// How long it has been waited for since it was signalled, as far as was seen; `None` if it was not signalled.
    #[must_use]
    pub fn waited_so_far(&self, process: &ProcessRecord) -> Option<Duration> {
        let until = self.end_of(process).map(|end| end.at).or(self.ended_at).or(process.last_seen)?;
        Some(until.saturating_sub(process.signalled?.at))
    }

    /// Whether it was there when KILL was sent, and ended of that.
    #[must_use]
    pub fn was_killed(&self, process: &ProcessRecord) -> bool {
        let (Some(killed), Some(end)) = (self.killed, self.end_of(process)) else { return false };
        match end.what {
            ProcessEnd::Reaped(ended) => ended == Ended::Killed(Signal::KILL) && killed.at <= end.at,
            ProcessEnd::Gone => killed.at < end.at,
            ProcessEnd::LeftBehind => false,
        }
    }

    /// Whether a signal to this receiver went to this process, too.
    ///
    /// The receiver "group" is main's group, so a process belongs to it if main was seen in its group, or was started in it.
    #[must_use]
    pub fn reaches(&self, to: Receiver, process: &ProcessRecord) -> bool {
        match to {
            Receiver::All => true,
            Receiver::Main => process.is_main,
            Receiver::Group => {
                let group = self.main().map(|main| main.group).or(self.main_pid);
                process.is_main || group == Some(process.group)
            }
            Receiver::Process(pid) => pid == process.pid,
            Receiver::Step(_) => false,
        }
    }

    /// The signal that a process ignored, and the next, different one that it was sent.
    #[must_use]
    pub fn ignored_then_sent(&self, process: &ProcessRecord) -> Option<(Timed<Signal>, Timed<Signal>)> {
        let ignored = process.ignored()?;
        let ended = self.end_of(process).map(|end| end.at);
        let mut sent = self.sent.last.iter();
        let next = sent.find(|sent| {
            // CONT only follows others, and KILL is reported separately.
            let is_other = sent.signal != ignored.what && !matches!(sent.signal, Signal::CONT | Signal::KILL);
            let was_there = ignored.at < sent.at && ended.is_none_or(|end| sent.at <= end);
            is_other && was_there && self.reaches(sent.to, process)
        })?;
        Some((ignored, Timed { at: next.at, what: next.signal }))
    }

    /// Whether ignoring the signal cost it something: it was killed, or the stop went on to another signal.
    #[must_use]
    pub fn suffered_for_ignoring(&self, process: &ProcessRecord) -> bool {
        process.ignored().is_some() && (self.was_killed(process) || self.ignored_then_sent(process).is_some())
    }
}

impl ProcessRecord {
    /// The signal that it was sent and ignored.
    #[must_use]
    pub fn ignored(&self) -> Option<Timed<Signal>> {
        self.signalled.filter(|_| self.disposition == Some(Disposition::Ignored))
    }

    #[must_use]
    pub fn is_left_behind(&self) -> bool {
        matches!(self.ended, Some(Timed { what: ProcessEnd::LeftBehind, .. }))
    }
}

impl StepRecord {
    /// Whether it did its work, or there was none left.
    #[must_use]
    pub fn went_well(&self) -> bool {
        matches!(self.ended, Some(Timed { what: StepOutcome::Succeeded | StepOutcome::Dropped, .. }))
    }

    /// How long it took; `None` if its end was not seen.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.ended.map(|end| end.at.saturating_sub(self.began))
    }
}
