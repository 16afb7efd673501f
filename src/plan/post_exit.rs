//! The steps after the last process, however it ended. They have what is left of the grace period.

use super::drain::slept;
use super::*;

/// The steps that are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PostExit {
    reason: ExitReason,
    /// The step that is under way.
    at: usize,
    doing: Doing,
    /// Whether no child is left, not even the step's process.
    alone: bool,
    /// When the time for all of them is up; `None` once it is.
    ends: Option<Duration>,
    /// When drainit exits at the latest.
    leaves: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// The step is a process.
    Running,
    /// The step is a sleep until then.
    Sleeping(Duration),
    /// No step is left; the processes that they left behind are waited for.
    Waiting,
}

impl PostExit {
    pub(super) fn deadline(&self) -> Duration {
        let slept = if let Doing::Sleeping(until) = self.doing { Some(until) } else { None };
        earliest(slept, self.ends).unwrap_or(self.leaves)
    }

    fn step(&self) -> StepId {
        StepId { when: When::PostExit, at: self.at }
    }
}

impl Plan<'_> {
    pub(super) fn post_exit(&mut self, now: Duration, reason: ExitReason) -> Actions {
        let (ends, leaves) = self.post_exit_ends(now);
        let alone = reason == ExitReason::NoneLeft;
        let doing = Doing::Waiting;
        self.begin_post_exit_step(now, PostExit { reason, at: 0, doing, alone, ends: Some(ends), leaves })
    }

    /// What is left of the grace period, at least [`POST_EXIT_LEAST`], but never later than [`KILL_PATIENCE`] after its end. If no stop has
    /// begun, the period begins now.
    fn post_exit_ends(&self, now: Duration) -> (Duration, Duration) {
        let begun_now = self.policy.grace_period.map(|grace| now.saturating_add(grace));
        match self.grace_ends.or(begun_now) {
            Some(grace_ends) => {
                let latest = grace_ends.saturating_add(KILL_PATIENCE);
                let ends = grace_ends.max(now.saturating_add(POST_EXIT_LEAST)).min(latest);
                (ends, ends.saturating_add(STEP_PATIENCE).min(latest))
            }
            None => {
                let ends = now.saturating_add(POST_EXIT_LIMIT);
                (ends, ends.saturating_add(STEP_PATIENCE))
            }
        }
    }

    fn begin_post_exit_step(&mut self, now: Duration, mut post_exit: PostExit) -> Actions {
        let Some(step) = self.policy.post_exit.get(post_exit.at) else {
            post_exit.doing = Doing::Waiting;
            return self.wait_after_steps(post_exit);
        };
        let time_left = post_exit.ends.map_or(Duration::ZERO, |ends| ends.saturating_sub(now));
        if time_left.is_zero() {
            return self.end_post_exit(post_exit, StepEnd::NoTimeLeft);
        }
        post_exit.doing = slept(step, now).map_or(Doing::Running, Doing::Sleeping);
        post_exit.alone &= post_exit.doing != Doing::Running;
        self.phase = Phase::PostExit(post_exit);
        Actions::one(Action::StartStep { step: post_exit.step(), time_left })
    }

    pub(super) fn end_post_exit_step(
        &mut self,
        now: Duration,
        mut post_exit: PostExit,
        ended: StepId,
    ) -> Actions {
        if ended != post_exit.step() || post_exit.doing != Doing::Running {
            return Actions::none();
        }
        post_exit.at += 1;
        self.begin_post_exit_step(now, post_exit)
    }

    pub(super) fn post_exit_tick(&mut self, now: Duration, mut post_exit: PostExit) -> Actions {
        match (post_exit.doing, post_exit.ends) {
            (Doing::Sleeping(until), Some(ends)) if until <= now && until <= ends => {
                post_exit.at += 1;
                self.begin_post_exit_step(now, post_exit)
            }
            (_, Some(ends)) if ends <= now => self.end_post_exit(post_exit, StepEnd::Elapsed),
            (_, None) if post_exit.leaves <= now => {
                let last = self.over(post_exit.reason);
                Actions::before(Action::Kill(KillReason::Elapsed), last)
            }
            (Doing::Running | Doing::Sleeping(_) | Doing::Waiting, _) => Actions::none(),
        }
    }

    /// No process is left. If a step is under way, this is reported before the step's end.
    pub(super) fn alone_after_exit(&mut self, mut post_exit: PostExit) -> Actions {
        post_exit.alone = true;
        match post_exit.doing {
            Doing::Waiting => self.wait_after_steps(post_exit),
            Doing::Running | Doing::Sleeping(_) => {
                self.phase = Phase::PostExit(post_exit);
                Actions::none()
            }
        }
    }

    /// The time is up: the step that is under way is ended, no other begins, and what the steps have left behind gets TERM.
    fn end_post_exit(&mut self, mut post_exit: PostExit, why: StepEnd) -> Actions {
        let ended = Action::EndStep { step: post_exit.step(), why };
        let steps_are_left = post_exit.at < self.policy.post_exit.len();
        let are_left_over = !post_exit.alone && why == StepEnd::Elapsed;
        post_exit.ends = None;
        post_exit.doing = Doing::Waiting;
        let mut actions = self.wait_after_steps(post_exit);
        if are_left_over {
            actions = Actions::before(Action::SignalLeftovers, actions);
        }
        if steps_are_left { Actions::before(ended, actions) } else { actions }
    }

    /// All steps are done. What KILL could not end has been waited for already.
    fn wait_after_steps(&mut self, post_exit: PostExit) -> Actions {
        if post_exit.alone || (post_exit.ends.is_some() && post_exit.reason == ExitReason::SomeCannotBeKilled)
        {
            return self.over(post_exit.reason);
        }
        self.phase = Phase::PostExit(post_exit);
        Actions::none()
    }
}
