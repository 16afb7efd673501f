//! Every option, as clap knows it: parsing and help are made from this, and the documents in tests.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, Id, ValueHint};

use super::setting::Setting;
use super::{COMMAND, FORWARD_TO, GROUP, LICENSE, PAUSE, QUIET, SINGLE_CHILD, TERMINATION_LOG, VERBOSE};

/// What clap makes of the definition. A test compares, and writes it.
const HELP: &str = include_str!("help.txt");

/// The whole definition, which help, and the tests of the documents, are made from.
#[must_use]
pub fn definition() -> Command {
    let mut command = Command::new("drainit")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A container init: starts COMMAND, forwards signals to it, reaps orphans,\nand leaves only when no child is left.")
        .override_usage("drainit [OPTIONS] [--] COMMAND [ARG]...")
        .override_help(HELP)
        .after_help(
            "In the environment --grace-period is DRAINIT_GRACE_PERIOD, and so on; -g and -c\n\
             are DRAINIT_FORWARD_TO, -v and -q DRAINIT_LOG; --pause has none. A flag wins.\n\
             Durations: 500ms, 10s, 1m30s, 2h, or seconds.\n\
             Signals: 15, TERM, SIGTERM, RTMIN+3.",
        )
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .max_term_width(80)
        .arg(
            Arg::new(COMMAND)
                .help("The command and its arguments")
                .num_args(0..)
                .trailing_var_arg(true)
                .value_hint(ValueHint::CommandWithArguments)
                .value_parser(ValueParser::os_string()),
        );
    for (heading, arguments) in groups() {
        command = command.next_help_heading(heading).args(arguments);
    }
    command
}

/// The options in the order in which help shows them.
fn groups() -> [(&'static str, Vec<Arg>); 7] {
    let mut groups = [
        ("Signals", signal_arguments()),
        ("Drain", drain_arguments()),
        ("Stop", stop_arguments()),
        ("After the end", end_arguments()),
        ("Process", process_arguments()),
        ("What happened", report_arguments()),
        ("General", general_arguments()),
    ];
    // Where no command is run, most options would have nothing to act on.
    let ids: Vec<Id> =
        groups.iter().flat_map(|(_, group)| group).map(|option| option.get_id().clone()).collect();
    let without: Vec<Id> = ids.into_iter().filter(|id| !BESIDE_PAUSE.contains(&id.as_str())).collect();
    for (_, group) in &mut groups {
        for option in group.iter_mut().filter(|option| *option.get_id() == PAUSE) {
            *option = option.clone().conflicts_with_all(&without);
        }
    }
    groups
}

/// What works without a command too, and catatonit's `-g`, which says nothing then there either.
const BESIDE_PAUSE: [&str; 11] = [
    PAUSE,
    GROUP,
    VERBOSE,
    QUIET,
    LICENSE,
    "help",
    "version",
    Setting::LOG_FORMAT.name(),
    Setting::PARENT_DEATH_SIGNAL.name(),
    Setting::SUBREAPER.name(),
    Setting::WARN_ON_REAP.name(),
];

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

fn end_arguments() -> Vec<Arg> {
    vec![
        repeatable(
            Setting::POST_EXIT,
            "COMMAND",
            "After the last process has gone: run COMMAND (repeatable)",
        ),
        repeatable(Setting::POST_EXIT_SLEEP, "DURATION", "The same: wait (repeatable)"),
        repeatable(Setting::POST_EXIT_HTTP, "[METHOD ]URL", "The same: send a request (repeatable)"),
        repeatable(
            Setting::REMAP_EXIT,
            "CODE[:TO]",
            "Exit with TO (0) where the command's exit code is CODE (repeatable)",
        )
        .short('e'),
        switch(Setting::PROPAGATE_SIGNAL, "Die of the signal that the command died of (not as PID 1)"),
    ]
}

fn process_arguments() -> Vec<Arg> {
    vec![
        valued(
            Setting::USER,
            "UID[:GID]",
            "Run the command as this user and group (numbers; GID 0 where left out)",
        )
        .short('u'),
        valued(Setting::WORKDIR, "DIR", "Run the command in this directory").value_hint(ValueHint::DirPath),
        valued(Setting::PARENT_DEATH_SIGNAL, "SIG", "Get SIG when the parent dies, as the command does then")
            .short('p'),
        switch(Setting::SUBREAPER, "Adopt orphans where not PID 1: always done, accepted for tini's sake")
            .short('s'),
        switch(Setting::WARN_ON_REAP, "Warn of each orphan that is reaped").short('w'),
        Arg::new(PAUSE)
            .short('P')
            .long(PAUSE)
            .help("Run no command: reap until TERM or INT comes, as a pause container")
            .action(ArgAction::SetTrue),
        switch(Setting::POWEROFF, "As PID 1 of a machine: power it off instead of exiting"),
    ]
}

fn report_arguments() -> Vec<Arg> {
    vec![
        valued(Setting::REPORT, "FILE", "Write what happened as JSON to FILE at the end (- is stderr)")
            .value_hint(ValueHint::FilePath),
        valued(
            Setting::TERMINATION_LOG,
            "PATH",
            "Where somebody was killed or a step failed, say so there\n[default PATH: /dev/termination-log]",
        )
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value(TERMINATION_LOG)
        .value_hint(ValueHint::FilePath),
        valued(
            Setting::REHEARSE,
            "DURATION",
            "Begin a stop after that time, draw it on stderr, and exit\n0 where it went well, 124 where it did not",
        ),
        Arg::new(VERBOSE)
            .short('v')
            .long(VERBOSE)
            .help("Say more on stderr: -v info, -vv debug, -vvv trace")
            .action(ArgAction::Count),
        Arg::new(QUIET).short('q').long(QUIET).help("Say errors only").action(ArgAction::SetTrue),
        valued(Setting::LOG_FORMAT, "FORMAT", "Lines on stderr as text or json [default: text]"),
    ]
}

fn general_arguments() -> Vec<Arg> {
    vec![
        Arg::new("help").short('h').long("help").help("Print this and exit").action(ArgAction::Help),
        Arg::new("version")
            .short('V')
            .long("version")
            .help("Print the version and exit")
            .action(ArgAction::Version),
        Arg::new(LICENSE)
            .short('l')
            .visible_short_alias('L')
            .long(LICENSE)
            .help("Print the licence and exit")
            .action(ArgAction::SetTrue),
    ]
}
