//! Every option, as clap knows it: parsing and help are made from this, and the documents in tests.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::setting::Setting;
use super::{COMMAND, FORWARD_TO, GROUP, QUIET, SINGLE_CHILD, TERMINATION_LOG, VERBOSE};

/// The whole definition, which help, and the tests of the documents, are made from.
#[must_use]
pub fn definition() -> Command {
    Command::new("drainit")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A container init: starts COMMAND, forwards signals to it, reaps orphans,\nand leaves only when no child is left.")
        .override_usage("drainit [OPTIONS] [--] COMMAND [ARG]...")
        .after_help(
            "Every option has an environment twin: --grace-period is DRAINIT_GRACE_PERIOD.\n\
             A flag wins over its twin. Durations: 500ms, 10s, 1m30s, 2h, or seconds.\n\
             Signals: 15, TERM, SIGTERM, RTMIN+3.",
        )
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .max_term_width(80)
        .args(signal_arguments())
        .args(drain_arguments())
        .args(stop_arguments())
        .args(process_arguments())
        .args(report_arguments())
        .args(general_arguments())
        .arg(
            Arg::new(COMMAND)
                .help("The command and its arguments")
                .num_args(0..)
                .trailing_var_arg(true)
                .value_parser(ValueParser::os_string()),
        )
}

fn valued(setting: Setting, value: &'static str, help: &'static str) -> Arg {
    Arg::new(setting.name())
        .long(setting.name())
        .value_name(value)
        .help(help)
        .value_parser(ValueParser::os_string())
        .allow_hyphen_values(true)
        .action(ArgAction::Set)
}

fn switch(setting: Setting, help: &'static str) -> Arg {
    Arg::new(setting.name()).long(setting.name()).help(help).action(ArgAction::SetTrue)
}

/// An option that may be given several times.
fn repeatable(setting: Setting, value: &'static str, help: &'static str) -> Arg {
    valued(setting, value, help).action(ArgAction::Append)
}

fn signal_arguments() -> Vec<Arg> {
    vec![
        valued(Setting::STOP_SIGNAL, "SIG[,SIG]", "What counts as a request to stop [default: TERM]"),
        repeatable(Setting::REWRITE, "FROM:TO", "Receive FROM, forward TO; 0 or none drops it (repeatable)")
            .short('r'),
        valued(Setting::FORWARD_TO, "TARGET", "Who gets the signals: group, main or all [default: group]"),
        Arg::new(GROUP)
            .short('g')
            .help("As --forward-to group")
            .action(ArgAction::SetTrue)
            .overrides_with_all([FORWARD_TO, SINGLE_CHILD]),
        Arg::new(SINGLE_CHILD)
            .short('c')
            .long(SINGLE_CHILD)
            .help("As --forward-to main")
            .action(ArgAction::SetTrue)
            .overrides_with_all([FORWARD_TO, GROUP]),
    ]
}

fn drain_arguments() -> Vec<Arg> {
    vec![
        repeatable(
            Setting::PRE_STOP,
            "COMMAND",
            "Before anybody is asked to leave, run COMMAND, no shell (repeatable)",
        ),
        repeatable(Setting::PRE_STOP_SLEEP, "DURATION", "The same: wait (repeatable)"),
        repeatable(
            Setting::PRE_STOP_HTTP,
            "[METHOD ]URL",
            "The same: send a plain HTTP request; 2xx and 3xx are good (repeatable)",
        ),
        repeatable(
            Setting::PRE_STOP_IDLE,
            "PORT",
            "The same: wait until the local TCP PORT has no connection (repeatable)",
        ),
        valued(Setting::PRE_STOP_TIMEOUT, "DURATION", "For all of these steps together [default: 5s]"),
        repeatable(
            Setting::POST_EXIT,
            "COMMAND",
            "After the last process has gone: run COMMAND (repeatable)",
        ),
        repeatable(Setting::POST_EXIT_SLEEP, "DURATION", "The same: wait (repeatable)"),
        repeatable(Setting::POST_EXIT_HTTP, "[METHOD ]URL", "The same: send a request (repeatable)"),
    ]
}

fn stop_arguments() -> Vec<Arg> {
    vec![
        valued(
            Setting::GRACE_PERIOD,
            "DURATION",
            "From the stop request to KILL, the steps included [default: no limit]",
        ),
        valued(
            Setting::STOP_SCHEDULE,
            "SPEC",
            "What is sent to whom, and how long they have:\nTERM@main/5s/TERM@group/10s/KILL [default: the stop signal]",
        ),
        valued(
            Setting::IGNORED_AFTER,
            "DURATION",
            "When to go on where the signal is ignored, or never [default: 2s]",
        ),
        valued(Setting::STOP_AFTER, "DURATION", "Begin a stop without being asked"),
        switch(Setting::WAIT_FOR_ALL, "When the command exits by itself, stop nobody and stay"),
    ]
}

fn process_arguments() -> Vec<Arg> {
    vec![
        repeatable(
            Setting::REMAP_EXIT,
            "CODE[:TO]",
            "Exit with TO (0) where the command's exit code is CODE (repeatable)",
        )
        .short('e'),
        valued(Setting::PARENT_DEATH_SIGNAL, "SIG", "Get SIG when the parent dies, as the command does then")
            .short('p'),
        switch(Setting::SUBREAPER, "Adopt orphans where not PID 1: always done, accepted for tini's sake")
            .short('s'),
        switch(Setting::PROPAGATE_SIGNAL, "Die of the signal that the command died of (not as PID 1)"),
        valued(
            Setting::USER,
            "UID[:GID]",
            "Run the command as this user and group (numbers; GID 0 where left out)",
        )
        .short('u'),
        valued(Setting::WORKDIR, "DIR", "Run the command in this directory"),
    ]
}

fn report_arguments() -> Vec<Arg> {
    vec![
        valued(Setting::REPORT, "FILE", "Write what happened as JSON to FILE at the end (- is stderr)"),
        valued(
            Setting::TERMINATION_LOG,
            "PATH",
            "Where somebody was killed or a step failed, say so there\n[default PATH: /dev/termination-log]",
        )
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value(TERMINATION_LOG),
        valued(
            Setting::REHEARSE,
            "DURATION",
            "Begin a stop after that time, draw it on stderr, and exit\n0 where it went well, 124 where it did not",
        ),
    ]
}

fn general_arguments() -> Vec<Arg> {
    vec![
        Arg::new(VERBOSE)
            .short('v')
            .help("Say more on stderr: -v info, -vv debug, -vvv trace")
            .action(ArgAction::Count),
        Arg::new(QUIET).short('q').help("Say errors only").action(ArgAction::SetTrue),
        valued(Setting::LOG_FORMAT, "FORMAT", "Lines on stderr as text or json [default: text]"),
        Arg::new("help").short('h').long("help").help("Print this and exit").action(ArgAction::Help),
        Arg::new("version")
            .short('V')
            .long("version")
            .help("Print the version and exit")
            .action(ArgAction::Version),
    ]
}
