//! What the plan wants done.

use crate::settings::Target;
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
    /// Send KILL to everyone left.
    Kill,
    /// End.
    Leave(Farewell),
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
    const ROOM: usize = 2;

    pub(super) fn none() -> Self {
        Self([None; Self::ROOM])
    }

    pub(super) fn one(action: Action) -> Self {
        Self([Some(action), None])
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Action>, { Self::ROOM }>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}
