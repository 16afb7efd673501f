//! How signals are passed on and how a stop goes.

use std::time::Duration;

use super::UsageError;
use super::peers;
use super::schedule::{self, Schedule};
use super::step::{self, Step};
use super::values::{self, Values};
use crate::cli::{Name, Setting};
use crate::signal::{Signal, SignalSet};

/// Who a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The command's process group.
    Group,
    /// The command alone.
    Main,
    /// Every descendant.
    All,
}

impl Target {
    /// Where nothing else is said: the inits whose name drainit may have signal the command alone.
    pub(super) fn by_default(name: Name) -> Self {
        match name {
            Name::Own => Self::Group,
            Name::Peer => Self::Main,
        }
    }
}

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

impl StopPolicy {
    pub(super) fn read(values: &Values<'_>, name: Name) -> Result<Self, UsageError> {
        let mut policy = Self::default();
        if let Some(signals) = values.one(Setting::STOP_SIGNAL, stop_signals)? {
            policy.own_signal = signals.first().copied().unwrap_or(policy.own_signal);
            policy.stop_signals = signals.into_iter().fold(SignalSet::default(), SignalSet::with);
        }
        values.each(Setting::REWRITE, &mut |text| {
            let (from, to) = rewrite(text)?;
            policy.rewrites.set(from, to);
            Ok(())
        })?;
        policy.forward_to = match values.short_target().map(target) {
            Some(Ok(target)) => target,
            _ => values
                .one(Setting::FORWARD_TO, target)?
                .or_else(|| peers::target(values))
                .unwrap_or_else(|| Target::by_default(name)),
        };
        policy.grace_period = values.one(Setting::GRACE_PERIOD, values::duration)?;
        policy.pre_stop = step::pre_stop(values)?;
        policy.post_exit = step::post_exit(values)?;
        if let Some(timeout) = values.one(Setting::PRE_STOP_TIMEOUT, values::duration)? {
            policy.pre_stop_timeout = timeout;
        }
        policy.schedule = values.one(Setting::STOP_SCHEDULE, schedule::schedule)?;
        if let Some(patience) = values.one(Setting::IGNORED_AFTER, duration_or_never)? {
            policy.ignored_after = patience;
        }
        policy.stop_after = values.one(Setting::STOP_AFTER, values::duration)?;
        policy.wait_for_all = values.switch(Setting::WAIT_FOR_ALL)?;
        Ok(policy)
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

fn stop_signals(text: &str) -> Result<Vec<Signal>, String> {
    text.split(',').map(|part| values::signal(part.trim()).and_then(receivable)).collect()
}

/// `FROM:TO`, where TO may be `0` or `none`.
fn rewrite(text: &str) -> Result<(Signal, Option<Signal>), String> {
    let (from, to) = text.split_once(':').ok_or("not of the form FROM:TO")?;
    let from = values::signal(from.trim()).and_then(receivable)?;
    match to.trim() {
        "0" => Ok((from, None)),
        none if none.eq_ignore_ascii_case("none") => Ok((from, None)),
        to => Ok((from, Some(values::signal(to)?))),
    }
}

fn duration_or_never(text: &str) -> Result<Option<Duration>, String> {
    if text.trim().eq_ignore_ascii_case("never") { Ok(None) } else { values::duration(text).map(Some) }
}

fn receivable(signal: Signal) -> Result<Signal, String> {
    if signal.can_be_forwarded() {
        Ok(signal)
    } else if signal == Signal::CHLD {
        Err("CHLD tells the init of its own children and is never forwarded".to_owned())
    } else {
        Err(format!("no process can receive {signal}"))
    }
}

pub(super) fn target(text: &str) -> Result<Target, String> {
    match text.to_ascii_lowercase().as_str() {
        "group" => Ok(Target::Group),
        "main" => Ok(Target::Main),
        "all" => Ok(Target::All),
        _ => Err("not one of group, main, all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_take_any_spelling_and_both_ways_to_drop() {
        assert_eq!(rewrite("TERM:QUIT"), Ok((Signal::TERM, Some(Signal::QUIT))));
        assert_eq!(rewrite("15:SIGQUIT"), Ok((Signal::TERM, Some(Signal::QUIT))));
        assert_eq!(
            rewrite("sigrtminplus3:rtmax-2").map(|(from, to)| (from.number(), to.map(Signal::number))),
            Ok((37, Some(62)))
        );
        for text in ["HUP:0", "HUP:none", "HUP:NONE"] {
            assert_eq!(rewrite(text), Ok((Signal::HUP, None)));
        }
        for text in
            ["TERM", "TERM:", ":TERM", "TERM:X", "KILL:TERM", "STOP:TERM", "CHLD:TERM", "1:2:3", "0:1", ""]
        {
            assert!(rewrite(text).is_err(), "{text}");
        }
    }

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

    #[test]
    fn only_what_can_be_received_is_a_stop_signal() {
        assert_eq!(stop_signals("TERM, INT,37").map(|signals| signals.len()), Ok(3));
        for text in ["", "KILL", "STOP", "CHLD", "TERM,", "none", "0"] {
            assert!(stop_signals(text).is_err(), "{text:?}");
        }
    }
}
