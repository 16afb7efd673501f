//! What the plan tells the loop to do.

use std::time::Duration;

use super::{StopSignal, Target};
use crate::signal::Signal;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A stop has begun, for this reason, by this signal: the one received, or drainit's own.
    BeginStop { reason: StopReason, signal: Signal },
    /// Forward a signal that is no request to stop.
    Forward { signal: Signal, to: Recipients },
    /// Begin a stage: note which processes are there, send the signal to the target, and continue those that are stopped.
    Signal { signal: StopSignal, target: Target, cause: Cause },
    /// Send the stage's signal to the processes that the target left out and that have not got it otherwise, because KILL would come next.
    SignalOthers,
    /// Send the stage's signal to every process that has not got it: KILL comes soon.
    LastCall { until_kill: Duration },
    /// Signal the orphans that were adopted since the last look, continue what has been stopped since, and, if the look is to judge, find out
    /// whether waiting can help. Report it as [`Event::Looked`](super::Event::Looked).
    Look { judges: bool },
    /// Say which processes are waited for, and why.
    SayWaiting { since: Duration },
    /// Look which processes have ended: a rehearsal draws it.
    Observe,
    /// Start a step, which has this much time. If it is a process, report its end as [`Event::StepEnded`](super::Event::StepEnded).
    StartStep { step: StepId, time_left: Duration },
    /// Send TERM to the step's group, if it has one.
    EndStep { step: StepId, why: StepEnd },
    /// Send TERM to every process that the steps after the end have left behind.
    SignalLeftovers,
    /// Send KILL to what is left of the last step's group.
    KillStep,
    /// Send KILL to every process that is left.
    Kill(KillReason),
    /// End drainit.
    Leave(ExitReason),
}

/// Why a stop begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A stop signal came.
    Signal,
    /// `--stop-after` or `--rehearse` has elapsed.
    Elapsed,
    /// Main has exited by itself.
    OwnExit,
}

/// Why a stage begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is the first one of a stop that was requested.
    Requested,
    /// It is the first one after main's own exit.
    OwnExit,
    /// The time of the stage before it has elapsed.
    Elapsed,
    /// The processes that are left ignore this signal.
    Ignored(Signal),
}

/// Which processes get a signal that is no request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    Main,
    Group,
    /// Main alone if it handles the signal, else its group.
    MainOrGroup,
    /// Main is gone: the processes that drainit has adopted get the signal in its place.
    Adopted,
    /// Like `Adopted`: each process alone if it handles the signal, else with its group.
    AdoptedOrGroups,
    All,
}

/// Which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepId {
    pub when: When,
    /// Its place among the steps that run at that time, from 0.
    pub at: usize,
}

/// When a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the processes are signalled.
    PreStop,
    /// After the last process has ended.
    PostExit,
}

/// Why a step is ended before it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// Its time has elapsed.
    Elapsed,
    /// It has not even begun.
    NoTimeLeft,
    /// There is nothing left to drain.
    MainIsGone,
}

/// Why KILL is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillReason {
    /// The grace period, the schedule or the limit after main's own exit has elapsed.
    Elapsed,
    /// The processes that are left ignore this signal, so that waiting cannot help.
    Ignored(Signal),
}

/// Why the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// No process is left.
    NoneLeft,
    /// Processes are left that KILL does not end.
    SomeCannotBeKilled,
}

/// A few actions, in order, without memory from the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Actions([Option<Action>; Self::ROOM]);

impl Actions {
    const ROOM: usize = 4;

    pub(super) fn none() -> Self {
        Self([None; Self::ROOM])
    }

    pub(super) fn one(action: Action) -> Self {
        Self([Some(action), None, None, None])
    }

    /// This action, and then these.
    pub(super) fn before(action: Action, then: Self) -> Self {
        let [first, second, third, fourth] = then.0;
        debug_assert!(fourth.is_none(), "room for four");
        Self([Some(action), first, second, third])
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Action>, { Self::ROOM }>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}
