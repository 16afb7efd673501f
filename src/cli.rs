//! The command line: what was typed, and nothing about what it means.
//!
//! Values stay text here. `settings` reads them, because the same text may come from the environment and must be
//! refused with the same words.

#![forbid(unsafe_code)]

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

const COMMAND: &str = "COMMAND";
const FORWARD_TO: &str = "forward-to";
const GROUP: &str = "group";
const SINGLE_CHILD: &str = "single-child";
const VERBOSE: &str = "verbose";
const QUIET: &str = "quiet";

/// Where the kubelet looks for a container's last words (`terminationMessagePath`).
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// An option that takes a value, or that is on or off, and its environment twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    name: &'static str,
    variable: &'static str,
}

impl Setting {
    pub const STOP_SIGNAL: Self = Self::new("stop-signal", "DRAINIT_STOP_SIGNAL");
    pub const REWRITE: Self = Self::new("rewrite", "DRAINIT_REWRITE");
    pub const FORWARD_TO: Self = Self::new(FORWARD_TO, "DRAINIT_FORWARD_TO");
    pub const GRACE_PERIOD: Self = Self::new("grace-period", "DRAINIT_GRACE_PERIOD");
    pub const PRE_STOP: Self = Self::new("pre-stop", "DRAINIT_PRE_STOP");
    pub const PRE_STOP_SLEEP: Self = Self::new("pre-stop-sleep", "DRAINIT_PRE_STOP_SLEEP");
    pub const PRE_STOP_HTTP: Self = Self::new("pre-stop-http", "DRAINIT_PRE_STOP_HTTP");
    pub const PRE_STOP_IDLE: Self = Self::new("pre-stop-idle", "DRAINIT_PRE_STOP_IDLE");
    pub const PRE_STOP_TIMEOUT: Self = Self::new("pre-stop-timeout", "DRAINIT_PRE_STOP_TIMEOUT");
    pub const STOP_SCHEDULE: Self = Self::new("stop-schedule", "DRAINIT_STOP_SCHEDULE");
    pub const IGNORED_AFTER: Self = Self::new("ignored-after", "DRAINIT_IGNORED_AFTER");
    pub const STOP_AFTER: Self = Self::new("stop-after", "DRAINIT_STOP_AFTER");
    pub const POST_EXIT: Self = Self::new("post-exit", "DRAINIT_POST_EXIT");
    pub const POST_EXIT_SLEEP: Self = Self::new("post-exit-sleep", "DRAINIT_POST_EXIT_SLEEP");
    pub const POST_EXIT_HTTP: Self = Self::new("post-exit-http", "DRAINIT_POST_EXIT_HTTP");
    pub const WAIT_FOR_ALL: Self = Self::new("wait-for-all", "DRAINIT_WAIT_FOR_ALL");
    pub const REMAP_EXIT: Self = Self::new("remap-exit", "DRAINIT_REMAP_EXIT");
    pub const PARENT_DEATH_SIGNAL: Self = Self::new("parent-death-signal", "DRAINIT_PARENT_DEATH_SIGNAL");
    pub const SUBREAPER: Self = Self::new("subreaper", "DRAINIT_SUBREAPER");
    pub const PROPAGATE_SIGNAL: Self = Self::new("propagate-signal", "DRAINIT_PROPAGATE_SIGNAL");
    pub const USER: Self = Self::new("user", "DRAINIT_USER");
    pub const WORKDIR: Self = Self::new("workdir", "DRAINIT_WORKDIR");
    pub const REPORT: Self = Self::new("report", "DRAINIT_REPORT");
    pub const TERMINATION_LOG: Self = Self::new("termination-log", "DRAINIT_TERMINATION_LOG");
    pub const REHEARSE: Self = Self::new("rehearse", "DRAINIT_REHEARSE");
    pub const LOG_FORMAT: Self = Self::new("log-format", "DRAINIT_LOG_FORMAT");
    /// Has no flag of this name: `-v` and `-q` are its flags.
    pub const LOG: Self = Self::new("log", "DRAINIT_LOG");

    const fn new(name: &'static str, variable: &'static str) -> Self {
        Self { name, variable }
    }

    /// Its name: `stop-signal`, which is typed as `--stop-signal`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The environment variable that says the same: `DRAINIT_STOP_SIGNAL`.
    #[must_use]
    pub fn variable(self) -> &'static str {
        self.variable
    }
}

/// What was typed.
#[derive(Debug)]
pub struct Typed {
    /// `None` where no option was typed.
    options: Option<ArgMatches>,
    command: Vec<OsString>,
}

/// What to do instead of running a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Instead {
    /// Print this on stdout and exit with 0.
    Print(String),
    /// The command line is wrong: say this in one line.
    Refuse(String),
}

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
    Arg::new(setting.name)
        .long(setting.name)
        .value_name(value)
        .help(help)
        .value_parser(ValueParser::os_string())
        .allow_hyphen_values(true)
        .action(ArgAction::Set)
}

fn switch(setting: Setting, help: &'static str) -> Arg {
    Arg::new(setting.name).long(setting.name).help(help).action(ArgAction::SetTrue)
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

/// Reads the command line, program name first.
///
/// Most containers give no option; then nothing has to be set up to read them.
///
/// # Errors
/// What to do instead where no command is to be run.
pub fn parse(mut arguments: Vec<OsString>) -> Result<Typed, Instead> {
    match arguments.get(1).map(|first| first.as_encoded_bytes()) {
        Some(b"--") => return Ok(Typed { options: None, command: arguments.split_off(2) }),
        Some(first) if !first.starts_with(b"-") => {
            return Ok(Typed { options: None, command: arguments.split_off(1) });
        }
        _ => {}
    }
    parse_options(arguments)
}

/// Kept apart from what every start runs through.
#[cold]
fn parse_options(arguments: Vec<OsString>) -> Result<Typed, Instead> {
    let mut options = definition().try_get_matches_from(arguments).map_err(|error| instead(&error))?;
    let command = options.remove_many(COMMAND).into_iter().flatten().collect();
    Ok(Typed { options: Some(options), command })
}

/// One line for everything that is wrong; clap's own text has several, with hints for people at a prompt.
#[expect(clippy::wildcard_enum_match_arm, reason = "clap may add kinds; its own first line serves for them")]
fn instead(error: &clap::Error) -> Instead {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    // An option's own name, without the "<VALUE>" that clap shows behind it.
    let option = argument.split(' ').next().unwrap_or_default().split('=').next().unwrap_or_default();
    let text = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Instead::Print(error.to_string()),
        ErrorKind::UnknownArgument => format!("unknown option '{argument}'"),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues => format!("{option} needs a value"),
        ErrorKind::TooManyValues => {
            format!("{option} takes no value, got '{}'", context(ContextKind::InvalidValue))
        }
        _ => one_line(&error.to_string()),
    };
    Instead::Refuse(text)
}

fn one_line(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

impl Typed {
    /// The values of an option, in the order in which they were typed.
    pub fn values(&self, setting: Setting) -> impl Iterator<Item = &OsString> {
        self.options.iter().filter_map(move |options| options.get_many(setting.name)).flatten()
    }

    /// The same, each with its place on the command line.
    pub fn placed(&self, setting: Setting) -> impl Iterator<Item = (usize, &OsString)> {
        let places =
            self.options.iter().filter_map(move |options| options.indices_of(setting.name)).flatten();
        places.zip(self.values(setting))
    }

    /// Whether the switch was typed.
    #[must_use]
    pub fn is_on(&self, setting: Setting) -> bool {
        self.has(setting.name)
    }

    /// What the short forms of `--forward-to` say, where one of them was typed last.
    #[must_use]
    pub fn short_target(&self) -> Option<&'static str> {
        if self.has(GROUP) { Some("group") } else { self.has(SINGLE_CHILD).then_some("main") }
    }

    /// How often `-v` was typed.
    #[must_use]
    pub fn verbose(&self) -> u8 {
        self.options.as_ref().map_or(0, |options| options.get_count(VERBOSE))
    }

    /// Whether `-q` was typed.
    #[must_use]
    pub fn quiet(&self) -> bool {
        self.has(QUIET)
    }

    /// Whether no option was typed.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.options.is_none()
    }

    /// The command and its arguments; empty where none was typed.
    #[must_use]
    pub fn into_command(self) -> Vec<OsString> {
        self.command
    }

    fn has(&self, switch: &str) -> bool {
        self.options.as_ref().is_some_and(|options| options.get_flag(switch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &[&str]) -> Vec<OsString> {
        let line = ["drainit"].iter().chain(line).map(OsString::from).collect();
        parse(line).expect("a good command line").into_command()
    }

    fn refusal(line: &[&str]) -> String {
        match parse(["drainit"].iter().chain(line).map(OsString::from).collect()) {
            Err(Instead::Refuse(text)) => text,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        definition().debug_assert();
    }

    #[test]
    fn everything_after_the_command_belongs_to_it() {
        for (line, expected) in [
            (&["ls", "-l", "--color", "-h"][..], &["ls", "-l", "--color", "-h"][..]),
            (&["--", "ls", "-l"], &["ls", "-l"]),
            (&["-g", "ls", "--", "-g"], &["ls", "--", "-g"]),
            (&["--", "--odd", "x"], &["--odd", "x"]),
            (&["--", "ls", "--", "x"], &["ls", "--", "x"]),
            (&["ls", ""], &["ls", ""]),
            (&["", "x"], &["", "x"]),
            (&["--", "--"], &["--"]),
            (&["-"], &["-"]),
            (&["-e", "143", "sh", "-c", "exit 1", "--version"], &["sh", "-c", "exit 1", "--version"]),
        ] {
            assert_eq!(command(line), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_it() {
        assert_eq!(refusal(&["--frobnicate", "x"]), "unknown option '--frobnicate'");
        assert_eq!(refusal(&["-Z", "x"]), "unknown option '-Z'");
        assert_eq!(refusal(&["--grace-period"]), "--grace-period needs a value");
        assert_eq!(refusal(&["-r"]), "--rewrite needs a value");
        assert_eq!(refusal(&["--wait-for-all=x", "y"]), "--wait-for-all takes no value, got 'x'");
        for option in ["--pause", "-P", "--poweroff"] {
            assert_eq!(refusal(&[option]), format!("unknown option '{option}'"), "not built, so not known");
        }
    }

    #[test]
    fn every_variable_is_named_after_its_option() {
        for setting in [
            Setting::STOP_SIGNAL,
            Setting::REWRITE,
            Setting::FORWARD_TO,
            Setting::GRACE_PERIOD,
            Setting::PRE_STOP,
            Setting::PRE_STOP_SLEEP,
            Setting::PRE_STOP_HTTP,
            Setting::PRE_STOP_IDLE,
            Setting::PRE_STOP_TIMEOUT,
            Setting::STOP_SCHEDULE,
            Setting::IGNORED_AFTER,
            Setting::STOP_AFTER,
            Setting::POST_EXIT,
            Setting::POST_EXIT_SLEEP,
            Setting::POST_EXIT_HTTP,
            Setting::WAIT_FOR_ALL,
            Setting::REMAP_EXIT,
            Setting::PARENT_DEATH_SIGNAL,
            Setting::SUBREAPER,
            Setting::PROPAGATE_SIGNAL,
            Setting::USER,
            Setting::WORKDIR,
            Setting::REPORT,
            Setting::TERMINATION_LOG,
            Setting::REHEARSE,
            Setting::LOG_FORMAT,
            Setting::LOG,
        ] {
            let name = setting.name().to_ascii_uppercase().replace('-', "_");
            assert_eq!(setting.variable(), format!("DRAINIT_{name}"));
        }
    }

    #[test]
    fn a_later_target_replaces_an_earlier_one() {
        let target = |line: &[&str]| {
            let typed = parse(["drainit"].iter().chain(line).map(OsString::from).collect()).expect("good");
            let long =
                typed.values(Setting::FORWARD_TO).next().map(|value| value.to_string_lossy().into_owned());
            (typed.short_target(), long)
        };
        assert_eq!(target(&["-c", "-g", "x"]), (Some("group"), None));
        assert_eq!(target(&["-g", "-c", "x"]), (Some("main"), None));
        assert_eq!(target(&["-g", "--forward-to", "all", "x"]).1.as_deref(), Some("all"));
        assert_eq!(target(&["--forward-to", "all", "-c", "x"]), (Some("main"), None));
    }
}
