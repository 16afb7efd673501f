//! Which signals a stop sends, to which processes, and how far apart.

use std::time::Duration;

use super::Target;
use crate::signal::Signal;

/// The signals of a stop, in order. KILL comes behind the last one unless that one waits for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Stage>);

/// One signal of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub signal: Signal,
    /// Where it goes, if not to the target of every signal.
    pub target: Option<Target>,
    /// How long they have.
    pub patience: Patience,
}

/// How long to wait after a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// So long; then comes what is next.
    For(Duration),
    /// For ever: nothing comes after it.
    Forever,
}

impl Schedule {
    /// The stage with this number; `None` is KILL.
    #[must_use]
    pub fn stage(&self, at: usize) -> Option<Stage> {
        self.0.get(at).copied()
    }

    /// These stages, in this order.
    #[must_use]
    pub fn new(stages: Vec<Stage>) -> Self {
        Self(stages)
    }
}
