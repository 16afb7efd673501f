//! What the plan wants done.

use std::time::Duration;

use super::Target;
use crate::signal::Signal;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pass a signal on, after rewriting. [`Target::All`] where main is gone.
    Forward { signal: Signal, target: Target },
    /// Note who is there, send the signal to the target and CONT behind it, so that a stopped process can die.
    Ask { signal: Signal, target: Target },
    /// Send the signal, and CONT, to everyone left who was not asked, until a look finds nobody new.
    AskTheRest { signal: Signal },
    /// Look whether those who are left ignore this signal, and report it as [`Event::Looked`](super::Event::Looked).
    Look { signal: Signal },
    /// Start a step, which has so much time, and report its end, where it is a process, as
    /// [`Event::StepEnded`](super::Event::StepEnded).
    StartStep { step: StepId, time_left: Duration },
    /// Send TERM to the step's group, where it has one.
    EndStep { step: StepId, why: StepEnd },
    /// Send KILL to what is left of the last step's group.
    KillStep,
    /// Send KILL to everyone left.
    Kill(Reason),
    /// End.
    Leave(Farewell),
}

/// Which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepId {
    pub when: When,
    /// Its place among those of its time, from 0.
    pub at: usize,
}

/// When a step is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before anybody is asked to leave.
    PreStop,
    /// After the last process has gone.
    PostExit,
}

/// Why a step that is under way is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    TimeIsUp,
    /// It has not even begun.
    NoTimeLeft,
    /// There is nothing left to drain.
    MainIsGone,
}

/// Why everybody is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    TimeIsUp,
    /// Those who are left ignore this signal, so that waiting cannot help.
    Ignored(Signal),
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Everybody has left.
    NobodyLeft,
    /// Some are left that KILL does not end.
    SomeCannotBeKilled,
}

/// A few actions, in order, without memory from the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Actions([Option<Action>; Self::ROOM]);

impl Actions {
    const ROOM: usize = 3;

    pub(super) fn none() -> Self {
        Self([None; Self::ROOM])
    }

    pub(super) fn one(action: Action) -> Self {
        Self([Some(action), None, None])
    }

    /// This action, and then these.
    pub(super) fn before(action: Action, then: Self) -> Self {
        let [first, second, third] = then.0;
        debug_assert!(third.is_none(), "room for three");
        Self([Some(action), first, second])
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Action>, { Self::ROOM }>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}
