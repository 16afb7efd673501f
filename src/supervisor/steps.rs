//! The steps: starting them, ending them, saying what became of them.

use std::ffi::OsString;

use log::{debug, info, warn};

use super::ask::send;
use super::{Main, Supervisor, note};
use crate::hooks::{http, idle};
use crate::outcome::Ended;
use crate::plan::{StepEnd, StepId, When};
use crate::settings::{Settings, Step};
use crate::signal::{Signal, SignalSet};
use crate::survivors;
use crate::sys::kill;
use crate::sys::spawn::{self, Ids, Spawn, SpawnError, Stage, Stdin};

const MAIN_PID: &str = "DRAINIT_MAIN_PID";
const STOP_SIGNAL: &str = "DRAINIT_STOP_SIGNAL";
const DEADLINE: &str = "DRAINIT_DEADLINE_MS";

/// Where steps run: where the command does.
#[derive(Debug)]
pub(super) struct Surroundings {
    mask: SignalSet,
    directory: Option<OsString>,
    ids: Option<Ids>,
}

/// The last step that was a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    id: StepId,
    /// Its pid, which is its group's number too.
    pid: i32,
    /// Reaped: the number may be somebody else's, the group's is not while it has members.
    is_gone: bool,
    /// drainit has ended it, so that its end is no news.
    is_ended: bool,
}

impl Surroundings {
    /// drainit leaves the directory in which it was started; the steps come back to it.
    pub(super) fn new(settings: &Settings, mask: SignalSet) -> Self {
        let stop = &settings.stop;
        let directory = if stop.pre_stop.is_empty() && stop.post_exit.is_empty() {
            None
        } else {
            let here = std::env::current_dir().unwrap_or_default();
            Some(here.join(settings.directory.as_deref().unwrap_or_default()).into_os_string())
        };
        Self { mask, directory: directory.filter(|path| !path.is_empty()), ids: super::ids(settings) }
    }
}

impl Supervisor {
    /// Returns whether a process has been started.
    pub(super) fn start_step(&mut self, id: StepId, milliseconds: u128) -> bool {
        let Some(step) = self.plan.step(id) else { return false };
        info!("{} begins", name(id, step));
        let started = match step {
            Step::Command(command) => self.start_command_step(command, milliseconds),
            Step::Http(request) => self.start_worker(id, step, || http::request(request)),
            Step::Idle(port) => self.start_worker(id, step, || idle::wait(*port)),
            Step::Sleep(_) => return false,
        };
        match started {
            Ok(pid) => {
                self.step = Some(Process { id, pid, is_gone: false, is_ended: false });
                true
            }
            Err(SpawnError { stage, error }) => {
                let what = if stage == Stage::Clone { "no process can be made: " } else { "" };
                warn!("{} cannot be started: {what}{error}", name(id, step));
                false
            }
        }
    }

    fn start_command_step(&self, command: &[OsString], milliseconds: u128) -> Result<i32, SpawnError> {
        let main = match self.main {
            Main::Alive(main) => Some(main.to_string().into()),
            Main::Gone(_) => None,
        };
        let signal = self.plan.stop_signal().map(|signal| signal.to_string().into());
        let variables =
            [(MAIN_PID, main), (STOP_SIGNAL, signal), (DEADLINE, Some(milliseconds.to_string().into()))];
        let spawn = Spawn {
            command,
            variables: &variables,
            stdin: Stdin::Null,
            mask: self.surroundings.mask,
            directory: self.surroundings.directory.as_deref(),
            ids: self.surroundings.ids,
            parent_death_signal: None,
            terminal: None,
        };
        spawn.start()
    }

    /// What goes wrong in the child is said there.
    fn start_worker(
        &self,
        id: StepId,
        step: &Step,
        work: impl FnOnce() -> Result<(), String>,
    ) -> Result<i32, SpawnError> {
        spawn::run_in_child(self.surroundings.ids, || match work() {
            Ok(()) => 0,
            Err(problem) => {
                warn!("{}: {problem}", name(id, step));
                1
            }
        })
    }

    /// A child has been reaped; returns the step that it was.
    pub(super) fn end_of_step(&mut self, pid: i32, ended: Ended) -> Option<StepId> {
        let process = self.step.as_mut().filter(|process| process.pid == pid && !process.is_gone)?;
        process.is_gone = true;
        let Process { id, is_ended, .. } = *process;
        let step = self.plan.step(id)?;
        let said_itself = ended == Ended::Exited(1) && !matches!(step, Step::Command(_));
        if ended == Ended::Exited(0) || is_ended || said_itself {
            info!("{} {ended}", name(id, step));
        } else {
            warn!("{} {ended}", name(id, step));
        }
        Some(id)
    }

    pub(super) fn end_step(&mut self, id: StepId, why: StepEnd) {
        if let Some(step) = self.plan.step(id) {
            match why {
                StepEnd::TimeIsUp => warn!("{} timed out", name(id, step)),
                StepEnd::MainIsGone => info!("{} is dropped: the command has ended", name(id, step)),
            }
        }
        if let Some(process) = self.step.as_mut().filter(|process| process.id == id) {
            process.is_ended = true;
            self.roster.count_as_asked(process.pid);
            self.signal_step(&[Signal::TERM, Signal::CONT]);
        }
    }

    pub(super) fn kill_step(&self) {
        self.signal_step(&[Signal::KILL]);
    }

    /// The group as a whole while its number is surely its own; else those who are in it.
    fn signal_step(&self, signals: &[Signal]) {
        let Some(process) = self.step else { return };
        if !process.is_gone {
            for &signal in signals {
                note("cannot signal the step's group", kill::send_to_group(process.pid, signal));
            }
            return;
        }
        let everyone = survivors::look().unwrap_or_default();
        let members = everyone.iter().filter(|member| member.group == process.pid);
        for member in members {
            debug!("left of a step: {} ({})", member.name, member.pid);
            send(member, signals);
        }
    }
}

fn name(id: StepId, step: &Step) -> String {
    let when = match id.when {
        When::PreStop => "pre-stop",
        When::PostExit => "post-exit",
    };
    format!("{when} {step}")
}
