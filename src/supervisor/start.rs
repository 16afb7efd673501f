//! What happens before the loop: drainit becomes an init, and starts the command.

use std::ffi::OsString;
use std::os::fd::AsFd;

use log::Level;

use super::held::Held;
use super::inbox::Inbox;
use super::job_control::Job;
use super::kernel::Linux;
use super::last_resort::Noted;
use super::publish::Output;
use super::recorder::Recorder;
use super::steps::Steps;
use super::stopper::Stopper;
use super::{Main, Supervisor, log_failure, own_variables};
use crate::error::StartError;
use crate::outcome::{Ended, ExitMap};
use crate::plan::{Event, Origin, Plan, StopPolicy};
use crate::say::{at, debug, warn};
use crate::settings::Settings;
use crate::signal::SignalSet;
use crate::sys::clock::Clock;
use crate::sys::process::Left;
use crate::sys::spawn::{DirectoryAs, Spawn, StdinSource};
use crate::sys::tty::{self, Terminal};
use crate::sys::{cgroup, descriptors, process};
use crate::text::plain;

impl Supervisor {
    /// Starts the command.
    ///
    /// # Errors
    /// Why nothing was started.
    pub fn start(mut settings: Settings, mask: SignalSet) -> Result<Box<Self>, StartError> {
        let clock = Clock::start();
        let kernel = Linux { clock };
        let pending = take_the_place_of_init(&settings);
        let reaped = ReapedLine::new(&settings);
        let output = Output::new(&settings)?;
        let inbox = Inbox::open(settings.stop.stop_signals)?;
        let steps = Steps::new(kernel, &settings, mask);
        // They live as long as the process.
        let policy: &'static StopPolicy = Box::leak(Box::new(std::mem::take(&mut settings.stop)));
        let exit_map: &'static ExitMap = Box::leak(Box::new(std::mem::take(&mut settings.exit_map)));
        let (job, pid) = start_command(&settings, mask)?;
        let (plan, main) = (Plan::new(policy), Main::Alive(pid));
        let propagate_signal = settings.propagate_signal;
        Noted {
            plan,
            clock,
            main,
            is_killing: false,
            events: [pending, None, None],
            exit_map,
            propagate_signal,
            step: None,
            goes_on: false,
            pid: process::id(),
        }
        .note();
        debug!(
            "started \"{}\" as {pid}",
            settings.command.first().map(OsString::as_os_str).unwrap_or_default().display()
        );
        let kept: Vec<_> = output.descriptors().into_iter().chain(inbox.queue().descriptor()).collect();
        descriptors::close_inherited(&kept);
        let command = name_of(&settings.command);
        Ok(Box::new(Self {
            stopper: Stopper::new(kernel, policy.ignored_after),
            recorder: Recorder::new(kernel, output, command, pid, policy.grace_period),
            plan,
            clock,
            inbox,
            held: Held::default(),
            main,
            job,
            steps,
            step_failed: false,
            pending,
            signal: None,
            reaped,
            oom_kills: cgroup::oom_kills(),
            has_warned_of_no_stop: false,
            exit_map,
            propagate_signal,
        }))
    }
}

/// Makes this process an init. Returns the parent death signal as an event if the parent had ended before it could be set.
pub(super) fn take_the_place_of_init(settings: &Settings) -> Option<Event> {
    let is_pid_one = process::is_pid_one();
    if !is_pid_one && let Err(error) = process::become_subreaper() {
        warn!("cannot adopt orphans: {}; what outlives its parent is not stopped", plain(&error));
    }
    let signal = settings.parent_death_signal?;
    let parent = process::parent();
    log_failure("cannot set the parent death signal", process::set_parent_death_signal(signal));
    let is_gone = !is_pid_one && process::parent() != parent;
    is_gone.then(|| {
        warn!("drainit's parent ended before {signal} could be set for that: as if {signal} had come");
        Event::Signal(signal, Origin::Process)
    })
}

/// How a reaped orphan is logged, in tini's words, which scripts look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReapedLine {
    level: Level,
    first_word: &'static str,
}

impl ReapedLine {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            level: if settings.warn_on_reap { Level::Warn } else { Level::Debug },
            first_word: if settings.is_tini { "Reaped" } else { "reaped" },
        }
    }

    pub(super) fn say(self, pid: i32, ended: Ended) {
        at!(self.level, "{} zombie process with pid={pid}, which {ended}", self.first_word);
    }
}

fn start_command(settings: &Settings, mask: SignalSet) -> Result<(Job, i32), StartError> {
    let (mut job, terminal) = Job::begin();
    // Before the command runs: a quick command could see the directory that drainit was in.
    let left = Left::leave();
    let variables = own_variables();
    let spawn = Spawn {
        command: &settings.command,
        variables: &variables,
        stdin: StdinSource::Inherited,
        mask,
        begins_in: left.as_ref().map(AsFd::as_fd),
        directory: settings.directory.as_deref(),
        directory_as: DirectoryAs::User,
        user: settings.user,
        parent_death_signal: settings.parent_death_signal,
        terminal: terminal.as_ref().map(AsFd::as_fd),
    };
    let modes = terminal.as_ref().and_then(Terminal::modes);
    let started = spawn.start();
    if let Some(terminal) = &terminal {
        match started {
            Ok(pid) => job.note_handed_over(pid, modes),
            // The command may have had the terminal before it failed.
            Err(_) => _ = terminal.give_to(tty::own_group()),
        }
    }
    match (&left, &started) {
        (Some(_), Ok(_)) => {}
        (Some(left), Err(_)) => left.go_back(),
        (None, _) => process::leave_directory(),
    }
    let started = started.map_err(|failure| StartError::Command {
        command: settings.command.first().cloned().unwrap_or_default(),
        user: settings.user,
        directory: settings.directory.clone(),
        failure,
    });
    if let Ok(pid) = started {
        job.watch_parent(pid, settings.parent_death_signal.is_some());
    }
    started.map(|pid| (job, pid))
}

/// A command's own name: no arguments, and no folder.
fn name_of(command: &[OsString]) -> String {
    let program = command.first().map(|program| program.as_encoded_bytes()).unwrap_or_default();
    let name = program.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
