//! Settings without effect, reported at the start: a variable that nothing reads, a step that cannot run, a user that drainit cannot
//! signal.

#![forbid(unsafe_code)]

use humantime::format_duration;

use crate::cli::Setting;
use crate::error::StartError;
use crate::plan::{FutileStep, Step, StepId, StopPolicy, When};
use crate::report::format;
use crate::say::warn;
use crate::settings::Settings;
use crate::supervisor::VARIABLES_OF_STEPS;
use crate::sys::process;
use crate::sys::spawn::{Lookup, look_up};
use crate::text::{did_you_mean, has, nearest};

/// Warns of them.
///
/// # Errors
/// A rehearsal is refused if a step can never begin.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    for name in process::environment().filter_map(|entry| entry.to_bytes().split(|&byte| byte == b'=').next())
    {
        if name.starts_with(PREFIX.as_bytes())
            && let Some(warning) = unread(&String::from_utf8_lossy(name))
        {
            warn!("{warning}");
        }
    }
    if settings.pause {
        return Ok(());
    }
    let policy = &settings.stop;
    for step in policy.futile_steps() {
        let why = futile(policy, step);
        if settings.is_rehearsal() && !step.begins {
            return Err(StartError::Futile(why));
        }
        warn!("{why}");
    }
    for (when, steps) in [(When::PreStop, &policy.pre_stop), (When::PostExit, &policy.post_exit)] {
        for step in steps {
            if let Some(why) = cannot_run(step, settings) {
                warn!("{} {step} would fail: {why}", format::when(when));
            }
        }
    }
    if let Some(user) = settings.user
        && !process::may_signal_user(user.uid)
    {
        warn!("--user {user} without CAP_KILL: drainit could not signal the command");
    }
    Ok(())
}

const PREFIX: &str = "DRAINIT_";

/// Variables that would be named after options without a variable, and the setting to use instead.
const WITHOUT_VARIABLE: [(&str, Setting); 4] = [
    ("DRAINIT_VERBOSE", Setting::LOG),
    ("DRAINIT_QUIET", Setting::LOG),
    ("DRAINIT_GROUP", Setting::FORWARD_TO),
    ("DRAINIT_SINGLE_CHILD", Setting::FORWARD_TO),
];

/// The warning about a variable with drainit's prefix, if nothing reads it.
fn unread(name: &str) -> Option<String> {
    let is_read =
        Setting::ALL.iter().any(|setting| setting.variable() == name) || VARIABLES_OF_STEPS.contains(&name);
    if is_read || is_of_a_service(name) {
        return None;
    }
    let same =
        WITHOUT_VARIABLE.iter().find(|(option, _)| *option == name).map(|(_, setting)| setting.variable());
    let meant = same.or_else(|| {
        let known =
            nearest(name.strip_prefix(PREFIX)?, &mut Setting::ALL.iter().map(|setting| setting.name()))?;
        Setting::ALL.iter().find(|setting| setting.name() == known).map(|setting| setting.variable())
    });
    Some(format!("unknown variable {name}{}", did_you_mean(meant)))
}

/// Whether Kubernetes has made the variable for a Service whose name begins with `drainit`.
fn is_of_a_service(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || ["_SERVICE_PORT_", "_PORT_"].iter().any(|part| has(name, part))
}

fn futile(policy: &StopPolicy, FutileStep { id, begins, slept, time }: FutileStep) -> String {
    let name = step(policy, id).map(|step| format!("{} {step}", format::when(id.when))).unwrap_or_default();
    let limit = match (id.when, policy.grace_period) {
        (When::PreStop, Some(grace)) if time < policy.pre_stop_timeout => {
            format!("--grace-period {} leaves the drain {}", format_duration(grace), format_duration(time))
        }
        (When::PreStop, _) => format!("the drain has {} (--pre-stop-timeout)", format_duration(time)),
        (When::PostExit, Some(_)) => format!("the grace period leaves {}", format_duration(time)),
        (When::PostExit, None) => format!("the steps after the end have {}", format_duration(time)),
    };
    match (begins, slept.is_zero()) {
        (true, _) => format!("{name} is cut off: {limit}"),
        (false, true) => format!("{name} never begins: {limit}"),
        (false, false) => {
            format!("{name} never begins: the sleeps before it take {}, and {limit}", format_duration(slept))
        }
    }
}

fn step(policy: &StopPolicy, id: StepId) -> Option<&Step> {
    let steps = match id.when {
        When::PreStop => &policy.pre_stop,
        When::PostExit => &policy.post_exit,
    };
    steps.get(id.at)
}

/// Why a step's program cannot be run, if that is known. drainit sees at least as much as the command's user does.
fn cannot_run(step: &Step, settings: &Settings) -> Option<&'static str> {
    let Step::Command(words) = step else { return None };
    let program = words.first()?;
    match look_up(program, settings.directory.as_deref()) {
        Lookup::Found => None,
        Lookup::NotExecutable => Some("it is not executable"),
        Lookup::NotFound if program.as_encoded_bytes().contains(&b'/') => Some("no such file"),
        Lookup::NotFound => Some("not found in PATH"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_variable_that_nothing_reads_has_a_nearest_one() {
        for (name, meant) in [
            ("DRAINIT_GRACE_PEROID", "DRAINIT_GRACE_PERIOD"),
            ("DRAINIT_GRACE", "DRAINIT_GRACE_PERIOD"),
            ("DRAINIT_STOPSIGNAL", "DRAINIT_STOP_SIGNAL"),
            ("DRAINIT_PRESTOP_SLEEP", "DRAINIT_PRE_STOP_SLEEP"),
            ("DRAINIT_TIMEOUT", "DRAINIT_PRE_STOP_TIMEOUT"),
            ("DRAINIT_LOG_LEVEL", "DRAINIT_LOG"),
            ("DRAINIT_VERBOSE", "DRAINIT_LOG"),
            ("DRAINIT_GROUP", "DRAINIT_FORWARD_TO"),
            ("DRAINIT_FORWARDTO", "DRAINIT_FORWARD_TO"),
            ("DRAINIT_grace_period", "DRAINIT_GRACE_PERIOD"),
        ] {
            let expected = format!("unknown variable {name}; did you mean {meant}?");
            assert_eq!(unread(name), Some(expected));
        }
        for name in ["DRAINIT_PAUSE", "DRAINIT_", "DRAINIT_ÄÖÜ", "DRAINIT_XYZZY_FROB"] {
            assert_eq!(unread(name), Some(format!("unknown variable {name}")));
        }
    }

    #[test]
    fn variables_of_services_of_steps_and_of_drainit_are_no_slips() {
        let of_services = [
            "DRAINIT_SERVICE_HOST",
            "DRAINIT_SERVICE_PORT",
            "DRAINIT_SERVICE_PORT_HTTP",
            "DRAINIT_PORT",
            "DRAINIT_PORT_80_TCP",
            "DRAINIT_PORT_80_TCP_PROTO",
            "DRAINIT_PORT_80_TCP_PORT",
            "DRAINIT_PORT_80_TCP_ADDR",
            "DRAINIT_WEB_SERVICE_HOST",
            "DRAINIT_WEB_PORT_8080_UDP_ADDR",
            "DRAINIT_WEB_SERVICE_PORT_METRICS",
        ];
        let own = Setting::ALL.iter().map(|setting| setting.variable());
        for name in of_services.into_iter().chain(VARIABLES_OF_STEPS).chain(own) {
            assert_eq!(unread(name), None, "{name}");
        }
    }

    #[test]
    fn a_futile_step_names_what_limits_it() {
        let seconds = Duration::from_secs;
        let mut policy =
            StopPolicy { pre_stop: vec![Step::Sleep(seconds(9)), Step::Idle(80)], ..StopPolicy::default() };
        let said = |policy: &StopPolicy| -> Vec<String> {
            policy.futile_steps().into_iter().map(|step| futile(policy, step)).collect()
        };
        assert_eq!(
            said(&policy),
            [
                "pre-stop sleep is cut off: the drain has 5s (--pre-stop-timeout)",
                "pre-stop idle 80 never begins: the sleeps before it take 9s, and the drain has 5s (--pre-stop-timeout)",
            ]
        );
        policy.grace_period = Some(seconds(3));
        let short = "pre-stop sleep is cut off: --grace-period 3s leaves the drain 1s 500ms";
        assert_eq!(said(&policy).first().map(String::as_str), Some(short));
        policy.grace_period = Some(Duration::ZERO);
        let none = "pre-stop idle 80 never begins: the sleeps before it take 9s, and --grace-period 0s leaves the drain 0s";
        assert_eq!(said(&policy).last().map(String::as_str), Some(none));
        policy.pre_stop.clear();
        policy.grace_period = None;
        policy.post_exit = vec![Step::Sleep(seconds(10)), Step::Idle(80)];
        assert_eq!(
            said(&policy),
            [
                "post-exit idle 80 never begins: the sleeps before it take 10s, and the steps after the end have 10s"
            ]
        );
    }
}
