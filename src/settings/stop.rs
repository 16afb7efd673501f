//! How signals are forwarded and how a stop goes.

use super::values::{self, UsageError, Values, target};
use super::{compat, schedule, step};
use crate::cli::{InvokedAs, Setting};
use crate::plan::{Rewrite, StopPolicy, Target};
use crate::signal::{Signal, SignalSet};

/// Under another init's name, the defaults of that init.
fn default_target(name: InvokedAs) -> Target {
    match name {
        InvokedAs::Drainit => Target::Auto,
        InvokedAs::TiniLike => Target::Main,
        InvokedAs::DumbInit => Target::Group,
    }
}

pub(super) fn policy(values: &Values<'_>, name: InvokedAs) -> Result<StopPolicy, UsageError> {
    let mut policy = StopPolicy::default();
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
            .or_else(|| compat::target(values))
            .unwrap_or_else(|| default_target(name)),
    };
    policy.grace_period = values.one(Setting::GRACE_PERIOD, values::duration)?;
    policy.pre_stop = step::pre_stop(values)?;
    policy.post_exit = step::post_exit(values)?;
    if let Some(timeout) = values.one(Setting::PRE_STOP_TIMEOUT, values::duration)? {
        policy.pre_stop_timeout = timeout;
    }
    policy.schedule = values.one(Setting::STOP_SCHEDULE, schedule::schedule)?;
    if let Some(patience) = values.one(Setting::IGNORED_AFTER, |text| values::duration_or(text, "never"))? {
        policy.ignored_after = patience;
    }
    policy.stop_after = values.one(Setting::STOP_AFTER, values::duration)?;
    policy.wait_for_all = values.switch(Setting::WAIT_FOR_ALL)?;
    Ok(policy)
}

fn stop_signals(text: &str) -> Result<Vec<Signal>, String> {
    text.split(',').map(|part| values::signal(part.trim()).and_then(receivable)).collect()
}

/// `FROM:TO[@TARGET]`; TO may be `0` or `none`.
fn rewrite(text: &str) -> Result<(Signal, Rewrite), String> {
    let (from, to) = text.split_once(':').ok_or("not of the form FROM:TO or FROM:TO@TARGET")?;
    let from = values::signal(from.trim()).and_then(receivable)?;
    let (to, target) = match to.split_once('@') {
        Some((to, name)) => (to, Some(target(name.trim())?)),
        None => (to, None),
    };
    let to = match to.trim() {
        "0" => None,
        none if none.eq_ignore_ascii_case("none") => None,
        to => Some(values::signal(to)?),
    };
    if to.is_none() && target.is_some() {
        return Err("what is dropped has no target".to_owned());
    }
    Ok((from, Rewrite { to, target }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_take_any_spelling_a_target_and_both_ways_to_drop() {
        let to = |signal| Rewrite { to: signal, target: None };
        assert_eq!(rewrite("TERM:QUIT"), Ok((Signal::TERM, to(Some(Signal::QUIT)))));
        assert_eq!(rewrite("15:SIGQUIT"), Ok((Signal::TERM, to(Some(Signal::QUIT)))));
        assert_eq!(
            rewrite("sigrtminplus3:rtmax-2")
                .map(|(from, rewrite)| (from.number(), rewrite.to.map(Signal::number))),
            Ok((37, Some(62)))
        );
        for text in ["HUP:0", "HUP:none", "HUP:NONE"] {
            assert_eq!(rewrite(text), Ok((Signal::HUP, to(None))));
        }
        for (text, target) in [
            ("TERM:HUP@main", Target::Main),
            ("TERM:HUP@Group", Target::Group),
            ("TERM : HUP @ all", Target::All),
            ("TERM:HUP@auto", Target::Auto),
        ] {
            let rewritten = Rewrite { to: Some(Signal::HUP), target: Some(target) };
            assert_eq!(rewrite(text), Ok((Signal::TERM, rewritten)), "{text}");
        }
        for text in [
            "TERM",
            "TERM:",
            ":TERM",
            "TERM:X",
            "KILL:TERM",
            "STOP:TERM",
            "CHLD:TERM",
            "1:2:3",
            "0:1",
            "",
            "TERM:HUP@",
            "TERM:HUP@none",
            "TERM:none@main",
            "TERM:0@main",
            "TERM@main:HUP",
            "TERM:@main",
        ] {
            assert!(rewrite(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_can_be_received_is_a_stop_signal() {
        assert_eq!(stop_signals("TERM, INT,37").map(|signals| signals.len()), Ok(3));
        for text in ["", "KILL", "STOP", "CHLD", "TERM,", "none", "0"] {
            assert!(stop_signals(text).is_err(), "{text:?}");
        }
    }
}
