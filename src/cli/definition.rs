//! Every option, as it is defined for clap. Parsing and help are made from this, and in the tests the documents.

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, Command, ValueHint};

use super::setting::Setting;
use super::{
    COMMAND, COPY_TO, FORWARD_TO, GROUP, LICENSE, PAUSE, QUIET, SHORT_HELP, SINGLE_CHILD, TERMINATION_LOG,
    VERBOSE,
};
use crate::signal::NAMES;

/// The long help, as clap lays it out. A test compares it with the definition, and can rewrite it.
pub(super) const HELP: &str = include_str!("help.txt");
/// The short help, likewise.
pub(super) const SHORT_HELP_TEXT: &str = include_str!("help-short.txt");

/// The whole definition: the help is made from it, and the tests of the documents use it.
#[must_use]
pub fn definition() -> Command {
    options()
        .about("A container init: starts COMMAND, forwards signals to it, reaps orphans,\nand exits only when no child is left.")
        .override_usage("drainit [OPTIONS] [--] COMMAND [ARG]...")
        .after_help(
            "In the environment --grace-period is DRAINIT_GRACE_PERIOD, and so on; -g and -c\n\
             are DRAINIT_FORWARD_TO, -v and -q DRAINIT_LOG; --pause and --copy-to have\n\
             none. An option wins.\n\
             Durations: 500ms, 10s, 1m30s, 2h, or seconds.\n\
             Signals: 15, TERM, SIGTERM, RTMIN+3.",
        )
        .max_term_width(80)
        .mut_args(|argument| match entry(argument.get_id().as_str()) {
            Some((heading, entry)) => entry.documented(heading, argument),
            None => argument.help("The command and its arguments").value_hint(ValueHint::CommandWithArguments),
        })
}

/// What most people need.
const SHORT: [&str; 10] = [
    Setting::STOP_SIGNAL.name(),
    Setting::REWRITE.name(),
    FORWARD_TO,
    Setting::PRE_STOP.name(),
    Setting::PRE_STOP_SLEEP.name(),
    Setting::PRE_STOP_IDLE.name(),
    Setting::GRACE_PERIOD.name(),
    Setting::USER.name(),
    Setting::REHEARSE.name(),
    VERBOSE,
];

/// The part of the definition that `-h` shows.
#[must_use]
pub fn short_definition() -> Command {
    definition()
        .mut_args(|argument| {
            let is_shown = SHORT.contains(&argument.get_id().as_str());
            argument.hide(!is_shown).help_heading("Options")
        })
        .after_help(
            "Examples:\n  drainit -- ./entrypoint.sh\n  drainit --pre-stop-idle 8080 --grace-period 25s -- /app\n\n\
             All options: drainit --help. How a stop goes: man drainit.",
        )
}

/// The names of all options, as they are typed.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SYNTAX.iter().map(|option| option.id).filter(|&id| id != SHORT_HELP)
}

/// The part of the definition that reading a command line needs.
pub(super) fn options() -> Command {
    let command =
        Arg::new(COMMAND).num_args(0..).trailing_var_arg(true).value_parser(ValueParser::os_string());
    Command::new("drainit")
        .version(env!("CARGO_PKG_VERSION"))
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(command)
        .args(SYNTAX.iter().map(Syntax::argument))
}

/// The options in the order in which help shows them.
const GROUPS: &[(&str, &[Entry])] = &[
    ("Signals", SIGNALS),
    ("Drain", DRAIN),
    ("Stop", STOP),
    ("After the end", END),
    ("Process", PROCESS),
    ("What happened", REPORT),
    ("General", GENERAL),
];

/// The option of that name, and the heading that it is under.
fn entry(id: &str) -> Option<(&'static str, &'static Entry)> {
    let mut all = GROUPS.iter().flat_map(|&(heading, group)| group.iter().map(move |entry| (heading, entry)));
    all.find(|(_, entry)| entry.syntax.id == id)
}

/// Options that make sense without a command; and catatonit's `-g`, which catatonit also accepts there without effect.
const BESIDE_PAUSE: [&str; 12] = [
    PAUSE,
    SHORT_HELP,
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

/// How an option is typed.
#[derive(Clone, Copy)]
struct Syntax {
    id: &'static str,
    short: Option<char>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    /// A value. The option may be given several times.
    Values,
    Switch,
    Count,
    Help,
    Version,
}

impl Syntax {
    fn argument(&self) -> Arg {
        let argument = Arg::new(self.id).short(self.short).long(self.id).action(match self.kind {
            Kind::Value => ArgAction::Set,
            Kind::Values => ArgAction::Append,
            Kind::Switch => ArgAction::SetTrue,
            Kind::Count => ArgAction::Count,
            Kind::Help => ArgAction::Help,
            Kind::Version => ArgAction::Version,
        });
        let argument = match self.kind {
            Kind::Value | Kind::Values => {
                argument.value_parser(ValueParser::os_string()).allow_hyphen_values(true)
            }
            Kind::Switch | Kind::Count | Kind::Help | Kind::Version => argument,
        };
        match self.id {
            SHORT_HELP => argument.long(None),
            GROUP => argument.long(None).overrides_with_all([FORWARD_TO, SINGLE_CHILD]),
            SINGLE_CHILD => argument.overrides_with_all([FORWARD_TO, GROUP]),
            PAUSE => argument.conflicts_with_all(needing_a_command()),
            LICENSE => argument.visible_short_alias('L'),
            id if id == Setting::TERMINATION_LOG.name() => {
                argument.num_args(0..=1).require_equals(true).default_missing_value(TERMINATION_LOG)
            }
            _ => argument,
        }
    }
}

/// If no command is run, most options would have nothing to act on.
fn needing_a_command() -> impl Iterator<Item = &'static str> {
    SYNTAX.iter().map(|option| option.id).filter(|id| !BESIDE_PAUSE.contains(id))
}

/// The table that a command line is read with. The compiler takes it out of the groups: their help texts are in `help.txt` already, and are
/// not needed in the program a second time.
#[expect(clippy::indexing_slicing, reason = "a wrong place in a constant is the compiler's to find")]
const SYNTAX: [Syntax; COUNT] = {
    let mut all = [Syntax { id: "", short: None, kind: Kind::Switch }; COUNT];
    let mut place = 0;
    let mut groups = GROUPS;
    while let [(_, group), others @ ..] = groups {
        let mut at = 0;
        while at < group.len() {
            all[place] = group[at].syntax;
            at += 1;
            place += 1;
        }
        groups = others;
    }
    all
};

const COUNT: usize = {
    let mut count = 0;
    let mut groups = GROUPS;
    while let [(_, group), others @ ..] = groups {
        count += group.len();
        groups = others;
    }
    count
};

/// An option with its help. All options are one table: written as successive calls to clap they took 8 KB of the program.
struct Entry {
    syntax: Syntax,
    /// `None` if it takes none.
    value_name: Option<&'static str>,
    help: &'static str,
    hint: ValueHint,
    /// What shells offer as a value.
    values: &'static [&'static str],
}

impl Entry {
    const fn new(id: &'static str, help: &'static str, kind: Kind) -> Self {
        let syntax = Syntax { id, short: None, kind };
        Self { syntax, value_name: None, help, hint: ValueHint::Other, values: &[] }
    }

    const fn short(self, short: char) -> Self {
        Self { syntax: Syntax { short: Some(short), ..self.syntax }, ..self }
    }

    const fn hint(self, hint: ValueHint) -> Self {
        Self { hint, ..self }
    }

    const fn values(self, values: &'static [&'static str]) -> Self {
        Self { values, ..self }
    }

    fn documented(&self, heading: &'static str, argument: Arg) -> Arg {
        let argument = argument.help_heading(heading).help(self.help);
        let argument = match self.value_name {
            Some(name) => argument.value_name(name).value_hint(self.hint),
            None => return argument,
        };
        if self.values.is_empty() {
            return argument;
        }
        argument.value_parser(PossibleValuesParser::new(self.values)).hide_possible_values(true)
    }
}

const fn valued(setting: Setting, value: &'static str, help: &'static str) -> Entry {
    Entry { value_name: Some(value), ..Entry::new(setting.name(), help, Kind::Value) }
}

/// An option that may be given several times.
const fn repeatable(setting: Setting, value: &'static str, help: &'static str) -> Entry {
    Entry { value_name: Some(value), ..Entry::new(setting.name(), help, Kind::Values) }
}

const fn switch(setting: Setting, help: &'static str) -> Entry {
    flag(setting.name(), help)
}

/// A switch that only the command line has.
const fn flag(id: &'static str, help: &'static str) -> Entry {
    Entry::new(id, help, Kind::Switch)
}

/// What runtimes and images have as their stop signal.
const STOP_SIGNALS: [&str; 9] = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "PWR", "RTMIN+3"];

const SIGNALS: &[Entry] = &[
    valued(Setting::STOP_SIGNAL, "SIG[,SIG]", "Signals that begin a stop [default: TERM]")
        .values(&STOP_SIGNALS),
    repeatable(
        Setting::REWRITE,
        "FROM:TO[@TARGET]",
        "Receive FROM, forward TO; 0 or none drops it (repeatable)",
    )
    .short('r'),
    valued(
        Setting::FORWARD_TO,
        "TARGET",
        "Processes that get the signals: auto, group, main or all\n[default: auto]",
    )
    .values(&["auto", "group", "main", "all"]),
    flag(GROUP, "Same as --forward-to group").short('g'),
    flag(SINGLE_CHILD, "Same as --forward-to main").short('c'),
];

const DRAIN: &[Entry] = &[
    repeatable(
        Setting::PRE_STOP,
        "COMMAND",
        "Before processes are signalled: run COMMAND, no shell (repeatable)",
    )
    .hint(ValueHint::CommandString),
    repeatable(Setting::PRE_STOP_SLEEP, "DURATION", "Before processes are signalled: wait (repeatable)"),
    repeatable(
        Setting::PRE_STOP_HTTP,
        "[METHOD ]URL",
        "Before processes are signalled: send a plain HTTP request;\n2xx and 3xx are success (repeatable)",
    ),
    repeatable(
        Setting::PRE_STOP_IDLE,
        "PORT",
        "Before processes are signalled: wait until no TCP connection on\nthe local PORT is left (repeatable)",
    ),
    valued(Setting::PRE_STOP_TIMEOUT, "DURATION", "Limit for all pre-stop steps together [default: 5s]"),
];

const STOP: &[Entry] = &[
    valued(
        Setting::GRACE_PERIOD,
        "DURATION",
        "Time from the stop request to KILL, drain included [default: no limit]",
    ),
    valued(
        Setting::STOP_SCHEDULE,
        "SPEC",
        "Signals to send, and how long to wait after each:\nTERM@main/5s/TERM@group/10s/KILL [default: the stop signal]",
    ),
    valued(
        Setting::IGNORED_AFTER,
        "DURATION",
        "When to give up on processes that ignore the signal, or never\n[default: 2s]",
    ),
    valued(Setting::STOP_AFTER, "DURATION", "Begin a stop this long after the start"),
    switch(Setting::WAIT_FOR_ALL, "If the command exits by itself, signal nothing; wait for its children"),
];

const END: &[Entry] = &[
    repeatable(Setting::POST_EXIT, "COMMAND", "After the last process has ended: run COMMAND (repeatable)")
        .hint(ValueHint::CommandString),
    repeatable(Setting::POST_EXIT_SLEEP, "DURATION", "After the last process has ended: wait (repeatable)"),
    repeatable(
        Setting::POST_EXIT_HTTP,
        "[METHOD ]URL",
        "After the last process has ended: send a request (repeatable)",
    ),
    repeatable(
        Setting::REMAP_EXIT,
        "CODE[:TO]",
        "Exit with TO (default 0) if the command exits with CODE (repeatable)",
    )
    .short('e'),
    switch(Setting::PROPAGATE_SIGNAL, "Die of the signal that the command died of (not as PID 1)"),
];

const PROCESS: &[Entry] = &[
    valued(Setting::USER, "UID[:GID]", "Run the command as this user and group (numbers; default GID 0)")
        .short('u'),
    valued(Setting::WORKDIR, "DIR", "Run the command in this directory").hint(ValueHint::DirPath),
    valued(
        Setting::PARENT_DEATH_SIGNAL,
        "SIG",
        "Send drainit SIG if its parent dies, and the command if drainit dies",
    )
    .short('p')
    .values(&NAMES),
    switch(Setting::SUBREAPER, "Adopt orphans if not PID 1 (always on; accepted for tini's users)")
        .short('s'),
    switch(Setting::WARN_ON_REAP, "Warn of each orphan that is reaped").short('w'),
    flag(PAUSE, "Run no command: reap until TERM or INT arrives, as a pause container").short('P'),
    switch(Setting::POWEROFF, "As PID 1 of a machine: power it off instead of exiting"),
];

const REPORT: &[Entry] = &[
    valued(Setting::REPORT, "FILE", "Write what happened to FILE as JSON (- is stderr)")
        .hint(ValueHint::FilePath),
    valued(
        Setting::TERMINATION_LOG,
        "PATH",
        "Write to this file if a process was killed or a step failed\n[default PATH: /dev/termination-log]",
    )
    .hint(ValueHint::FilePath),
    valued(
        Setting::REHEARSE,
        "DURATION",
        "Begin a stop after this time, draw it on stderr, and exit\n0 if it went well, 124 if not [default grace period: 30s]",
    ),
    Entry::new(VERBOSE, "Log more on stderr: -v info, -vv debug, -vvv trace", Kind::Count).short('v'),
    flag(QUIET, "Log errors only").short('q'),
    valued(Setting::LOG_FORMAT, "FORMAT", "Format of lines on stderr: text or json [default: text]")
        .values(&["text", "json"]),
];

const GENERAL: &[Entry] = &[
    Entry {
        value_name: Some("PATH"),
        ..Entry::new(COPY_TO, "Copy this program to PATH and exit", Kind::Value)
    }
    .hint(ValueHint::FilePath),
    flag(SHORT_HELP, "Print the options that most people need, and exit").short('h'),
    Entry::new("help", "Print this and exit", Kind::Help),
    Entry::new("version", "Print the version and exit", Kind::Version).short('V'),
    flag(LICENSE, "Print the licence and exit").short('l'),
];
