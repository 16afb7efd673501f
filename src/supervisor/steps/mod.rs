//! The steps: starting them, ending them, logging how they ended.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::time::Duration;

use super::kernel::{Kernel, Linux};
use super::recorder::Recorder;
use super::stopper;
use super::{log_failure, own_variables};
use crate::outcome::Ended;
use crate::plan::processes::{Process, Table};
use crate::plan::{Step, StepEnd, StepId};
use crate::program::why_not_executed;
use crate::report::{Receiver, StepOutcome, format};
use crate::say::{debug, info, warn};
use crate::settings::Settings;
use crate::signal::{Signal, SignalSet};
use crate::sys::spawn::{self, DirectoryAs, Failure, Spawn, SpawnError, SpawnStage, StdinSource};
use crate::text::plain;
use crate::user::User;
use crate::workers::{http, idle};

/// Variables in the environment of a step's command.
const MAIN_PID: &str = "DRAINIT_MAIN_PID";
const RECEIVED_SIGNAL: &str = "DRAINIT_RECEIVED_SIGNAL";
const DEADLINE: &str = "DRAINIT_DEADLINE_MS";
/// All of them. A nested drainit has them in its environment too.
pub const VARIABLES: [&str; 3] = [MAIN_PID, RECEIVED_SIGNAL, DEADLINE];

/// A worker's exit code when it has logged why it failed.
const FAILED: u8 = 1;
/// The same, if nothing was seen to happen on any connection that was left.
const ONLY_KEPT_ALIVE: u8 = 2;

/// The steps of a run.
#[derive(Debug)]
pub(super) struct Steps<K = Linux> {
    kernel: K,
    /// Steps run in the command's directory, with its mask and its user.
    mask: SignalSet,
    directory: Option<OsString>,
    user: Option<User>,
    /// The last step that was a process.
    last: Option<StepProcess>,
}

#[derive(Debug)]
struct StepProcess {
    id: StepId,
    step: Step,
    /// Its pid, which is also its group's number.
    pid: i32,
    /// Reaped: the pid may belong to another process; the group's number may not while the group has members.
    is_gone: bool,
    /// drainit has ended it, so its end is not logged.
    is_ended: bool,
    /// Where the child says why it could not become the command.
    failure: Option<Failure>,
}

/// What a step's command learns from its environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) main: Option<i32>,
    pub(super) received: Option<Signal>,
    pub(super) time_left: Duration,
}

impl<K: Kernel> Steps<K> {
    /// drainit leaves the directory in which it was started; the steps go back to it.
    pub(super) fn new(kernel: K, settings: &Settings, mask: SignalSet) -> Self {
        let stop = &settings.stop;
        let directory = if stop.pre_stop.is_empty() && stop.post_exit.is_empty() {
            None
        } else {
            let here = std::env::current_dir().unwrap_or_default();
            Some(here.join(settings.directory.as_deref().unwrap_or_default()).into_os_string())
        };
        let directory = directory.filter(|path| !path.is_empty());
        Self { kernel, mask, directory, user: settings.user, last: None }
    }

    /// Returns whether the step has begun; if not, its end will not be reported.
    pub(super) fn start(
        &mut self,
        id: StepId,
        step: &Step,
        context: Context,
        recorder: &mut Recorder<K>,
    ) -> bool {
        info!("{} begins", name(id, step));
        recorder.begin_step(id, step);
        let started = match step {
            Step::Command(command) => {
                self.start_command(command, context).map(|(pid, failure)| (pid, Some(failure)))
            }
            Step::Http(_) | Step::Idle(_) => {
                self.start_worker(id, step, context.time_left).map(|pid| (pid, None))
            }
            Step::Sleep(_) => return true,
        };
        match started {
            Ok((pid, failure)) => {
                recorder.step_started(pid);
                let step = step.clone();
                self.last = Some(StepProcess { id, step, pid, is_gone: false, is_ended: false, failure });
                true
            }
            Err(error) => {
                warn!("{} cannot be started: {}", name(id, step), why(step, &error));
                recorder.end_step(id, StepOutcome::NotStarted);
                false
            }
        }
    }

    /// Uses a forked child: an exec may wait for a file system that does not answer, and drainit must not.
    fn start_command(&self, command: &[OsString], context: Context) -> Result<(i32, Failure), SpawnError> {
        let main = context.main.map(|main| main.to_string().into());
        let signal = context.received.map(|signal| signal.to_string().into());
        let milliseconds = u64::try_from(context.time_left.as_millis()).unwrap_or(u64::MAX);
        let deadline = Some(milliseconds.to_string().into());
        // The sockets that a manager passed on are the command's; drainit has closed them.
        let [pid, count, names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| (name, None));
        let mut variables = own_variables();
        variables.extend([
            (MAIN_PID, main),
            (RECEIVED_SIGNAL, signal),
            (DEADLINE, deadline),
            pid,
            count,
            names,
        ]);
        let spawn = Spawn {
            command,
            variables: &variables,
            stdin: StdinSource::Null,
            begins_in: None,
            mask: self.mask,
            directory: self.directory.as_deref(),
            directory_as: DirectoryAs::Init,
            user: self.user,
            parent_death_signal: None,
            terminal: None,
        };
        spawn.start_forked()
    }

    /// The child logs its own errors.
    fn start_worker(&self, id: StepId, step: &Step, time: Duration) -> Result<i32, SpawnError> {
        let work = || match step {
            Step::Http(request) => http::request(request).map_err(|why| (why, FAILED)),
            Step::Idle(port) => idle::wait(*port, time).map_err(|left| {
                let code = if left.only_kept_alive { ONLY_KEPT_ALIVE } else { FAILED };
                (left.why, code)
            }),
            Step::Command(_) | Step::Sleep(_) => Ok(()),
        };
        spawn::run_in_child(self.user, || match work() {
            Ok(()) => 0,
            Err((problem, code)) => {
                warn!("{}: {problem}", name(id, step));
                code
            }
        })
    }

    /// The last step's process has been reaped; returns which step it was.
    pub(super) fn reaped(&mut self, ended: Ended, recorder: &mut Recorder<K>) -> Option<StepId> {
        recorder.step_reaped();
        let process = self.last.as_mut()?;
        process.is_gone = true;
        let StepProcess { id, is_ended, ref step, .. } = *process;
        let name = name(id, step);
        if let Some(error) = process.failure.as_ref().and_then(Failure::get) {
            recorder.end_step(id, StepOutcome::NotStarted);
            warn!("{name} cannot be started: {}", why(step, &error));
            return Some(id);
        }
        let is_good = ended == Ended::Exited(0);
        recorder.end_step(id, if is_good { StepOutcome::Succeeded } else { StepOutcome::Failed(ended) });
        let is_worker = !matches!(step, Step::Command(_));
        if is_worker && ended == Ended::Exited(ONLY_KEPT_ALIVE) {
            recorder.only_kept_alive(id);
        }
        let said_itself = is_worker && matches!(ended, Ended::Exited(FAILED | ONLY_KEPT_ALIVE));
        if let (Step::Idle(port), true) = (step, is_good) {
            info!("{name}: port {port} is idle");
        } else if is_worker && is_good {
            info!("{name} is done");
        } else if said_itself {
            info!("{name} failed");
        } else if is_good || is_ended {
            info!("{name} {ended}");
        } else {
            warn!("{name} {ended}");
        }
        Some(id)
    }

    pub(super) fn end(&mut self, id: StepId, step: &Step, why: StepEnd, recorder: &mut Recorder<K>) {
        let name = name(id, step);
        let outcome = match why {
            StepEnd::Elapsed => {
                warn!("{name} timed out after {}", format::duration(recorder.step_took(id)));
                StepOutcome::TimedOut
            }
            StepEnd::NoTimeLeft => {
                warn!("{name} is left out: there is no time for it");
                // It never began, but the report has to show it.
                recorder.begin_step(id, step);
                return recorder.end_step(id, StepOutcome::NotStarted);
            }
            StepEnd::MainIsGone => {
                info!("{name} is dropped: the command has ended");
                StepOutcome::Dropped
            }
        };
        recorder.end_step(id, outcome);
        if let Some(process) = self.last.as_mut().filter(|process| process.id == id) {
            process.is_ended = true;
            recorder.sent(Signal::TERM, Receiver::Step(id));
            self.signal(&[Signal::TERM, Signal::CONT], recorder);
        }
    }

    pub(super) fn kill(&mut self, recorder: &mut Recorder<K>) {
        if let Some(id) = self.last.as_ref().filter(|_| self.has_members(recorder)).map(|process| process.id)
        {
            recorder.sent(Signal::KILL, Receiver::Step(id));
            recorder.step_killed(id);
        }
        self.signal(&[Signal::KILL], recorder);
    }

    /// Sends TERM to the processes that the steps after the end have left behind, whatever their group.
    pub(super) fn signal_leftovers(&self) {
        let table = self.kernel.table().unwrap_or_default();
        let reaches = |process: &&Process| {
            self.last.as_ref().is_none_or(|last| last.is_gone || process.group != last.pid)
        };
        for process in table.iter().filter(reaches) {
            info!("sending TERM to {}, which a step left behind", format::process(process.name, process.pid));
            stopper::send_and_continue(&self.kernel, process, Signal::TERM);
        }
    }

    /// The group of the step that runs, if it is a process.
    pub(super) fn running(&self) -> Option<i32> {
        self.last.as_ref().filter(|process| !process.is_gone).map(|process| process.pid)
    }

    /// Whether any process is left of the last step that was a process.
    fn has_members(&self, recorder: &Recorder<K>) -> bool {
        let Some(process) = &self.last else { return false };
        let is_left = |table: Table| table.iter().any(|one| recorder.is_of_step(one));
        !process.is_gone || self.kernel.table().is_some_and(is_left)
    }

    /// Signals the group as a whole while its number surely belongs to it; else its members one by one.
    fn signal(&self, signals: &[Signal], recorder: &Recorder<K>) {
        let Some(process) = &self.last else { return };
        if !process.is_gone {
            for &signal in signals {
                log_failure("cannot signal the step's group", self.kernel.send_to_step(process.pid, signal));
            }
            return;
        }
        let table = self.kernel.table().unwrap_or_default();
        for member in table.iter().filter(|member| recorder.is_of_step(member)) {
            debug!("left of a step: {}", format::process(member.name, member.pid));
            for &signal in signals {
                stopper::send_one(&self.kernel, member, signal);
            }
        }
    }
}

fn why(step: &Step, failure: &SpawnError) -> String {
    let what = match (failure.stage, step) {
        (SpawnStage::Exec, Step::Command(words)) => {
            return why_not_executed(words.first().map(OsString::as_os_str).unwrap_or_default(), failure);
        }
        (SpawnStage::Prepare | SpawnStage::Exec | SpawnStage::Parent, _) => "",
        (SpawnStage::Clone, _) => "cannot create a process: ",
        (SpawnStage::Groups | SpawnStage::GroupId | SpawnStage::UserId, _) => "cannot run as that user: ",
        (SpawnStage::Directory, _) => "cannot enter its directory: ",
    };
    format!("{what}{}", plain(&failure.error))
}

fn name(id: StepId, step: &Step) -> String {
    format!("{} {step}", format::when(id.when))
}

#[cfg(test)]
mod tests;
