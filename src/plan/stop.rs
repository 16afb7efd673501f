//! Asking everybody to leave, waiting, and going on along the schedule.

use super::*;

/// A stop that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) cause: Cause,
    /// When the first signal was sent.
    pub(super) asked_at: Duration,
    stage: Round,
    /// The stage's place in the schedule.
    at: usize,
    /// When the next stage begins; `None` where the schedule has no time for it.
    next_at: Option<Duration>,
    /// When to look whether the signal is ignored.
    look_at: Option<Duration>,
    /// The last look found that waiting is in vain. A shell that ignores the signal, and whose job has just ended, may be about to
    /// leave: the next look has to say the same.
    was_in_vain: bool,
    /// A look has found somebody who was not asked; those who come after are their own affair.
    has_asked_first: bool,
    /// Whether TERM has been sent; it goes before KILL where another signal is ignored.
    has_sent_term: bool,
    /// When KILL comes; `None` is never.
    limit: Option<Duration>,
}

/// What is sent, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Round {
    /// `None` where a rewrite drops it.
    signal: Option<Signal>,
    target: Target,
    patience: Option<Patience>,
}

impl Stop {
    pub(super) fn deadline(&self) -> Option<Duration> {
        earliest(self.limit, earliest(self.next_at, self.look_at))
    }

    fn waits_for_ever(&self) -> bool {
        self.stage.patience == Some(Patience::Forever)
    }
}

impl Plan {
    /// Sends the first signal.
    pub(super) fn ask(&mut self, now: Duration, cause: Cause, received: Signal) -> Actions {
        let stage = self.scheduled(0).unwrap_or_else(|| Round {
            signal: self.policy.rewrites.apply(received),
            target: self.policy.forward_to,
            patience: None,
        });
        let limit = self.grace_ends.or(match cause {
            Cause::OwnExit if self.policy.schedule.is_none() => Some(now.saturating_add(OWN_EXIT_LIMIT)),
            Cause::OwnExit | Cause::Requested => None,
        });
        let stop = Stop {
            cause,
            asked_at: now,
            stage,
            at: 0,
            next_at: None,
            look_at: None,
            was_in_vain: false,
            has_asked_first: false,
            has_sent_term: false,
            limit,
        };
        self.begin_stage(now, stop)
    }

    fn scheduled(&self, at: usize) -> Option<Round> {
        let stage = self.policy.schedule.as_ref().and_then(|schedule: &Schedule| schedule.stage(at))?;
        Some(Round {
            signal: Some(stage.signal),
            target: stage.target.unwrap_or(self.policy.forward_to),
            patience: Some(stage.patience),
        })
    }

    fn begin_stage(&mut self, now: Duration, mut stop: Stop) -> Actions {
        match stop.stage.patience {
            Some(Patience::For(patience)) => stop.next_at = Some(now.saturating_add(patience)),
            Some(Patience::Forever) => stop.next_at = None,
            // What is sent out of turn does not delay what comes.
            None => {}
        }
        stop.was_in_vain = false;
        stop.has_asked_first = false;
        stop.has_sent_term |= stop.stage.signal == Some(Signal::TERM);
        stop.look_at = self.first_look(now, &stop);
        self.phase = Phase::Stopping(stop);
        match stop.stage.signal {
            None => Actions::none(),
            Some(signal) if stop.at == 0 && !self.main_lives => Actions::one(Action::AskTheRest { signal }),
            Some(signal) => Actions::one(Action::Ask { signal, target: self.reachable(stop.stage.target) }),
        }
    }

    /// Nobody can ignore what was not sent, and where the schedule has no end there is nothing to go on to.
    fn first_look(&self, now: Duration, stop: &Stop) -> Option<Duration> {
        let patience = self.policy.ignored_after?;
        (stop.stage.signal.is_some() && !stop.waits_for_ever()).then(|| now.saturating_add(patience))
    }

    /// Main is gone: whoever was not asked is asked, and has the same patience.
    pub(super) fn ask_the_rest(&mut self, now: Duration, mut stop: Stop) -> Actions {
        let Some(signal) = stop.stage.signal else { return Actions::none() };
        stop.was_in_vain = false;
        if stop.look_at.is_some() {
            stop.look_at = self.first_look(now, &stop);
        }
        self.phase = Phase::Stopping(stop);
        Actions::one(Action::AskTheRest { signal })
    }

    pub(super) fn stop_on(&mut self, now: Duration, mut stop: Stop) -> Actions {
        if is_due(stop.limit, now) {
            return self.kill(now, Reason::TimeIsUp);
        }
        if is_due(stop.next_at, now) {
            return self.go_on(now, stop, Reason::TimeIsUp);
        }
        match stop.stage.signal {
            Some(signal) if is_due(stop.look_at, now) => {
                stop.look_at = Some(now.saturating_add(LOOK_EVERY));
                self.phase = Phase::Stopping(stop);
                Actions::one(Action::Look { signal })
            }
            Some(_) | None => Actions::none(),
        }
    }

    pub(super) fn judge(&mut self, now: Duration, mut stop: Stop, waiting: Waiting) -> Actions {
        let (Some(signal), Some(_)) = (stop.stage.signal, stop.look_at) else { return Actions::none() };
        match waiting {
            Waiting::AskFirst if !stop.has_asked_first => {
                stop.has_asked_first = true;
                return self.ask_the_rest(now, stop);
            }
            Waiting::AskFirst | Waiting::IsInVain if stop.was_in_vain => {
                return self.go_on(now, stop, Reason::Ignored(signal));
            }
            Waiting::AskFirst | Waiting::IsInVain => stop.was_in_vain = true,
            Waiting::Helps => stop.was_in_vain = false,
            Waiting::CannotTell => stop.look_at = None,
        }
        // Where there are many to look at a look takes its time; most of it is to be left to them.
        stop.look_at = stop.look_at.map(|due| {
            let took = now.saturating_add(LOOK_EVERY).saturating_sub(due);
            now.saturating_add(LOOK_EVERY.max(took * 4))
        });
        self.phase = Phase::Stopping(stop);
        Actions::none()
    }

    /// The next stage; KILL behind the last one.
    fn go_on(&mut self, now: Duration, stop: Stop, reason: Reason) -> Actions {
        let (at, stage) = match (self.scheduled(stop.at + 1), reason) {
            (Some(stage), _) => (stop.at + 1, stage),
            // What ignores another signal may know TERM; KILL comes no later for it.
            (None, Reason::Ignored(_)) if !stop.has_sent_term => {
                let target = self.policy.forward_to;
                (stop.at + 1, Round { signal: Some(Signal::TERM), target, patience: None })
            }
            (None, Reason::Ignored(_) | Reason::TimeIsUp) => return self.kill(now, reason),
        };
        self.begin_stage(now, Stop { at, stage, ..stop })
    }

    /// A stop signal while a stop is under way restarts nothing, but after main's own exit it is the first request, and takes
    /// the limit away that holds where nobody asked.
    pub(super) fn signal_while_stopping(&mut self, now: Duration, mut stop: Stop, signal: Signal) -> Actions {
        if !self.policy.stop_signals.contains(signal) {
            return self.forward(signal);
        }
        if stop.cause == Cause::OwnExit {
            stop.cause = Cause::Requested;
            stop.limit = self.grace_ends;
            self.phase = Phase::Stopping(stop);
        }
        if now.saturating_sub(stop.asked_at) < DUPLICATE_WINDOW {
            Actions::none()
        } else {
            self.forward(signal)
        }
    }
}
