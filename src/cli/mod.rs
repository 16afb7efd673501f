//! The command line: what was typed, and nothing about what it means.
//!
//! Values stay text here. `settings` reads them, because the same text may come from the environment and must be
//! refused with the same words.

#![forbid(unsafe_code)]

mod definition;
mod name;
mod setting;

use std::ffi::OsString;

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};

pub use definition::{definition, short_definition};
pub use name::InvokedAs;
pub use setting::Setting;

use crate::text::{did_you_mean, nearest};

const COMMAND: &str = "COMMAND";
const FORWARD_TO: &str = "forward-to";
const GROUP: &str = "group";
const SHORT_HELP: &str = "short-help";
const SINGLE_CHILD: &str = "single-child";
const VERBOSE: &str = "verbose";
const QUIET: &str = "quiet";
const PAUSE: &str = "pause";
const LICENSE: &str = "license";
const COPY_TO: &str = "copy-to";

/// Where the kubelet reads the termination message (`terminationMessagePath`).
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// What was typed.
#[derive(Debug)]
pub struct Typed {
    /// `None` if no option was typed.
    options: Option<ArgMatches>,
    name: InvokedAs,
    command: Vec<OsString>,
}

/// What to do instead of running a command.
#[derive(Debug, PartialEq, Eq)]
pub enum EarlyExit {
    /// Print this on stdout and exit with 0.
    Print(String),
    /// Copy this program to that path and exit with 0.
    Copy(OsString),
    /// The command line is wrong: say this in one line.
    Refuse(String),
}

/// Reads the command line, whose first word is the program's name.
///
/// Most containers give no option; then no parser is set up.
///
/// # Errors
/// What to do if no command is to be run.
pub fn parse(mut arguments: Vec<OsString>) -> Result<Typed, EarlyExit> {
    let name = InvokedAs::of(arguments.first());
    match arguments.get(1).map(|first| first.as_encoded_bytes()) {
        Some(b"--") => return Ok(Typed { options: None, name, command: arguments.split_off(2) }),
        Some(first) if !first.starts_with(b"-") => {
            return Ok(Typed { options: None, name, command: arguments.split_off(1) });
        }
        _ => {}
    }
    parse_options(name, arguments)
}

fn parse_options(name: InvokedAs, arguments: Vec<OsString>) -> Result<Typed, EarlyExit> {
    let mut options =
        definition::options().try_get_matches_from(arguments).map_err(|error| early_exit(name, &error))?;
    if options.get_flag(SHORT_HELP) {
        return Err(EarlyExit::Print(definition::SHORT_HELP_TEXT.to_owned()));
    }
    if options.get_flag(LICENSE) {
        return Err(EarlyExit::Print(include_str!("../../LICENSE").to_owned()));
    }
    let command: Vec<OsString> = options.remove_many(COMMAND).map(Iterator::collect).unwrap_or_default();
    if let Some(path) = options.remove_one::<OsString>(COPY_TO) {
        return Err(match command.first() {
            None => EarlyExit::Copy(path),
            Some(word) => EarlyExit::Refuse(format!("--copy-to runs no command, got \"{}\"", word.display())),
        });
    }
    Ok(Typed { options: Some(options), name, command })
}

/// The error in one line; clap's own text has several, with hints for people at a prompt.
#[expect(clippy::wildcard_enum_match_arm, reason = "clap may add kinds; its own word for them serves")]
fn early_exit(name: InvokedAs, error: &clap::Error) -> EarlyExit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.as_str()],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let text = |kind| context(kind).concat();
    let options = |kind| context(kind).into_iter().map(option).collect::<Vec<_>>().join(" or ");
    let argument = options(ContextKind::InvalidArg);
    let text = match error.kind() {
        ErrorKind::DisplayHelp => return EarlyExit::Print(definition::HELP.to_owned()),
        ErrorKind::DisplayVersion => return EarlyExit::Print(name.version().to_owned()),
        ErrorKind::UnknownArgument => unknown(&text(ContextKind::InvalidArg)),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues => format!("{argument} needs a value"),
        ErrorKind::TooManyValues => {
            format!("{argument} takes no value, got '{}'", text(ContextKind::InvalidValue))
        }
        ErrorKind::ArgumentConflict => {
            format!("{argument} cannot be combined with {}", options(ContextKind::PriorArg))
        }
        kind => format!("{argument}: {}", kind.as_str().unwrap_or("not understood")),
    };
    EarlyExit::Refuse(text)
}

/// With the nearest option, if there is one.
fn unknown(typed: &str) -> String {
    let name = typed.strip_prefix("--").and_then(|word| nearest(word, &mut definition::names()));
    let meant = name.map(|name| if name == GROUP { "-g".to_owned() } else { format!("--{name}") });
    format!("unknown option '{typed}'{}", did_you_mean(meant.as_deref()))
}

/// An option's own name, without the `<VALUE>` or the dots that clap shows after it.
fn option(shown: &str) -> &str {
    shown.split([' ', '=', '[']).next().unwrap_or_default().trim_end_matches("...")
}

impl Typed {
    /// The values of an option in the order in which they were typed, each with its place on the command line.
    #[must_use]
    pub fn placed(&self, setting: Setting) -> Vec<(usize, &OsString)> {
        let Some(options) = &self.options else { return Vec::new() };
        match (options.indices_of(setting.name()), options.get_many(setting.name())) {
            (Some(places), Some(values)) => places.zip(values).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the switch was typed.
    #[must_use]
    pub fn is_on(&self, setting: Setting) -> bool {
        self.has(setting.name())
    }

    /// The target of a short form of `--forward-to`, if one was typed last.
    #[must_use]
    pub fn short_target(&self) -> Option<&'static str> {
        if self.has(GROUP) { Some("group") } else { self.has(SINGLE_CHILD).then_some("main") }
    }

    /// Whether `--pause` was typed.
    #[must_use]
    pub fn pause(&self) -> bool {
        self.has(PAUSE)
    }

    /// The name that the program was started under.
    #[must_use]
    pub fn name(&self) -> InvokedAs {
        self.name
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

    /// The command and its arguments; empty if none was typed.
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
            Err(EarlyExit::Refuse(text)) => text,
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
        assert_eq!(refusal(&["--prestop", "x"]), "unknown option '--prestop'; did you mean --pre-stop?");
        assert_eq!(refusal(&["--grace=5", "x"]), "unknown option '--grace'; did you mean --grace-period?");
        assert_eq!(refusal(&["--verison"]), "unknown option '--verison'; did you mean --version?");
        assert_eq!(refusal(&["--group", "x"]), "unknown option '--group'; did you mean -g?");
        assert_eq!(refusal(&["-Z", "x"]), "unknown option '-Z'");
        assert_eq!(refusal(&["--grace-period"]), "--grace-period needs a value");
        assert_eq!(refusal(&["-r"]), "--rewrite needs a value");
        assert_eq!(refusal(&["--wait-for-all=x", "y"]), "--wait-for-all takes no value, got 'x'");
        assert_eq!(refusal(&["--verbose=3", "y"]), "--verbose takes no value, got '3'");
    }

    #[test]
    fn other_inits_command_lines_are_read_as_they_read_them() {
        let typed = |line: &[&str]| {
            parse(["drainit"].iter().chain(line).map(OsString::from).collect()).expect("a good command line")
        };
        assert_eq!(typed(&["-gvv", "x"]).verbose(), 2);
        let glued = typed(&["-wge143", "-vgp", "TERM", "-r15:3", "x"]);
        let value = |setting| {
            glued.placed(setting).into_iter().map(|(_, value)| value.to_string_lossy()).collect::<Vec<_>>()
        };
        assert!(glued.is_on(Setting::WARN_ON_REAP));
        assert_eq!((glued.short_target(), glued.verbose()), (Some("group"), 1));
        assert_eq!(value(Setting::REMAP_EXIT), ["143"]);
        assert_eq!(value(Setting::PARENT_DEATH_SIGNAL), ["TERM"]);
        assert_eq!(value(Setting::REWRITE), ["15:3"]);
        assert!(typed(&["--quiet", "x"]).quiet() && typed(&["--verbose", "x"]).verbose() == 1);
        assert!(typed(&["-gP"]).pause());
    }

    #[test]
    fn the_version_is_tini_s_under_the_names_of_others() {
        let version =
            |name: &str| parse([name, "--version"].map(OsString::from).to_vec()).expect_err("printed");
        let own = EarlyExit::Print(format!("drainit {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(version("/usr/bin/drainit"), own);
        for name in InvokedAs::TINI_LIKE {
            let EarlyExit::Print(text) = version(&format!("/usr/libexec/{name}")) else {
                panic!("{name}: refused")
            };
            assert_eq!(
                text.strip_prefix("tini version "),
                Some(concat!(env!("CARGO_PKG_VERSION"), "_drainit\n"))
            );
        }
    }

    #[test]
    fn a_copy_is_made_instead_of_running_a_command() {
        let copy = |line: &[&str]| parse(["drainit"].iter().chain(line).map(OsString::from).collect());
        for line in
            [&["--copy-to", "/x"][..], &["--copy-to=/x"], &["-v", "--copy-to", "/y", "--copy-to", "/x"]]
        {
            assert_eq!(copy(line).expect_err("no command"), EarlyExit::Copy("/x".into()), "{line:?}");
        }
        assert_eq!(refusal(&["--copy-to", "/x", "--", "ls"]), "--copy-to runs no command, got \"ls\"");
        assert_eq!(refusal(&["--copy-to"]), "--copy-to needs a value");
        assert_eq!(refusal(&["-P", "--copy-to", "/x"]), "--pause cannot be combined with --copy-to");
    }

    #[test]
    fn without_a_command_there_is_little_to_set() {
        assert_eq!(refusal(&["-P", "--grace-period", "5"]), "--pause cannot be combined with --grace-period");
        let both = refusal(&["-P", "-c", "--report", "-"]);
        assert_eq!(both, "--pause cannot be combined with --single-child or --report");
        assert_eq!(
            refusal(&["-P", "--termination-log"]),
            "--pause cannot be combined with --termination-log"
        );
    }

    #[test]
    fn a_later_target_replaces_an_earlier_one() {
        let target = |line: &[&str]| {
            let typed = parse(["drainit"].iter().chain(line).map(OsString::from).collect()).expect("good");
            let long = typed
                .placed(Setting::FORWARD_TO)
                .first()
                .map(|(_, value)| value.to_string_lossy().into_owned());
            (typed.short_target(), long)
        };
        assert_eq!(target(&["-c", "-g", "x"]), (Some("group"), None));
        assert_eq!(target(&["-g", "-c", "x"]), (Some("main"), None));
        assert_eq!(target(&["-g", "--forward-to", "all", "x"]).1.as_deref(), Some("all"));
        assert_eq!(target(&["--forward-to", "all", "-c", "x"]), (Some("main"), None));
    }
}
