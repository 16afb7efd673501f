//! KILL, until no process is left or time is up.

use super::*;

/// KILL was sent, and is sent again until no process is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Killing {
    again: Duration,
    give_up: Duration,
    /// drainit was late, having missed repetitions, and has made up for that.
    has_made_up: bool,
}

impl Killing {
    pub(super) fn deadline(&self) -> Duration {
        self.again.min(self.give_up)
    }
}

impl Plan<'_> {
    pub(super) fn kill(&mut self, now: Duration, reason: KillReason) -> Actions {
        self.kill_step_at = None;
        let give_up = now.saturating_add(KILL_PATIENCE);
        self.kill_until(now, Killing { again: now, give_up, has_made_up: false }, reason)
    }

    /// drainit was held, and the processes perhaps with it. If it was held past `give_up`, they may not have had time to die: KILL is sent once
    /// more, and they get two seconds more.
    pub(super) fn kill_held(&mut self, now: Duration, killing: Killing) -> Actions {
        if now < killing.give_up {
            return Actions::none();
        }
        let give_up = now.saturating_add(KILL_PATIENCE);
        self.kill_until(now, Killing { give_up, ..killing }, KillReason::Elapsed)
    }

    /// If drainit was late, processes may have been started since the last KILL. They get another one, and time to die of it, once.
    pub(super) fn kill_tick(&mut self, now: Duration, killing: Killing) -> Actions {
        let Killing { again, give_up, has_made_up } = killing;
        if now < killing.deadline() {
            return Actions::none();
        }
        if now < give_up {
            return self.kill_until(now, killing, KillReason::Elapsed);
        }
        if has_made_up || now <= again.saturating_add(KILL_EVERY) {
            return self.leave(now, ExitReason::SomeCannotBeKilled);
        }
        let give_up = now.saturating_add(KILL_EVERY);
        self.kill_until(now, Killing { again, give_up, has_made_up: true }, KillReason::Elapsed)
    }

    fn kill_until(&mut self, now: Duration, killing: Killing, reason: KillReason) -> Actions {
        self.phase = Phase::Killing(Killing { again: now.saturating_add(KILL_EVERY), ..killing });
        Actions::one(Action::Kill(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> StopPolicy {
        StopPolicy { grace_period: Some(SECOND), ..StopPolicy::default() }
    }

    /// A plan that sends its first KILL after a second.
    fn killing(policy: &StopPolicy) -> Plan<'_> {
        let mut plan = Plan::new(policy);
        let _ = plan.handle(Duration::ZERO, Event::Signal(Signal::TERM, Origin::Process));
        assert!(kills(plan.handle(SECOND, Event::Tick)));
        plan
    }

    fn kills(actions: Actions) -> bool {
        actions.into_iter().any(|action| matches!(action, Action::Kill(_)))
    }

    fn leaves(actions: Actions) -> bool {
        actions.into_iter().any(|action| matches!(action, Action::Leave(_)))
    }

    #[test]
    fn a_drainit_that_is_held_while_it_kills_kills_again_before_it_gives_up() {
        let policy = policy();
        let mut plan = killing(&policy);
        let woken = SECOND * 60;
        assert!(kills(plan.handle(woken, Event::Held)));
        let before = woken + KILL_PATIENCE - Duration::from_millis(1);
        assert!(!leaves(plan.handle(before, Event::Tick)), "it has two seconds once more");
        assert!(leaves(plan.handle(woken + KILL_PATIENCE, Event::Tick)));
    }

    #[test]
    fn missed_repetitions_are_made_up_for_once() {
        let policy = policy();
        let mut plan = killing(&policy);
        let over = SECOND + KILL_PATIENCE;
        assert!(kills(plan.handle(over, Event::Tick)), "the last KILL was two seconds ago");
        let again = over + SECOND * 10;
        assert!(leaves(plan.handle(again, Event::Tick)), "it cannot go on for ever");
    }

    #[test]
    fn a_last_repetition_that_was_not_missed_extends_nothing() {
        let policy = policy();
        let mut plan = killing(&policy);
        let over = SECOND + KILL_PATIENCE;
        let mut now = SECOND;
        while now + KILL_EVERY < over {
            now += KILL_EVERY;
            assert!(kills(plan.handle(now, Event::Tick)), "{now:?}");
        }
        assert!(leaves(plan.handle(over, Event::Tick)));
    }
}
