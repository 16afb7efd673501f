//! What the command line and the environment mean: validated, defaults filled in. Pure.

#![forbid(unsafe_code)]

mod compat;
mod schedule;
mod step;
mod stop;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

pub use compat::VARIABLES as COMPAT_VARIABLES;

use crate::cli::{self, InvokedAs, Setting, Typed};
use crate::outcome::ExitMap;
use crate::plan::StopPolicy;
use crate::signal::Signal;
use crate::user::User;
use values::Values;
pub use values::{LogFormat, UsageError};

/// The grace period of a rehearsal, if none was set: a CI job must not hang.
const REHEARSAL_LIMIT: Duration = Duration::from_secs(30);

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The command and its arguments; empty only for a pause.
    pub command: Vec<OsString>,
    /// Whether no command is run (`--pause`).
    pub pause: bool,
    /// How signals are forwarded and how a stop goes.
    pub stop: StopPolicy,
    /// How the command's exit code is replaced.
    pub exit_map: ExitMap,
    /// The signal that drainit and the command get when their parent dies.
    pub parent_death_signal: Option<Signal>,
    /// Whether drainit dies of the signal that the command died of.
    pub propagate_signal: bool,
    /// Whether each reaped orphan is a warning.
    pub warn_on_reap: bool,
    /// Whether it replaces tini, whose words scripts look for.
    pub is_tini: bool,
    /// The user that the command runs as, if not drainit's own.
    pub user: Option<User>,
    /// The command's working directory, if not the one that drainit was started in.
    pub directory: Option<OsString>,
    /// Whether this is PID 1 of a machine, which is powered off at the end.
    pub power_off: bool,
    /// Where the report goes.
    pub report: Option<ReportTo>,
    /// Where the termination message goes.
    pub termination_log: Option<PathBuf>,
    /// When the stop of a rehearsal begins; `None` if this is no rehearsal.
    pub rehearse: Option<Duration>,
    /// The least severe lines that are written to stderr.
    pub log_level: LevelFilter,
    /// Their format.
    pub log_format: LogFormat,
}

/// Where the report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportTo {
    Stderr,
    File(OsString),
}

/// The names of drainit's own variables.
pub fn variables() -> impl Iterator<Item = &'static str> {
    Setting::ALL.iter().map(|setting| setting.variable())
}

impl Settings {
    /// Whether the stop is only rehearsed.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.rehearse.is_some()
    }

    fn with_command(self) -> Result<Self, UsageError> {
        match (self.pause, self.command.first()) {
            (false, None) => Err(UsageError::new("no command given (see drainit --help)".to_owned())),
            (true, Some(word)) => {
                Err(UsageError::new(format!("--pause runs no command, got \"{}\"", word.display())))
            }
            (false, Some(_)) | (true, None) => Ok(self),
        }
    }

    /// Combines what was typed with what `variable` finds in the environment; what was typed wins.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn new(typed: Typed, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, UsageError> {
        let values = Values::new(&typed, &variable);
        let mut settings = Self {
            command: Vec::new(),
            pause: typed.pause(),
            stop: stop::policy(&values, typed.name())?,
            exit_map: exit_map(&values)?,
            parent_death_signal: values.one(Setting::PARENT_DEATH_SIGNAL, values::signal)?,
            propagate_signal: values.switch(Setting::PROPAGATE_SIGNAL)?,
            warn_on_reap: values.switch(Setting::WARN_ON_REAP)?,
            is_tini: typed.name() == InvokedAs::TiniLike,
            user: values.one(Setting::USER, values::user)?,
            directory: values.raw(Setting::WORKDIR)?,
            power_off: values.switch(Setting::POWEROFF)?,
            report: values
                .raw(Setting::REPORT)?
                .map(|path| if path == "-" { ReportTo::Stderr } else { ReportTo::File(path) }),
            termination_log: termination_log(&values)?,
            rehearse: values.one(Setting::REHEARSE, values::duration)?,
            log_level: log_level(&typed, &values)?,
            log_format: values.one(Setting::LOG_FORMAT, values::log_format)?.unwrap_or_default(),
        };
        values.switch(Setting::SUBREAPER)?;
        let is_rehearsal = settings.is_rehearsal();
        let stop = &mut settings.stop;
        stop.stop_after = [stop.stop_after, settings.rehearse].into_iter().flatten().min();
        if is_rehearsal {
            stop.grace_period.get_or_insert(REHEARSAL_LIMIT);
        }
        stop.observes = is_rehearsal;
        settings.command = typed.into_command();
        settings.with_command()
    }
}

/// A path; in the environment also on or off, because the environment has no other way to set it without a path.
fn termination_log(values: &Values<'_>) -> Result<Option<PathBuf>, UsageError> {
    let found = values.raw(Setting::TERMINATION_LOG)?;
    Ok(found.and_then(|path| match path.to_str().map(values::on_or_off) {
        Some(Ok(true)) => Some(cli::TERMINATION_LOG.into()),
        Some(Ok(false)) => None,
        Some(Err(_)) | None => Some(path.into()),
    }))
}

fn exit_map(values: &Values<'_>) -> Result<ExitMap, UsageError> {
    let mut map = ExitMap::default();
    values.each(Setting::REMAP_EXIT, &mut |text| {
        let (code, to) = values::exit_rule(text)?;
        map.set(code, to);
        Ok(())
    })?;
    Ok(map)
}

fn log_level(typed: &Typed, values: &Values<'_>) -> Result<LevelFilter, UsageError> {
    let typed_level = match (typed.quiet(), typed.verbose()) {
        (true, _) => Some(LevelFilter::Error),
        (false, 0) => None,
        (false, 1) => Some(LevelFilter::Info),
        (false, 2) => Some(LevelFilter::Debug),
        (false, _) => Some(LevelFilter::Trace),
    };
    match typed_level {
        Some(level) => Ok(level),
        None => {
            let own = values.variable(Setting::LOG, values::log_level)?;
            Ok(own.or_else(|| compat::log_level(values)).unwrap_or(LevelFilter::Warn))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::plan::Step;

    fn settings(line: &[&str], environment: &[(&str, &str)]) -> Result<Settings, String> {
        let line = ["drainit"].iter().chain(line).map(OsString::from).collect();
        let typed = cli::parse(line).expect("clap takes it");
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Settings::new(typed, find).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_wins_over_its_twin() {
        let environment = [("DRAINIT_USER", "1"), ("DRAINIT_LOG", "trace"), ("DRAINIT_REMAP_EXIT", "7:8, 9")];
        let from_environment = settings(&["x"], &environment).expect("good");
        assert_eq!(from_environment.user, Some(User { uid: 1, gid: 0 }));
        assert_eq!(from_environment.log_level, LevelFilter::Trace);
        assert_eq!([7, 9].map(|code| from_environment.exit_map.apply(code)), [8, 0]);
        let typed = settings(&["-u", "2:3", "-q", "-e", "1", "x"], &environment).expect("good");
        assert_eq!(typed.user, Some(User { uid: 2, gid: 3 }));
        assert_eq!(typed.log_level, LevelFilter::Error);
        assert_eq!([1, 7].map(|code| typed.exit_map.apply(code)), [0, 7]);
    }

    #[test]
    fn steps_come_in_the_order_in_which_they_were_typed_and_those_of_the_environment_before() {
        let environment = [
            ("DRAINIT_PRE_STOP", "first, with a comma\n\nsecond\n"),
            ("DRAINIT_PRE_STOP_IDLE", "80, 81"),
            ("DRAINIT_PRE_STOP_SLEEP", "1s"),
            ("DRAINIT_POST_EXIT_HTTP", "http://127.0.0.1:1/?a=1,2"),
        ];
        let steps = |line: &[&str]| {
            let policy = settings(line, &environment).expect("good").stop;
            let shown = |steps: &[Step]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
            (shown(&policy.pre_stop), shown(&policy.post_exit))
        };
        let (pre_stop, post_exit) = steps(&["x"]);
        assert_eq!(pre_stop, ["sleep", "command first,", "command second", "idle 80", "idle 81"]);
        assert_eq!(post_exit, ["http 127.0.0.1:1"]);
        let line =
            ["--pre-stop-idle", "8080", "--pre-stop=a b", "--pre-stop-idle=8081", "--pre-stop", "c", "x"];
        assert_eq!(steps(&line).0, ["sleep", "idle 8080", "command a", "idle 8081", "command c"]);
        assert_eq!(steps(&line).1, post_exit);
    }

    #[test]
    fn what_is_written_at_the_end_is_off_by_default() {
        let path = |line: &[&str], environment: &[(&str, &str)]| {
            settings(line, environment).expect("good").termination_log.map(PathBuf::into_os_string)
        };
        assert_eq!(path(&["x"], &[]), None);
        assert_eq!(path(&["--termination-log", "x"], &[]), Some(cli::TERMINATION_LOG.into()));
        assert_eq!(path(&["--termination-log=y", "x"], &[]), Some("y".into()));
        assert_eq!(path(&["x"], &[("DRAINIT_TERMINATION_LOG", "1")]), Some(cli::TERMINATION_LOG.into()));
        assert_eq!(path(&["x"], &[("DRAINIT_TERMINATION_LOG", "no")]), None);
        assert_eq!(path(&["x"], &[("DRAINIT_TERMINATION_LOG", "/z")]), Some("/z".into()));
        let rehearsed = settings(&["--rehearse", "3", "--stop-after", "5", "x"], &[]).expect("good");
        assert_eq!(rehearsed.stop.grace_period, Some(Duration::from_secs(30)), "it has a limit");
        assert!(rehearsed.is_rehearsal());
        assert_eq!(rehearsed.stop.stop_after, Some(Duration::from_secs(3)));
        assert_eq!(settings(&["--report", "-", "x"], &[]).expect("good").report, Some(ReportTo::Stderr));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_option_or_variable() {
        for (line, environment, start) in [
            (&["-u", "root", "x"][..], &[][..], "invalid value 'root' for --user: "),
            (&["-u", "1:", "x"], &[], "invalid value '1:' for --user: "),
            (&["-u", "-1", "x"], &[], "invalid value '-1' for --user: "),
            (&["-u", "4294967295", "x"], &[], "invalid value '4294967295' for --user: "),
            (&["-e", "256", "x"], &[], "invalid value '256' for --remap-exit: "),
            (&["-e", "1:2:3", "x"], &[], "invalid value '1:2:3' for --remap-exit: "),
            (&["-p", "NOPE", "x"], &[], "invalid value 'NOPE' for --parent-death-signal: "),
            (&["--pre-stop", "sh -c 'x", "x"], &[], "invalid value 'sh -c 'x' for --pre-stop: "),
            (&["--pre-stop-http", "https://127.0.0.1", "x"], &[], "invalid value 'https://127.0.0.1' for "),
            (&["--stop-schedule", "TERM", "x"], &[], "invalid value 'TERM' for --stop-schedule: "),
            (&["--ignored-after", "soon", "x"], &[], "invalid value 'soon' for --ignored-after: "),
            (&["x"], &[("DRAINIT_PRE_STOP", "a\n'b")], "invalid value ''b' in DRAINIT_PRE_STOP: "),
            (
                &["x"],
                &[("DRAINIT_POST_EXIT_SLEEP", "1s,x")],
                "invalid value 'x' in DRAINIT_POST_EXIT_SLEEP: ",
            ),
            (&["--log-format", "xml", "x"], &[], "invalid value 'xml' for --log-format: "),
            (&["--workdir", "", "x"], &[], "invalid value '' for --workdir: "),
            (&["x"], &[("DRAINIT_LOG", "loud")], "invalid value 'loud' in DRAINIT_LOG: "),
            (&["x"], &[("DRAINIT_SUBREAPER", "perhaps")], "invalid value 'perhaps' in DRAINIT_SUBREAPER: "),
            (&["x"], &[("DRAINIT_REMAP_EXIT", "1,x")], "invalid value 'x' in DRAINIT_REMAP_EXIT: "),
            (&[], &[], "no command given"),
        ] {
            let error = settings(line, environment).expect_err("refused");
            assert!(error.starts_with(start), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
