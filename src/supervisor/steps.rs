//! The steps: starting them, ending them, saying what became of them.

use std::ffi::OsString;
use std::time::Duration;

use log::{debug, info, warn};

use super::ask::send;
use super::{Supervisor, note};
use crate::hooks::{http, idle};
use crate::outcome::Ended;
use crate::plan::Step;
use crate::plan::{StepEnd, StepId, When};
use crate::report::{self, Receiver, StepOutcome};
use crate::settings::Settings;
use crate::signal::{Signal, SignalSet};
use crate::survivors;
use crate::sys::kill;
use crate::sys::spawn::{self, DirectoryAs, Failure, Ids, Spawn, SpawnError, SpawnStage, Stdin};

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
#[derive(Debug)]
pub(super) struct Process {
    id: StepId,
    /// Its pid, which is its group's number too.
    pid: i32,
    /// Reaped: the number may be somebody else's, the group's is not while it has members.
    is_gone: bool,
    /// drainit has ended it, so that its end is no news.
    is_ended: bool,
    /// Where it says why it could not become the command.
    failure: Option<Failure>,
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
    pub(super) fn start_step(&mut self, id: StepId, time_left: Duration) -> bool {
        let Some(step) = self.plan.step(id) else { return false };
        info!("{} begins", name(id, step));
        let now = self.clock.now();
        let text = step.to_string();
        self.end_sleep(now);
        self.record.begin_step(now, id, text);
        let Some(step) = self.plan.step(id) else { return false };
        let started = match step {
            Step::Command(command) => {
                self.start_command_step(command, time_left).map(|(pid, failure)| (pid, Some(failure)))
            }
            Step::Http(_) | Step::Idle(_) => self.start_worker(id, step),
            Step::Sleep(_) => return true,
        };
        match started {
            Ok((pid, failure)) => {
                self.step = Some(Process { id, pid, is_gone: false, is_ended: false, failure });
                true
            }
            Err(error) => {
                warn!("{} cannot be started: {}", name(id, step), why(&error));
                self.note_step(id, StepOutcome::NotStarted);
                false
            }
        }
    }

    /// From a forked child: an exec may wait for a file system that does not answer, and this process must not.
    fn start_command_step(
        &self,
        command: &[OsString],
        time_left: Duration,
    ) -> Result<(i32, Failure), SpawnError> {
        let main = self.main.pid().map(|main| main.to_string().into());
        let signal = self.plan.stop_signal().map(|signal| signal.to_string().into());
        let milliseconds = u64::try_from(time_left.as_millis()).unwrap_or(u64::MAX);
        let deadline = Some(milliseconds.to_string().into());
        // The sockets that a manager passed are the command's, and closed here.
        let [pid, count, names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| (name, None));
        let variables = [(MAIN_PID, main), (STOP_SIGNAL, signal), (DEADLINE, deadline), pid, count, names];
        let spawn = Spawn {
            command,
            variables: &variables,
            stdin: Stdin::Null,
            mask: self.surroundings.mask,
            directory: self.surroundings.directory.as_deref(),
            directory_as: DirectoryAs::Init,
            ids: self.surroundings.ids,
            parent_death_signal: None,
            terminal: None,
        };
        spawn.start_forked()
    }

    /// What goes wrong in the child is said there.
    fn start_worker(&self, id: StepId, step: &Step) -> Result<(i32, Option<Failure>), SpawnError> {
        let work = || match step {
            Step::Http(request) => http::request(request),
            Step::Idle(port) => idle::wait(*port),
            Step::Command(_) | Step::Sleep(_) => Ok(()),
        };
        let pid = spawn::run_in_child(self.surroundings.ids, || match work() {
            Ok(()) => 0,
            Err(problem) => {
                warn!("{}: {problem}", name(id, step));
                1
            }
        })?;
        Ok((pid, None))
    }

    /// The last step's process has been reaped; returns which step it was.
    // Cold: see `perform`.
    #[cold]
    pub(super) fn end_of_step(&mut self, ended: Ended) -> Option<StepId> {
        let process = self.step.as_mut()?;
        process.is_gone = true;
        let Process { id, is_ended, .. } = *process;
        if let Some(error) = process.failure.as_ref().and_then(Failure::get) {
            self.note_step(id, StepOutcome::NotStarted);
            let step = self.plan.step(id)?;
            warn!("{} cannot be started: {}", name(id, step), why(&error));
            return Some(id);
        }
        let outcome =
            if ended == Ended::Exited(0) { StepOutcome::Succeeded } else { StepOutcome::Failed(ended) };
        self.note_step(id, outcome);
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
                StepEnd::NoTimeLeft => warn!("{} is left out: there is no time for it", name(id, step)),
                StepEnd::MainIsGone => info!("{} is dropped: the command has ended", name(id, step)),
            }
        }
        self.note_step(
            id,
            match why {
                StepEnd::TimeIsUp => StepOutcome::TimedOut,
                StepEnd::NoTimeLeft => return self.leave_out(id),
                StepEnd::MainIsGone => StepOutcome::Dropped,
            },
        );
        if let Some(process) = self.step.as_mut().filter(|process| process.id == id) {
            process.is_ended = true;
            self.roster.count_as_asked(process.pid);
            self.note_sent(Signal::TERM, Receiver::Step(id));
            self.signal_step(&[Signal::TERM, Signal::CONT]);
        }
    }

    /// It was never begun, but whoever reads the report is to see it.
    fn leave_out(&mut self, id: StepId) {
        let text = self.plan.step(id).map(ToString::to_string).unwrap_or_default();
        self.record.begin_step(self.clock.now(), id, text);
        self.note_step(id, StepOutcome::NotStarted);
    }

    pub(super) fn kill_step(&mut self) {
        if let Some(id) = self.step.as_ref().filter(|_| self.step_has_members()).map(|process| process.id) {
            self.note_sent(Signal::KILL, Receiver::Step(id));
            let at = self.clock.now();
            self.record.step_killed = Some(report::Event { at, what: id });
        }
        self.signal_step(&[Signal::KILL]);
    }

    /// Whether anybody is left of the last step that was a process.
    fn step_has_members(&self) -> bool {
        let Some(process) = &self.step else { return false };
        let is_left = |everyone: Vec<survivors::Process>| everyone.iter().any(|one| self.is_of_step(one));
        !process.is_gone || survivors::look().is_some_and(is_left)
    }

    /// Whether the process belongs to the last step.
    pub(super) fn is_step(&self, pid: i32) -> bool {
        self.step.as_ref().is_some_and(|process| process.pid == pid && !process.is_gone)
    }

    pub(super) fn is_of_step(&self, member: &survivors::Process) -> bool {
        self.step.as_ref().is_some_and(|process| process.pid == member.group)
    }

    /// The group as a whole while its number is surely its own; else those who are in it.
    fn signal_step(&self, signals: &[Signal]) {
        let Some(process) = &self.step else { return };
        if !process.is_gone {
            for &signal in signals {
                note("cannot signal the step's group", kill::send_to_group(process.pid, signal));
            }
            return;
        }
        let everyone = survivors::look().unwrap_or_default();
        for member in everyone.iter().filter(|member| self.is_of_step(member)) {
            debug!("left of a step: {} ({})", member.name, member.pid);
            send(member, signals);
        }
    }
}

fn why(SpawnError { stage, error }: &SpawnError) -> String {
    let what = match stage {
        SpawnStage::Prepare | SpawnStage::Exec | SpawnStage::Parent => "",
        SpawnStage::Clone => "no process can be made: ",
        SpawnStage::Groups | SpawnStage::GroupId | SpawnStage::UserId => "cannot run as that user: ",
        SpawnStage::Directory => "cannot enter its directory: ",
    };
    format!("{what}{error}")
}

fn name(id: StepId, step: &Step) -> String {
    let when = match id.when {
        When::PreStop => "pre-stop",
        When::PostExit => "post-exit",
    };
    format!("{when} {step}")
}
