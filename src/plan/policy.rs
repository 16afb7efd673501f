//! What a run does about signals and about its stop.

use std::time::Duration;

use super::{Schedule, Step, Target};
use crate::signal::{Signal, SignalSet};

/// The stop policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// The signals that request a stop.
    pub stop_signals: SignalSet,
    /// The signal of a stop that no signal began: the first of the stop signals.
    pub own_signal: Signal,
    pub rewrites: Rewrites,
    pub forward_to: Target,
    /// Steps that run before the first signal, and only if the stop was requested.
    pub pre_stop: Vec<Step>,
    /// The time that they have together.
    pub pre_stop_timeout: Duration,
    /// Steps that run after the last process has ended.
    pub post_exit: Vec<Step>,
    /// From the stop request to KILL; `None` is no limit.
    pub grace_period: Option<Duration>,
    /// Which signals are sent, and when; `None` is the stop signal alone, for as long as the grace period allows.
    pub schedule: Option<Schedule>,
    /// How long to wait for processes that ignore the signal; `None` is as long as for others.
    pub ignored_after: Option<Duration>,
    /// When a stop begins by itself.
    pub stop_after: Option<Duration>,
    /// Main's own exit begins no stop.
    pub wait_for_all: bool,
    /// The loop looks for ended processes all the time, because a rehearsal draws them.
    pub observes: bool,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            stop_signals: SignalSet::default().with(Signal::TERM),
            own_signal: Signal::TERM,
            rewrites: Rewrites::default(),
            forward_to: Target::Auto,
            pre_stop: Vec::new(),
            pre_stop_timeout: Duration::from_secs(5),
            post_exit: Vec::new(),
            grace_period: None,
            schedule: None,
            ignored_after: Some(Duration::from_secs(2)),
            stop_after: None,
            wait_for_all: false,
            observes: false,
        }
    }
}

/// A signal as it was received, and what the rewriting makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopSignal {
    pub received: Signal,
    pub rewritten: Signal,
}

impl StopSignal {
    /// One that is not rewritten.
    #[must_use]
    pub fn plain(signal: Signal) -> Self {
        Self { received: signal, rewritten: signal }
    }

    /// The signal for the processes that a stage with this target leaves out at first. A rewrite that is for main alone does not apply to other
    /// processes: they get the signal as it was received.
    #[must_use]
    pub fn for_others(self, target: Target) -> Self {
        match target {
            Target::Main => Self::plain(self.received),
            Target::Group | Target::All => Self::plain(self.rewritten),
            Target::Auto => self,
        }
    }
}

/// What becomes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// What is sent instead; `None` is nothing.
    pub to: Option<Signal>,
    /// The target of this signal, if it differs from that of all signals.
    pub target: Option<Target>,
}

/// What each signal is forwarded as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rewrites([Rewrite; 64]);

impl Default for Rewrites {
    fn default() -> Self {
        let unchanged = |at| Rewrite { to: i32::try_from(at + 1).ok().and_then(Signal::new), target: None };
        Self(std::array::from_fn(unchanged))
    }
}

impl std::fmt::Debug for Rewrites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = Signal::all().map(|from| (from, self.apply(from)));
        let changed = all.filter(|&(from, rewrite)| rewrite != Rewrite { to: Some(from), target: None });
        f.debug_map().entries(changed).finish()
    }
}

impl Rewrites {
    /// From now on `from` is rewritten like this; a later rule for the same signal wins.
    pub fn set(&mut self, from: Signal, rewrite: Rewrite) {
        if let Some(entry) = usize::try_from(from.number() - 1).ok().and_then(|at| self.0.get_mut(at)) {
            *entry = rewrite;
        }
    }

    /// What becomes of `signal`. Applied once: the result is not rewritten again.
    #[must_use]
    pub fn apply(&self, signal: Signal) -> Rewrite {
        let entry = usize::try_from(signal.number() - 1).ok().and_then(|at| self.0.get(at));
        entry.copied().unwrap_or(Rewrite { to: Some(signal), target: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_applies_once_and_the_later_rule_wins() {
        let mut rewrites = Rewrites::default();
        let to = |signal| Rewrite { to: signal, target: None };
        assert!(Signal::all().all(|signal| rewrites.apply(signal) == to(Some(signal))));
        rewrites.set(Signal::TERM, to(Some(Signal::INT)));
        rewrites.set(Signal::INT, to(Some(Signal::TERM)));
        rewrites.set(Signal::HUP, to(None));
        assert_eq!(rewrites.apply(Signal::TERM), to(Some(Signal::INT)));
        assert_eq!(rewrites.apply(Signal::INT), to(Some(Signal::TERM)));
        assert_eq!(rewrites.apply(Signal::HUP), to(None));
        let only_main = Rewrite { to: Some(Signal::HUP), target: Some(Target::Main) };
        rewrites.set(Signal::HUP, only_main);
        assert_eq!(rewrites.apply(Signal::HUP), only_main);
    }

    #[test]
    fn a_rewrite_for_main_alone_does_not_apply_to_others() {
        let signal = StopSignal { received: Signal::TERM, rewritten: Signal::QUIT };
        for (target, others) in [
            (Target::Main, StopSignal::plain(Signal::TERM)),
            (Target::Group, StopSignal::plain(Signal::QUIT)),
            (Target::All, StopSignal::plain(Signal::QUIT)),
            (Target::Auto, signal),
        ] {
            assert_eq!(signal.for_others(target), others, "{target:?}");
        }
    }
}
