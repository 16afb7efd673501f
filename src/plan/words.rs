//! Events and actions in words, as in `docs/policy.md` and in the log at its most detailed.

use std::fmt;

use humantime::format_duration;

use super::processes::ignoring::Outlook;
use super::{
    Action, Event, ExitReason, KillReason, Origin, Recipients, StepEnd, StopReason, StopSignal, Target,
};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Signal(signal, Origin::Process) => return write!(f, "signal {signal}"),
            Self::Signal(signal, Origin::Terminal) => return write!(f, "signal {signal} of the terminal"),
            Self::StepEnded(step) => return write!(f, "step {} ends", step.at.saturating_add(1)),
            Self::MainEnded => "main ends, others are left",
            Self::ChildEnded => "another child ends",
            Self::NoneLeft => "no process is left",
            Self::Looked(None) => "look: nothing to judge",
            Self::Looked(Some(Outlook::KeepWaiting)) => "look: waiting may help",
            Self::Looked(Some(Outlook::SignalOthersFirst)) => "look: some were not signalled",
            Self::Looked(Some(Outlook::Futile)) => "look: waiting is futile",
            Self::Looked(Some(Outlook::Unknown)) => "look: no /proc",
            Self::Held => "drainit was held",
            Self::Tick => "time passes",
        };
        f.write_str(words)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::BeginStop { reason: StopReason::Signal, .. } => "the stop begins",
            Self::BeginStop { reason: StopReason::Elapsed, .. } => "the stop begins (`--stop-after`)",
            Self::BeginStop { reason: StopReason::OwnExit, .. } => "the stop begins (main's own exit)",
            Self::Forward { signal, to } => return write!(f, "{signal} to {}", recipients(*to)),
            Self::Signal { signal, target: to, .. } => {
                return write!(f, "{} {}", Rewritten(*signal), target(*to));
            }
            Self::SignalOthers => "the signal, by the rule, to those that were not signalled",
            Self::LastCall { until_kill } => {
                let left = format_duration(*until_kill);
                return write!(f, "last call: the signal to all that were not signalled, KILL in {left}");
            }
            Self::Look { judges: false } => "look for orphans",
            Self::Look { judges: true } => "look for orphans, and whether waiting can help",
            Self::SayWaiting { since } => {
                return write!(f, "warning: waiting for {}", format_duration(*since));
            }
            Self::Observe => "look which processes have ended",
            Self::StartStep { step, time_left } => {
                let number = step.at.saturating_add(1);
                return write!(f, "start step {number} ({} left)", format_duration(*time_left));
            }
            Self::EndStep { step, why } => {
                let number = step.at.saturating_add(1);
                return match why {
                    StepEnd::Elapsed => write!(f, "TERM to step {number}, timed out"),
                    StepEnd::NoTimeLeft => write!(f, "no time for step {number}"),
                    StepEnd::MainIsGone => write!(f, "TERM to step {number}, dropped"),
                };
            }
            Self::SignalLeftovers => "TERM to what the steps have left behind",
            Self::KillStep => "KILL to the last step",
            Self::Kill(KillReason::Elapsed) => "KILL to every process",
            Self::Kill(KillReason::Ignored(signal)) => {
                return write!(f, "KILL to every process, {signal} is ignored");
            }
            Self::Leave(ExitReason::NoneLeft) => "leave",
            Self::Leave(ExitReason::SomeCannotBeKilled) => "leave, name those that are left",
        };
        f.write_str(words)
    }
}

/// `TERM`, or `QUIT for TERM` if it is rewritten.
struct Rewritten(StopSignal);

impl fmt::Display for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(StopSignal { received, rewritten }) = self;
        if received == rewritten { received.fmt(f) } else { write!(f, "{rewritten} for {received}") }
    }
}

fn target(target: Target) -> &'static str {
    match target {
        Target::Auto => "by the rule",
        Target::Group => "to main's group",
        Target::Main => "to main",
        Target::All => "to every process",
    }
}

fn recipients(recipients: Recipients) -> &'static str {
    match recipients {
        Recipients::Main => "main",
        Recipients::Group => "main's group",
        Recipients::MainOrGroup => "main if it handles that, else to its group",
        Recipients::Adopted => "the adopted processes",
        Recipients::AdoptedOrGroups => "the adopted processes that handle it, else to their groups",
        Recipients::All => "every process",
    }
}
