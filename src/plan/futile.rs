//! Steps that were given and cannot run as given, because their time is over before their turn. That is known before the start.

use super::*;

/// A step that cannot run as it was given, whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutileStep {
    pub id: StepId,
    /// Whether it begins at all; if it does, it is a sleep that is cut off.
    pub begins: bool,
    /// How long the sleeps before it take.
    pub slept: Duration,
    /// The time that all steps of its kind have together.
    pub time: Duration,
}

impl StopPolicy {
    /// The time that the steps before a stop have together: their own, or what the grace period leaves them.
    #[must_use]
    pub fn drain_time(&self) -> Duration {
        match self.grace_period {
            Some(grace) => self.pre_stop_timeout.min(grace - KEPT_FOR_STOPPING.min(grace / 2)),
            None => self.pre_stop_timeout,
        }
    }

    /// The most time that the steps after the last process have together.
    fn post_exit_time(&self) -> Duration {
        match self.grace_period {
            Some(grace) => grace.max(POST_EXIT_LEAST).min(grace.saturating_add(KILL_PATIENCE)),
            None => POST_EXIT_LIMIT,
        }
    }

    /// The steps that cannot begin, and the sleeps that are cut off.
    #[must_use]
    pub fn futile_steps(&self) -> Vec<FutileStep> {
        let mut found = Vec::new();
        for (when, steps, time) in [
            (When::PreStop, &self.pre_stop, self.drain_time()),
            (When::PostExit, &self.post_exit, self.post_exit_time()),
        ] {
            let mut slept = Duration::ZERO;
            for (at, step) in steps.iter().enumerate() {
                let own = if let Step::Sleep(own) = step { *own } else { Duration::ZERO };
                let begins = slept < time;
                if !begins || slept.saturating_add(own) > time {
                    found.push(FutileStep { id: StepId { when, at }, begins, slept, time });
                }
                slept = slept.saturating_add(own);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn found(policy: &StopPolicy) -> Vec<(usize, bool)> {
        policy.futile_steps().into_iter().map(|step| (step.id.at, step.begins)).collect()
    }

    #[test]
    fn a_step_behind_sleeps_that_fill_the_time_never_begins() {
        let sleep = |time| Step::Sleep(seconds(time));
        let idle = Step::Idle(80);
        let alone = [idle.clone()];
        let policy = |steps: &[Step], timeout, grace: Option<u64>| StopPolicy {
            pre_stop: steps.to_vec(),
            pre_stop_timeout: seconds(timeout),
            grace_period: grace.map(seconds),
            ..StopPolicy::default()
        };
        for (steps, timeout, grace, expected) in [
            (&[sleep(3), idle.clone()][..], 5, None, &[][..]),
            (&[sleep(5)], 5, None, &[]),
            (&[sleep(6)], 5, None, &[(0, true)]),
            (&[sleep(5), idle.clone()], 5, None, &[(1, false)]),
            (&[idle.clone(), sleep(2), sleep(3), idle.clone(), sleep(1)], 5, None, &[(3, false), (4, false)]),
            (&alone, 0, None, &[(0, false)]),
            (&alone, 5, Some(0), &[(0, false)]),
            (&alone, 5, Some(1), &[]),
            (&[sleep(1), idle.clone()], 5, Some(3), &[]),
            (&[sleep(2), idle.clone()], 5, Some(3), &[(0, true), (1, false)]),
            (&[sleep(2), idle.clone()], 5, Some(4), &[(1, false)]),
        ] {
            assert_eq!(found(&policy(steps, timeout, grace)), expected, "{steps:?} {timeout} {grace:?}");
        }
    }

    #[test]
    fn steps_after_the_end_have_another_limit() {
        let policy = |sleep: u64, grace: Option<u64>| StopPolicy {
            post_exit: vec![Step::Sleep(seconds(sleep)), Step::Idle(80)],
            grace_period: grace.map(seconds),
            ..StopPolicy::default()
        };
        assert_eq!(found(&policy(9, None)), []);
        assert_eq!(found(&policy(10, None)), [(1, false)]);
        assert_eq!(found(&policy(1, Some(1))), []);
        assert_eq!(found(&policy(2, Some(1))), [(1, false)]);
        assert_eq!(found(&policy(29, Some(30))), []);
        assert_eq!(found(&policy(31, Some(30))), [(0, true), (1, false)]);
    }
}
