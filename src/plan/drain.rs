//! The steps before a stop. They run only if the stop was requested, like a preStop hook. They are bounded by their own timeout and by the
//! grace period, part of which is kept for the processes to end in.

use super::*;

/// The steps that are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// The request, as it was received.
    signal: Signal,
    /// The step that is under way.
    at: usize,
    /// When it is over, if it is a sleep.
    slept: Option<Duration>,
    /// When the time for all of them is up.
    ends: Duration,
}

impl Drain {
    pub(super) fn deadline(&self) -> Duration {
        self.slept.map_or(self.ends, |slept| slept.min(self.ends))
    }

    fn step(&self) -> StepId {
        StepId { when: When::PreStop, at: self.at }
    }
}

impl Plan<'_> {
    /// Begins the first step. Signals at once if there is none, or no time for one.
    pub(super) fn drain(&mut self, now: Duration, signal: Signal) -> Actions {
        let ends = self.drain_ends(now);
        if self.policy.pre_stop.is_empty() || ends <= now {
            return self.signal_all(now, true, signal);
        }
        self.begin_drain_step(now, Drain { signal, at: 0, slept: None, ends })
    }

    fn drain_ends(&self, now: Duration) -> Duration {
        now.saturating_add(self.policy.drain_time())
    }

    fn begin_drain_step(&mut self, now: Duration, mut drain: Drain) -> Actions {
        let Some(step) = self.policy.pre_stop.get(drain.at) else {
            return self.signal_all(now, true, drain.signal);
        };
        if drain.ends <= now {
            return self.end_drain(now, drain, StepEnd::NoTimeLeft);
        }
        drain.slept = slept(step, now);
        self.phase = Phase::Draining(drain);
        Actions::one(Action::StartStep { step: drain.step(), time_left: drain.ends.saturating_sub(now) })
    }

    pub(super) fn end_drain_step(&mut self, now: Duration, drain: Drain, ended: StepId) -> Actions {
        if ended != drain.step() || drain.slept.is_some() {
            return Actions::none();
        }
        self.begin_drain_step(now, Drain { at: drain.at + 1, ..drain })
    }

    pub(super) fn drain_tick(&mut self, now: Duration, drain: Drain) -> Actions {
        if drain.slept.is_some_and(|slept| slept <= now && slept <= drain.ends) {
            self.begin_drain_step(now, Drain { at: drain.at + 1, ..drain })
        } else if drain.ends <= now {
            self.end_drain(now, drain, StepEnd::Elapsed)
        } else {
            Actions::none()
        }
    }

    /// Main has ended: there is nothing left to drain, and what is left is signalled at once.
    pub(super) fn drop_drain(&mut self, now: Duration, drain: Drain) -> Actions {
        self.end_drain(now, drain, StepEnd::MainIsGone)
    }

    fn end_drain(&mut self, now: Duration, drain: Drain, why: StepEnd) -> Actions {
        let is_process = drain.slept.is_none() && why != StepEnd::NoTimeLeft;
        self.kill_step_at = is_process.then(|| now.saturating_add(STEP_PATIENCE));
        let signalling = self.signal_all(now, true, drain.signal);
        Actions::before(Action::EndStep { step: drain.step(), why }, signalling)
    }
}

/// When a step that is a sleep is over; the end of any other step is an event.
pub(super) fn slept(step: &Step, now: Duration) -> Option<Duration> {
    match step {
        Step::Sleep(duration) => Some(now.saturating_add(*duration)),
        Step::Command(_) | Step::Http(_) | Step::Idle(_) => None,
    }
}
