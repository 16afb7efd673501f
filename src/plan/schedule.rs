//! Which signals a stop sends, to which processes, and at what intervals.

use std::time::Duration;

use super::Target;
use crate::signal::Signal;

/// The signals of a stop, in order. KILL follows the last one, unless that waits for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<ScheduledStage>);

/// One signal of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledStage {
    pub signal: Signal,
    /// Its target, if it is not the target of all signals.
    pub target: Option<Target>,
    /// How long the processes have.
    pub patience: Patience,
}

/// How long to wait after a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// This long; then the next stage begins.
    For(Duration),
    /// For ever: no stage follows.
    Forever,
}

impl Schedule {
    /// The stage with this number; `None` is KILL.
    #[must_use]
    pub fn stage(&self, at: usize) -> Option<ScheduledStage> {
        self.0.get(at).copied()
    }

    /// These stages, in this order.
    #[must_use]
    pub fn new(stages: Vec<ScheduledStage>) -> Self {
        Self(stages)
    }
}
