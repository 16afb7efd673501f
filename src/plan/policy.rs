//! What a run is to do about signals and about its stop.

use std::time::Duration;

use super::{Schedule, Step, Target};
use crate::signal::{Signal, SignalSet};

/// The stop policy as the plan takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// What counts as a request to stop.
    pub stop_signals: SignalSet,
    /// What is sent where nobody asked: the first of the stop signals.
    pub own_signal: Signal,
    pub rewrites: Rewrites,
    pub forward_to: Target,
    /// What runs before anybody is asked to leave, and only where a stop was asked for.
    pub pre_stop: Vec<Step>,
    /// For all of these together.
    pub pre_stop_timeout: Duration,
    /// What runs after the last process has gone.
    pub post_exit: Vec<Step>,
    /// From the stop request to KILL; none is no limit.
    pub grace_period: Option<Duration>,
    /// Which signals are sent, and when; none is the stop signal, for as long as the grace period lets.
    pub schedule: Option<Schedule>,
    /// How long to wait for who ignores the signal; none is as long as for others.
    pub ignored_after: Option<Duration>,
    /// When a stop begins that nobody asks for.
    pub stop_after: Option<Duration>,
    /// The command's own exit stops nobody.
    pub wait_for_all: bool,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            stop_signals: SignalSet::default().with(Signal::TERM),
            own_signal: Signal::TERM,
            rewrites: Rewrites::default(),
            forward_to: Target::Group,
            pre_stop: Vec::new(),
            pre_stop_timeout: Duration::from_secs(5),
            post_exit: Vec::new(),
            grace_period: None,
            schedule: None,
            ignored_after: Some(Duration::from_secs(2)),
            stop_after: None,
            wait_for_all: false,
        }
    }
}

/// What each signal is forwarded as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rewrites([Option<Signal>; 64]);

impl Default for Rewrites {
    fn default() -> Self {
        Self(std::array::from_fn(|at| i32::try_from(at + 1).ok().and_then(Signal::new)))
    }
}

impl std::fmt::Debug for Rewrites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let changed =
            Signal::all().map(|from| (from, self.apply(from))).filter(|&(from, to)| to != Some(from));
        f.debug_map().entries(changed).finish()
    }
}

impl Rewrites {
    /// From now on `from` is forwarded as `to`, or dropped; a later rule for the same signal wins.
    pub fn set(&mut self, from: Signal, to: Option<Signal>) {
        if let Some(entry) = usize::try_from(from.number() - 1).ok().and_then(|at| self.0.get_mut(at)) {
            *entry = to;
        }
    }

    /// What goes out where `signal` came in; `None` is nothing. Applied once: the result is not rewritten again.
    #[must_use]
    pub fn apply(&self, signal: Signal) -> Option<Signal> {
        usize::try_from(signal.number() - 1).ok().and_then(|at| self.0.get(at).copied().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_applies_once_and_the_later_rule_wins() {
        let mut rewrites = Rewrites::default();
        assert!(Signal::all().all(|signal| rewrites.apply(signal) == Some(signal)));
        rewrites.set(Signal::TERM, Some(Signal::INT));
        rewrites.set(Signal::INT, Some(Signal::TERM));
        rewrites.set(Signal::HUP, None);
        assert_eq!(rewrites.apply(Signal::TERM), Some(Signal::INT));
        assert_eq!(rewrites.apply(Signal::INT), Some(Signal::TERM));
        assert_eq!(rewrites.apply(Signal::HUP), None);
        rewrites.set(Signal::HUP, Some(Signal::HUP));
        assert_eq!(rewrites.apply(Signal::HUP), Some(Signal::HUP));
    }
}
