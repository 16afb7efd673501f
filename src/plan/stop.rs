//! Signalling the processes, waiting for them, and escalating along the schedule.

use super::processes::ignoring::Outlook;
use super::*;

/// The least time between two looks for new orphans.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// When to look for orphans after a signal; afterwards every [`LOOK_EVERY`].
const EARLY_LOOKS: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
/// The last call comes this long before KILL, but not before half of the time has elapsed.
pub(super) const LAST_CALL: Duration = Duration::from_secs(5);
/// When to say first which processes are waited for; each later time is twice the one before.
pub(super) const FIRST_WARNING: Duration = Duration::from_secs(5);

/// A stop that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) is_requested: bool,
    /// When the first signal was sent.
    pub(super) signalled_at: Duration,
    stage: Stage,
    /// The stage's place in the schedule.
    at: usize,
    /// When the stage began.
    began_at: Duration,
    /// When the next stage begins; `None` if the schedule sets no time for it.
    next_at: Option<Duration>,
    /// When to look for orphans, and whether the signal is ignored.
    look_at: Option<Duration>,
    /// When the last look was.
    looked_at: Duration,
    /// From when on looks judge whether waiting can help; `None` is never.
    judge_from: Option<Duration>,
    /// When the last call comes: the processes that were not signalled are signalled.
    last_call_at: Option<Duration>,
    /// When to say which processes are waited for.
    pub(super) say_at: Duration,
    /// When to look which processes have ended.
    observe_at: Option<Duration>,
    /// The last look found that waiting is futile. A shell that ignores the signal, and whose job has just ended, may be about to exit: the
    /// next look has to agree.
    was_futile: bool,
    /// A look has found processes that were not signalled, and they were. What they have started since needs no signal.
    has_signalled_others: bool,
    /// Whether TERM has been sent; if another signal is ignored, TERM comes before KILL.
    has_sent_term: bool,
    /// When KILL comes; `None` is never.
    limit: Option<Duration>,
}

/// A signal, and the processes that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stage {
    /// `None` if a rewrite drops it.
    signal: Option<StopSignal>,
    target: Target,
    patience: Option<Patience>,
}

impl Stop {
    pub(super) fn deadline(&self) -> Option<Duration> {
        let acting = earliest(self.limit, earliest(self.next_at, self.last_call_at));
        let looking = earliest(self.look_at, self.observe_at);
        earliest(Some(self.say_at), earliest(acting, looking))
    }

    /// When the next stage or KILL comes, whatever the processes do.
    pub(super) fn acts_at(&self) -> Option<Duration> {
        earliest(self.limit, self.next_at)
    }

    fn waits_for_ever(&self) -> bool {
        self.stage.patience == Some(Patience::Forever)
    }
}

impl Plan<'_> {
    /// Sends the first signal.
    pub(super) fn signal_all(&mut self, now: Duration, is_requested: bool, received: Signal) -> Actions {
        let stage = self.scheduled(0).unwrap_or_else(|| {
            let Rewrite { to, target } = self.policy.rewrites.apply(received);
            let signal = to.map(|rewritten| StopSignal { received, rewritten });
            Stage { signal, target: target.unwrap_or(self.policy.forward_to), patience: None }
        });
        let own_limit =
            (!is_requested && self.policy.schedule.is_none()).then(|| now.saturating_add(OWN_EXIT_LIMIT));
        let stop = Stop {
            is_requested,
            signalled_at: now,
            stage,
            at: 0,
            began_at: now,
            next_at: None,
            look_at: None,
            looked_at: now,
            judge_from: None,
            last_call_at: None,
            say_at: now.saturating_add(FIRST_WARNING),
            observe_at: self.policy.observes.then_some(now),
            was_futile: false,
            has_signalled_others: false,
            has_sent_term: false,
            limit: self.grace_ends.or(own_limit),
        };
        self.begin_stage(now, stop, if is_requested { Cause::Requested } else { Cause::OwnExit })
    }

    fn scheduled(&self, at: usize) -> Option<Stage> {
        let stage = self.policy.schedule.as_ref().and_then(|schedule: &Schedule| schedule.stage(at))?;
        Some(Stage {
            signal: Some(StopSignal::plain(stage.signal)),
            target: stage.target.unwrap_or(self.policy.forward_to),
            patience: Some(stage.patience),
        })
    }

    fn begin_stage(&mut self, now: Duration, mut stop: Stop, cause: Cause) -> Actions {
        match stop.stage.patience {
            Some(Patience::For(patience)) => stop.next_at = Some(now.saturating_add(patience)),
            Some(Patience::Forever) => stop.next_at = None,
            // A TERM that is not part of the schedule does not delay what follows.
            None => {}
        }
        stop.stage = self.reachable(stop.stage);
        stop.began_at = now;
        stop.was_futile = false;
        stop.has_signalled_others = false;
        stop.has_sent_term |= stop.stage.signal.is_some_and(|signal| signal.rewritten == Signal::TERM);
        stop.look_at = stop.stage.signal.and(EARLY_LOOKS.first()).map(|first| now.saturating_add(*first));
        stop.looked_at = now;
        stop.judge_from = self.judging_begins(now, &stop);
        stop.last_call_at = self.last_call(&stop);
        self.phase = Phase::Stopping(stop);
        match stop.stage.signal {
            None => Actions::none(),
            Some(signal) => Actions::one(Action::Signal { signal, target: stop.stage.target, cause }),
        }
    }

    /// Once main is reaped, its pid and its group's number may belong to another process: then the rule decides.
    fn reachable(&self, stage: Stage) -> Stage {
        match stage.target {
            Target::Main | Target::Group if !self.main_lives => Stage {
                signal: stage.signal.map(|signal| signal.for_others(stage.target)),
                target: Target::Auto,
                ..stage
            },
            Target::Auto | Target::Main | Target::Group | Target::All => stage,
        }
    }

    /// A signal that was not sent cannot be ignored, and a schedule without an end has nothing to escalate to.
    fn judging_begins(&self, now: Duration, stop: &Stop) -> Option<Duration> {
        let patience = self.policy.ignored_after?;
        (stop.stage.signal.is_some() && !stop.waits_for_ever()).then(|| now.saturating_add(patience))
    }

    /// When the last call comes: only if the rule may have left processes out, and the clock will bring KILL.
    fn last_call(&self, stop: &Stop) -> Option<Duration> {
        if stop.stage.target != Target::Auto || stop.stage.signal.is_none() {
            return None;
        }
        let kill_at = self.kill_at(stop)?;
        if stop.next_at.is_some_and(|next| next < kill_at) {
            return None;
        }
        let half = kill_at.saturating_sub(stop.began_at) / 2;
        Some(kill_at.saturating_sub(LAST_CALL.min(half)))
    }

    /// When the clock brings KILL: the limit of the whole stop, or the end of the schedule's last stage.
    fn kill_at(&self, stop: &Stop) -> Option<Duration> {
        let is_last = self.scheduled(stop.at + 1).is_none();
        earliest(stop.limit, stop.next_at.filter(|_| is_last))
    }

    /// drainit was held, perhaps past the time of KILL, and the processes with it.
    pub(super) fn stop_held(&mut self, now: Duration, mut stop: Stop) -> Actions {
        if let Some(kill_at) = self.kill_at(&stop) {
            let kill_at = after_being_held(kill_at, now);
            stop.limit = stop.limit.map(|limit| limit.max(kill_at));
            stop.next_at = stop.next_at.map(|next| next.max(kill_at));
            self.phase = Phase::Stopping(stop);
        }
        Actions::none()
    }

    pub(super) fn stop_tick(&mut self, now: Duration, mut stop: Stop) -> Actions {
        if is_due(stop.limit, now) {
            return self.kill(now, KillReason::Elapsed);
        }
        if is_due(stop.next_at, now) {
            return self.next_stage(now, stop, Cause::Elapsed);
        }
        if is_due(stop.last_call_at, now) {
            let kill_at = earliest(stop.limit, stop.next_at).unwrap_or(now);
            stop.last_call_at = None;
            self.phase = Phase::Stopping(stop);
            return Actions::one(Action::LastCall { until_kill: kill_at.saturating_sub(now) });
        }
        if is_due(stop.look_at, now) {
            return self.look(now, stop);
        }
        if stop.say_at <= now {
            let since = now.saturating_sub(stop.signalled_at);
            // Twice as late each time; times that were missed while drainit was held are skipped.
            let mut next = stop.say_at.saturating_sub(stop.signalled_at);
            while next <= since {
                next = next.saturating_mul(2).max(FIRST_WARNING);
            }
            stop.say_at = stop.signalled_at.saturating_add(next);
            self.phase = Phase::Stopping(stop);
            return Actions::one(Action::SayWaiting { since });
        }
        if is_due(stop.observe_at, now) {
            stop.observe_at = Some(now.saturating_add(LOOK_AGAIN));
            self.phase = Phase::Stopping(stop);
            return Actions::one(Action::Observe);
        }
        Actions::none()
    }

    fn look(&mut self, now: Duration, mut stop: Stop) -> Actions {
        let judges = is_due(stop.judge_from, now);
        let since = now.saturating_sub(stop.began_at);
        let early = EARLY_LOOKS.iter().find(|early| since < **early);
        let next = early.map_or(now.saturating_add(LOOK_EVERY), |early| stop.began_at.saturating_add(*early));
        let judging = stop.judge_from.filter(|from| now < *from);
        stop.look_at = earliest(Some(next), judging);
        stop.looked_at = now;
        self.phase = Phase::Stopping(stop);
        Actions::one(Action::Look { judges })
    }

    /// A child has ended, so its children may have been orphaned and adopted.
    pub(super) fn look_soon(&mut self, now: Duration, mut stop: Stop) -> Actions {
        if stop.stage.signal.is_none() {
            return Actions::none();
        }
        let soonest = stop.looked_at.saturating_add(LOOK_AGAIN);
        if now < soonest && now != stop.began_at {
            stop.look_at = earliest(stop.look_at, Some(soonest));
            self.phase = Phase::Stopping(stop);
            return Actions::none();
        }
        self.look(now, stop)
    }

    /// Main is gone: look at once for what it has left behind, which has the same patience.
    pub(super) fn main_gone(&mut self, now: Duration, mut stop: Stop) -> Actions {
        stop.was_futile = false;
        if stop.judge_from.is_some() {
            stop.judge_from = self.judging_begins(now, &stop);
        }
        if stop.stage.signal.is_none() {
            self.phase = Phase::Stopping(stop);
            return Actions::none();
        }
        self.look(now, stop)
    }

    pub(super) fn looked(&mut self, now: Duration, mut stop: Stop, outlook: Option<Outlook>) -> Actions {
        let Some(signal) = stop.stage.signal else { return Actions::none() };
        match outlook {
            Some(Outlook::SignalOthersFirst) if !stop.has_signalled_others => {
                stop.has_signalled_others = true;
                stop.was_futile = false;
                stop.judge_from = self.judging_begins(now, &stop);
                self.phase = Phase::Stopping(stop);
                return Actions::one(Action::SignalOthers);
            }
            Some(Outlook::SignalOthersFirst | Outlook::Futile) if stop.was_futile => {
                return self.next_stage(now, stop, Cause::Ignored(signal.rewritten));
            }
            Some(Outlook::SignalOthersFirst | Outlook::Futile) => stop.was_futile = true,
            Some(Outlook::KeepWaiting) => stop.was_futile = false,
            Some(Outlook::Unknown) => stop.judge_from = None,
            None => {}
        }
        // A look at many processes takes time, and they need most of the processor themselves.
        let took = now.saturating_sub(stop.looked_at);
        stop.look_at = stop.look_at.map(|next| next.max(now.saturating_add(took.saturating_mul(4))));
        self.phase = Phase::Stopping(stop);
        Actions::none()
    }

    /// The next stage; KILL after the last one.
    fn next_stage(&mut self, now: Duration, stop: Stop, cause: Cause) -> Actions {
        let (at, stage) = match (self.scheduled(stop.at + 1), cause) {
            (Some(stage), _) => (stop.at + 1, stage),
            // A process that ignores another signal may handle TERM; KILL does not come later because of it.
            (None, Cause::Ignored(_)) if !stop.has_sent_term => {
                let signal = Some(StopSignal::plain(Signal::TERM));
                (stop.at + 1, Stage { signal, target: self.policy.forward_to, patience: None })
            }
            (None, Cause::Ignored(signal)) => return self.kill(now, KillReason::Ignored(signal)),
            (None, Cause::Elapsed | Cause::Requested | Cause::OwnExit) => {
                return self.kill(now, KillReason::Elapsed);
            }
        };
        self.begin_stage(now, Stop { at, stage, ..stop }, cause)
    }

    /// A stop signal during a stop restarts nothing. After main's own exit, though, it is the first request, so it lifts the limit that
    /// holds if no grace period was set.
    pub(super) fn signal_while_stopping(
        &mut self,
        now: Duration,
        mut stop: Stop,
        signal: Signal,
        origin: Origin,
    ) -> Actions {
        if !self.policy.stop_signals.contains(signal) {
            return self.forward(signal, origin);
        }
        if !stop.is_requested {
            stop.is_requested = true;
            stop.limit = self.grace_ends;
            stop.last_call_at = stop.last_call_at.and(self.last_call(&stop));
            self.phase = Phase::Stopping(stop);
        }
        if now.saturating_sub(stop.signalled_at) < DUPLICATE_WINDOW {
            Actions::none()
        } else {
            self.forward(signal, origin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::schedule::ScheduledStage;

    #[test]
    fn a_kill_that_is_late_because_drainit_was_held_waits_whichever_clock_sends_it() {
        let second = Duration::from_secs(1);
        let patience = Patience::For(second);
        let schedule = Schedule::new(vec![ScheduledStage { signal: Signal::TERM, target: None, patience }]);
        let grace = StopPolicy { grace_period: Some(second), ..StopPolicy::default() };
        for policy in [grace, StopPolicy { schedule: Some(schedule), ..StopPolicy::default() }] {
            let mut plan = Plan::new(&policy);
            let _ = plan.handle(Duration::ZERO, Event::Signal(Signal::TERM, Origin::Process));
            let woken = second * 60;
            let _ = plan.handle(woken, Event::Held);
            let kills = |actions: Actions| actions.into_iter().any(|it| matches!(it, Action::Kill(_)));
            for now in [woken, woken + HELD_PATIENCE - Duration::from_millis(1)] {
                assert!(!kills(plan.handle(now, Event::Tick)), "{now:?}");
            }
            let mut ticks = (0..4).map(|_| plan.handle(woken + HELD_PATIENCE, Event::Tick));
            assert!(ticks.any(kills), "two seconds later");
        }
    }
}
