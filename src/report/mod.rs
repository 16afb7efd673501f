//! What happened in a run: facts first, noted by the supervisor as they come; then what is made of them at the end. Pure.
//!
//! Everything is bounded: a run of a year that reaps a million orphans holds no more than one of a second.

#![forbid(unsafe_code)]

mod advice;
mod json;
mod page;
#[cfg(test)]
mod properties;
mod row;
#[cfg(test)]
mod samples;
mod scale;
#[cfg(test)]
mod scenes;
#[cfg(test)]
mod schema;
mod termination;
pub mod timeline;
pub mod verdict;
mod words;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::outcome::Ended;
use crate::plan::Target;
use crate::plan::{StepId, When};
use crate::signal::Signal;
use crate::survivors::{Attitude, Name, Process};

pub use json::{SCHEMA, json};
pub use termination::message;

/// So many processes are noted one by one, in the order in which they were found.
pub const MEMBERS: usize = 256;
/// So many more are counted.
const BEYOND: usize = 1 << 16;
/// So many of the last signals are kept.
pub const SIGNALS: usize = 64;

/// The facts of one run. All times are since drainit started.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The command's own name (no arguments: they may hold secrets).
    pub command: String,
    /// How the stop began; `None` where everybody left before one did.
    pub stop: Option<Stop>,
    /// When the processes were first asked to leave.
    pub asked_at: Option<Duration>,
    /// In the order in which they were started.
    pub steps: Vec<Step>,
    pub sent: Sent,
    /// Who was there when the stop's signal was sent, or turned up later in it; main first if it was there.
    pub members: Vec<Member>,
    /// How many more there were than [`MEMBERS`].
    pub more_members: u64,
    /// Those, by pid and start time.
    pub(crate) beyond: BTreeSet<(i32, u64)>,
    /// When a step's group had to be killed.
    pub step_killed: Option<Event<StepId>>,
    /// When the stop went on because a signal was ignored, and what was sent then.
    pub passed_over: Option<Event<Signal>>,
    /// Children that died and were neither main, nor a step, nor noted as a member.
    pub orphans_reaped: u64,
    /// How and when main ended.
    pub main_ended: Option<Event<Ended>>,
    /// When KILL was first sent to everybody left, and why.
    pub killed: Option<Event<Killed>>,
    /// When the last process had gone, or drainit gave up on who was left.
    pub ended_at: Duration,
    /// What drainit exits with, `--remap-exit` included.
    pub exit_code: u8,
}

/// Something that happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<T> {
    pub at: Duration,
    pub what: T,
}

/// How a stop began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub at: Duration,
    pub reason: Reason,
    /// As it was received, or drainit's own; before `--rewrite`.
    pub signal: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody sent a stop signal.
    Signal {
        /// 0 is outside of the pid namespace, or the kernel.
        sender: i32,
        /// The sender's real user id.
        uid: u32,
    },
    /// `--stop-after` or `--rehearse` had run out.
    Time,
    /// Main had exited by itself.
    OwnExit,
}

/// Why KILL was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// The grace period or the schedule had run out.
    TimeIsUp,
    /// Everybody who was waited for ignored this signal.
    Ignored(Signal),
}

/// A drain or post-exit step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub id: StepId,
    /// `command nginx`, `sleep`, `http 127.0.0.1:8080`, `idle 8080`: kind and name without arguments.
    pub name: String,
    pub began: Duration,
    /// `None` while it runs, and where its end was not seen.
    pub ended: Option<Event<StepOutcome>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Succeeded,
    /// It ended with another status than 0, or of a signal.
    Failed(Ended),
    NotStarted,
    TimedOut,
    /// Main ended meanwhile, and there was nothing left to drain.
    Dropped,
}

/// The signals that drainit has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The last [`SIGNALS`] ones, oldest first.
    pub last: VecDeque<SentSignal>,
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
    /// Main, its group or everybody at once.
    Target(Target),
    /// One process that was found.
    Process(i32),
    /// The group of a step.
    Step(StepId),
}

/// A process that a stop had to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub pid: i32,
    /// In clock ticks since boot; with the pid it names the process.
    pub start: u64,
    pub name: Name,
    pub is_main: bool,
    /// When it was first noted.
    pub seen_at: Duration,
    /// The kernel's letter for its state, as it was seen last (S, R, D, T, ...).
    pub state: u8,
    /// What it did about the signal just before that was sent; `None` where that could not be told.
    pub attitude: Option<Attitude>,
    /// The first signal of the stop that it was sent.
    pub asked: Option<Event<Signal>>,
    pub ended: Option<Event<Fate>>,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// drainit reaped it.
    Reaped(Ended),
    /// It was gone when drainit looked again; its own parent has reaped it.
    Gone,
    /// Not even KILL had ended it when drainit left.
    LeftBehind,
}

impl Record {
    /// Whether there is nothing to tell: nobody was killed, skipped or left behind, and no step went wrong.
    #[must_use]
    pub fn is_happy(&self) -> bool {
        let step_went_well = |step: &Step| {
            matches!(step.ended, Some(Event { what: StepOutcome::Succeeded | StepOutcome::Dropped, .. }))
        };
        let left_behind =
            |member: &Member| matches!(member.ended, Some(Event { what: Fate::LeftBehind, .. }));
        self.killed.is_none()
            && self.step_killed.is_none()
            && self.steps.iter().all(step_went_well)
            && !self.members.iter().any(left_behind)
    }

    /// From now on noting a signal takes no memory.
    pub fn make_room(&mut self) {
        self.sent.last.reserve_exact(SIGNALS);
    }

    /// Notes a signal that was sent.
    pub fn note_sent(&mut self, at: Duration, signal: Signal, to: Receiver) {
        if self.sent.last.len() == SIGNALS {
            self.sent.last.pop_front();
            self.sent.before += 1;
        }
        self.sent.last.push_back(SentSignal { at, signal, to });
    }

    /// The member that is this process, noted now if it was not before; `None` where there are too many.
    pub fn member(&mut self, now: Duration, process: &Process, is_main: bool) -> Option<&mut Member> {
        let is_known = |member: &Member| member.pid == process.pid && member.start == process.start;
        if let Some(at) = self.members.iter().position(is_known) {
            return self.members.get_mut(at);
        }
        if self.members.len() >= MEMBERS {
            if self.beyond.len() < BEYOND && self.beyond.insert((process.pid, process.start)) {
                self.more_members += 1;
            }
            return None;
        }
        self.members.push(Member {
            pid: process.pid,
            start: process.start,
            name: process.name,
            is_main,
            seen_at: now,
            state: process.state,
            attitude: None,
            asked: None,
            ended: None,
        });
        self.members.last_mut()
    }

    /// A child was reaped that is neither main nor a step. Only of a member the time is wanted.
    pub fn note_reaped(&mut self, at: impl FnOnce() -> Duration, pid: i32, ended: Ended) {
        let member = self.members.iter_mut().find(|member| member.pid == pid && member.ended.is_none());
        match member {
            Some(member) => member.ended = Some(Event { at: at(), what: Fate::Reaped(ended) }),
            None => self.orphans_reaped += 1,
        }
    }

    /// A step begins.
    pub fn begin_step(&mut self, at: Duration, id: StepId, name: String) {
        self.steps.push(Step { id, name, began: at, ended: None });
    }

    /// A step is over; only the first word on it counts.
    pub fn end_step(&mut self, at: Duration, id: StepId, outcome: StepOutcome) {
        let open = self.steps.iter_mut().find(|step| step.id == id && step.ended.is_none());
        if let Some(step) = open {
            step.ended = Some(Event { at, what: outcome });
        }
    }

    /// The steps of this time, in order.
    pub fn steps_of(&self, when: When) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.id.when == when)
    }
}
