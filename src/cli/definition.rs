//! Every option, as clap knows it: parsing and help are made from this, and the documents in tests.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, ValueHint};

use super::setting::Setting;
use super::{
    COMMAND, COPY_TO, FORWARD_TO, GROUP, LICENSE, PAUSE, QUIET, SINGLE_CHILD, TERMINATION_LOG, VERBOSE,
};

/// What clap makes of the definition. A test compares, and writes it.
pub(super) const HELP: &str = include_str!("help.txt");

/// The whole definition, which help, and the tests of the documents, are made from.
#[must_use]
pub fn definition() -> Command {
    options()
        .about("A container init: starts COMMAND, forwards signals to it, reaps orphans,\nand leaves only when no child is left.")
        .override_usage("drainit [OPTIONS] [--] COMMAND [ARG]...")
        .after_help(
            "In the environment --grace-period is DRAINIT_GRACE_PERIOD, and so on; -g and -c\n\
             are DRAINIT_FORWARD_TO, -v and -q DRAINIT_LOG; --pause and --copy-to have\n\
             none. A flag wins.\n\
             Durations: 500ms, 10s, 1m30s, 2h, or seconds.\n\
             Signals: 15, TERM, SIGTERM, RTMIN+3.",
        )
        .max_term_width(80)
        .mut_args(|argument| match entry(argument.get_id().as_str()) {
            Some((heading, entry)) => entry.documented(heading, argument),
            None => argument.help("The command and its arguments").value_hint(ValueHint::CommandWithArguments),
        })
}

/// What is needed of it to read a command line.
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
    /// A value, and it may be given several times.
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

/// Where no command is run, most options would have nothing to act on.
fn needing_a_command() -> impl Iterator<Item = &'static str> {
    SYNTAX.iter().map(|option| option.id).filter(|id| !BESIDE_PAUSE.contains(id))
}

/// The table that a command line is read with. The compiler takes it out of the groups: what these say to people is in the help already, and
/// need not be in the program a second time.
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

/// An option with what is said of it. All of them are a table: written as calls to clap one after the other they were 8 KB of the
/// program.
struct Entry {
    syntax: Syntax,
    /// `None` where it takes none.
    value_name: Option<&'static str>,
    help: &'static str,
    hint: ValueHint,
}

impl Entry {
    const fn new(id: &'static str, help: &'static str, kind: Kind) -> Self {
        let syntax = Syntax { id, short: None, kind };
        Self { syntax, value_name: None, help, hint: ValueHint::Unknown }
    }

    const fn short(self, short: char) -> Self {
        Self { syntax: Syntax { short: Some(short), ..self.syntax }, ..self }
    }

    const fn hint(self, hint: ValueHint) -> Self {
        Self { hint, ..self }
    }

    fn documented(&self, heading: &'static str, argument: Arg) -> Arg {
        let argument = argument.help_heading(heading).help(self.help).value_hint(self.hint);
        match self.value_name {
            Some(name) => argument.value_name(name),
            None => argument,
        }
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

const SIGNALS: &[Entry] = &[
    valued(Setting::STOP_SIGNAL, "SIG[,SIG]", "What counts as a request to stop [default: TERM]"),
    repeatable(
        Setting::REWRITE,
        "FROM:TO[@TARGET]",
        "Receive FROM, forward TO; 0 or none drops it (repeatable)",
    )
    .short('r'),
    valued(
        Setting::FORWARD_TO,
        "TARGET",
        "Which processes get signals: auto, group, main or all [default: auto]",
    ),
    flag(GROUP, "As --forward-to group").short('g'),
    flag(SINGLE_CHILD, "As --forward-to main").short('c'),
];

const DRAIN: &[Entry] = &[
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
];

const STOP: &[Entry] = &[
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
];

const END: &[Entry] = &[
    repeatable(Setting::POST_EXIT, "COMMAND", "After the last process has gone: run COMMAND (repeatable)"),
    repeatable(Setting::POST_EXIT_SLEEP, "DURATION", "The same: wait (repeatable)"),
    repeatable(Setting::POST_EXIT_HTTP, "[METHOD ]URL", "The same: send a request (repeatable)"),
    repeatable(
        Setting::REMAP_EXIT,
        "CODE[:TO]",
        "Exit with TO (0) where the command's exit code is CODE (repeatable)",
    )
    .short('e'),
    switch(Setting::PROPAGATE_SIGNAL, "Die of the signal that the command died of (not as PID 1)"),
];

const PROCESS: &[Entry] = &[
    valued(
        Setting::USER,
        "UID[:GID]",
        "Run the command as this user and group (numbers; GID 0 where left out)",
    )
    .short('u'),
    valued(Setting::WORKDIR, "DIR", "Run the command in this directory").hint(ValueHint::DirPath),
    valued(Setting::PARENT_DEATH_SIGNAL, "SIG", "Get SIG when the parent dies, as the command does then")
        .short('p'),
    switch(Setting::SUBREAPER, "Adopt orphans where not PID 1: always done, accepted for tini's sake")
        .short('s'),
    switch(Setting::WARN_ON_REAP, "Warn of each orphan that is reaped").short('w'),
    flag(PAUSE, "Run no command: reap until TERM or INT comes, as a pause container").short('P'),
    switch(Setting::POWEROFF, "As PID 1 of a machine: power it off instead of exiting"),
];

const REPORT: &[Entry] = &[
    valued(Setting::REPORT, "FILE", "Write what happened as JSON to FILE at the end (- is stderr)")
        .hint(ValueHint::FilePath),
    valued(
        Setting::TERMINATION_LOG,
        "PATH",
        "Where somebody was killed or a step failed, say so there\n[default PATH: /dev/termination-log]",
    )
    .hint(ValueHint::FilePath),
    valued(
        Setting::REHEARSE,
        "DURATION",
        "Begin a stop after that time, draw it on stderr, and exit\n0 where it went well, 124 where it did not",
    ),
    Entry::new(VERBOSE, "Say more on stderr: -v info, -vv debug, -vvv trace", Kind::Count).short('v'),
    flag(QUIET, "Say errors only").short('q'),
    valued(Setting::LOG_FORMAT, "FORMAT", "Lines on stderr as text or json [default: text]"),
];

const GENERAL: &[Entry] = &[
    Entry {
        value_name: Some("PATH"),
        ..Entry::new(COPY_TO, "Copy this program to PATH and exit", Kind::Value)
    }
    .hint(ValueHint::FilePath),
    Entry::new("help", "Print this and exit", Kind::Help).short('h'),
    Entry::new("version", "Print the version and exit", Kind::Version).short('V'),
    flag(LICENSE, "Print the licence and exit").short('l'),
];
