//! The loop: wait, observe, ask the plan, perform. The only place where pids and the plan's roles meet.
//!
//! Once the command runs nothing here fails: what cannot be done is a line in the log, and the loop goes on.
//!
//! | room | duty |
//! |---|---|
//! | [`inbox`] | raw signals become events |
//! | [`held`] | notices that drainit was held: frozen, stopped, or suspended with the machine |
//! | [`stopper`] | sends signals, looks at the processes, kills |
//! | [`steps`] | starts and ends the steps |
//! | [`recorder`] | notes what happens, and says it |
//! | [`job_control`] | the terminal, and stops of the command |
//! | [`kernel`] | what the stopper and the recorder see of the processes |
//! | [`publish`] | report, termination message, rehearsal |
//! | [`last_resort`] | the plan alone, if there is no memory for the others |

#![forbid(unsafe_code)]

mod held;
mod inbox;
mod job_control;
mod kernel;
mod last_resort;
mod pause;
mod publish;
mod recorder;
#[cfg(test)]
mod simulation;
mod start;
mod steps;
mod stopper;

use std::ffi::{CStr, OsString};
use std::io;
use std::time::Duration;

use log::Level;

use crate::outcome::{Ended, ExitMap};
use crate::plan::{Action, Event, ExitReason, Origin, Plan, StepId, earliest};
use crate::processes;
use crate::report::format;
use crate::say::{debug, info, is_logged, trace, warn};
use crate::settings;
use crate::signal::{Signal, SignalSet};
use crate::sys::clock::Clock;
use crate::sys::wait::{self, Reaped};
use crate::sys::{cgroup, process, signals};
use crate::text::plain;
use held::{Finding, Held};
use inbox::Inbox;
use job_control::Job;
pub use last_resort::{go_on as go_on_without_memory, is_there as goes_on_without_memory};
pub use pause::pause;
use recorder::Recorder;
use start::ReapedLine;
pub use steps::VARIABLES as VARIABLES_OF_STEPS;
use steps::{Context, Steps};
use stopper::{Stopper, left_behind};

/// After this many dead children signals have their turn, however fast others die.
const REAP_AT_ONCE: usize = 4096;
/// The same when the command has ended: what ended with it is reaped first, because a look reads a file of each process that is still
/// there, dead or not.
const REAP_WITH_MAIN: usize = 1 << 15;
/// Signals that stop some images: TERM, QUIT, INT, WINCH (httpd), PWR (LXC), RTMIN+3 (systemd).
const STOP_LIKE: SignalSet = SignalSet::from_bits(0)
    .with(Signal::TERM)
    .with(Signal::QUIT)
    .with(Signal::INT)
    .with(Signal::WINCH)
    .with(Signal::PWR)
    .with(Signal::RTMIN_3);
/// How many processes a line of the log names.
const NAMED: usize = 8;

/// A running command and what is known of it.
#[derive(Debug)]
pub struct Supervisor {
    plan: Plan<'static>,
    clock: Clock,
    inbox: Inbox,
    held: Held,
    main: Main,
    job: Job,
    stopper: Stopper,
    steps: Steps,
    recorder: Recorder,
    /// A step could not be started. No child will end then, so the loop has to check for itself whether any is left.
    step_failed: bool,
    /// What happened before the loop began.
    pending: Option<Event>,
    /// The signal that was received and that the plan has not been told of.
    signal: Option<Event>,
    /// How an orphan's end is logged.
    reaped: ReapedLine,
    /// How often drainit's own control group had run out of memory at the start.
    oom_kills: Option<u64>,
    has_warned_of_no_stop: bool,
    exit_map: &'static ExitMap,
    propagate_signal: bool,
}

/// The command that was started.
#[derive(Clone, Copy, Debug)]
enum Main {
    /// Its pid, which is also the number of the group that it was started in.
    Alive(i32),
    /// Reaped: its pid may belong to another process.
    Gone(Ended),
}

/// What a turn of reaping found.
#[derive(Default)]
struct Reaping {
    main_ended: bool,
    step_ended: Option<StepId>,
    child_ended: bool,
    none_left: bool,
    /// The command, or a process that it has left behind, was stopped.
    stopped: Option<(i32, Signal)>,
    /// An adopted process was stopped because it wants the terminal, and the command lives.
    orphan_wants_terminal: bool,
    more: bool,
}

/// What follows from an action.
enum Consequence {
    Nothing,
    /// The plan is told of this event at once.
    Report(Event),
    Leave(u8),
}

impl Supervisor {
    /// Runs until no process is left, and returns the exit code.
    #[must_use]
    pub fn run(&mut self) -> u8 {
        let mut received = None;
        loop {
            self.signal = received.and_then(|received| self.inbox.to_event(received));
            self.note(None);
            received.into_iter().for_each(|received| self.inbox.say(received));
            let reaping = self.reap();
            // A signal that arrived before an end was noticed was meant for the process that ended. So the end comes first, then the
            // signal, last the clock.
            let signal = self.signal.filter(|event| !self.is_job_control(*event));
            let [first, second] = reaping.events(self.plan.is_waiting());
            for event in [first, second, self.pending.take(), signal].into_iter().flatten() {
                if let Some(code) = self.handle(event) {
                    return code;
                }
            }
            if let Some(code) = self.tick() {
                return code;
            }
            // A CONT in this turn has ended the stop that was seen before it.
            let is_continued = received.is_some_and(|received| received.signal == Signal::CONT);
            // If the command has waited for its stopped child (WUNTRACED) and then ended, the kernel does not tell drainit again that the child is
            // stopped.
            let looks = reaping.orphan_wants_terminal || reaping.main_ended;
            self.update_job(reaping.stopped.filter(|_| !is_continued), signal, looks);
            let at_once = reaping.more || std::mem::take(&mut self.step_failed);
            let timeout = if at_once { Some(Duration::ZERO) } else { self.timeout() };
            self.held.waits(timeout.unwrap_or_default());
            received = self.inbox.take(timeout);
        }
    }

    /// Tells the plan the time. Without a deadline nothing can be due, so the clock is not read.
    fn tick(&mut self) -> Option<u8> {
        self.plan.deadline()?;
        // The check and the plan are told the same time: if drainit is held after that, the next turn's check shows it.
        let now = self.clock.now();
        if !self.plan.may_kill() {
            self.held.rest();
            return self.handle_at(now, Event::Tick);
        }
        match self.held.check(now) {
            Finding::Nothing => None,
            Finding::Starved => {
                process::hurry();
                None
            }
            Finding::Held => self.handle_at(now, Event::Held),
        }
        .or_else(|| self.handle_at(now, Event::Tick))
    }

    /// How long to wait; for ever if nothing is due.
    fn timeout(&self) -> Option<Duration> {
        let deadline = earliest(self.plan.deadline(), self.job.deadline());
        deadline.map(|deadline| deadline.saturating_sub(self.clock.now()))
    }

    fn reap(&mut self) -> Reaping {
        let mut reaping = Reaping::default();
        let mut limit = REAP_AT_ONCE;
        while limit > 0 {
            limit -= 1;
            match wait::reap(self.job.wants_stops()) {
                Reaped::Child { pid, ended } if self.main.is(pid) => {
                    self.main_ended(pid, ended);
                    reaping.main_ended = true;
                    limit = REAP_WITH_MAIN;
                    reaping.stopped = None;
                }
                Reaped::Child { pid, ended } if self.recorder.is_step(pid) => {
                    reaping.step_ended = self.steps.reaped(ended, &mut self.recorder);
                }
                Reaped::Child { pid, ended } => {
                    self.job.continued(pid);
                    self.recorder.reaped(pid, ended);
                    reaping.child_ended = true;
                    if ended == Ended::Killed(Signal::KILL) && !self.stopper.is_killing() {
                        info!("process {pid} {}", format::FOREIGN_KILL);
                        self.recorder.note_foreign_kill();
                    }
                    self.reaped.say(pid, ended);
                }
                Reaped::Stopped { pid, by } if self.is_of_job(pid) => reaping.stopped = Some((pid, by)),
                Reaped::Stopped { pid, by } => {
                    let wants_terminal = matches!(by, Signal::TTIN | Signal::TTOU);
                    reaping.orphan_wants_terminal |= wants_terminal && !self.recorder.is_step(pid);
                }
                Reaped::Continued { pid } => {
                    self.job.continued(pid);
                    reaping.stopped = reaping.stopped.filter(|(stopped, _)| *stopped != pid);
                }
                Reaped::AllAlive => return reaping,
                Reaped::NoChildren => return Reaping { none_left: true, ..reaping },
            }
        }
        Reaping { more: true, ..reaping }
    }

    fn main_ended(&mut self, pid: i32, ended: Ended) {
        self.main = Main::Gone(ended);
        self.note(None);
        match ended {
            Ended::Killed(Signal::KILL) if !self.stopper.is_killing() => self.warn_of_a_foreign_kill(pid),
            Ended::Killed(signal) if self.stopper.has_forwarded(signal) => {
                warn!("the command ({pid}) died of {signal}, which was forwarded to it");
            }
            Ended::Killed(_) | Ended::Exited(_) => info!("the command ({pid}) {ended}"),
        }
        self.recorder.main_ended(pid, ended);
        self.job.command_ended(pid, ended, self.stopper.signal().is_some());
    }

    /// Main died of a KILL that drainit did not send: it came from outside of the container, from another process, or from the kernel.
    fn warn_of_a_foreign_kill(&mut self, pid: i32) {
        let is_out_of_memory =
            cgroup::oom_kills().zip(self.oom_kills).is_some_and(|(now, before)| before < now);
        let why = if is_out_of_memory { format::OUT_OF_MEMORY } else { "" };
        warn!("the command ({pid}) {}{why}", format::FOREIGN_KILL);
        self.recorder.note_out_of_memory(is_out_of_memory);
    }

    /// A signal that stops other images came from outside, and began no stop. Logged once.
    fn warn_of_no_stop(&mut self, signal: Signal) {
        let is_from_outside =
            self.inbox.last().is_some_and(|last| last.signal == signal && last.sender == 0 && last.code <= 0);
        if STOP_LIKE.contains(signal)
            && is_from_outside
            && self.plan.is_prepared_for_a_stop()
            && !self.has_warned_of_no_stop
        {
            self.has_warned_of_no_stop = true;
            warn!(
                "{signal} came from outside and began no stop: if it should begin one, name it with --stop-signal"
            );
            self.recorder.no_stop_began(signal);
        }
    }

    /// Whether a stop of this child is a stop of the job: it is the command or, when that has ended, any process that it left behind.
    fn is_of_job(&self, pid: i32) -> bool {
        self.main.is(pid) || (self.main.pid().is_none() && !self.recorder.is_step(pid))
    }

    /// Whether the event was for drainit as a shell's job, and is dealt with.
    fn is_job_control(&mut self, event: Event) -> bool {
        if event != Event::Signal(Signal::CONT, Origin::Process) {
            return false;
        }
        // What is continued now may stop again at once.
        self.job.look(self.main.pid());
        self.job.resumed(self.main.pid())
    }

    /// Handles a new stop of the job, or a stop signal that came when the job was stopped already. If `looks` is set, also looks for stopped
    /// processes that drainit was not told of.
    fn update_job(&mut self, stopped: Option<(i32, Signal)>, event: Option<Event>, mut looks: bool) {
        if !self.job.wants_stops() {
            return;
        }
        // After a stop request the command may send TERM to a child that is stopped, and wait for it: that child must be continued.
        if self.job.has_new_parent() || (event.is_some() && self.plan.stop_signal().is_some()) {
            self.job.begin_looks(self.clock.now());
        }
        if !self.stopper.is_killing() {
            let queue = self.inbox.queue();
            match (stopped, event) {
                (Some((pid, by)), event) => {
                    self.job.stopped(self.clock.now(), pid, by, queue);
                    // Ctrl-C, which came in the same turn and was forwarded before the stop was known, ends what Ctrl-Z has stopped.
                    if let Some(Event::Signal(signal, _)) = event {
                        let group = self.job.forwarded(signal, self.inbox.last());
                        group.into_iter().for_each(|group| self.job.continue_group(group));
                    }
                }
                (None, Some(Event::Signal(signal, Origin::Process))) => self.job.stop_signal(signal, queue),
                (None, _) => {}
            }
        }
        if self.job.deadline().is_some() {
            let now = self.clock.now();
            self.job.continue_stragglers(now, self.main.pid());
            looks |= self.job.tick_looks(now);
        }
        if looks && !self.stopper.is_killing() {
            self.job.look(self.main.pid());
        }
    }

    fn handle(&mut self, event: Event) -> Option<u8> {
        self.handle_at(self.clock.now(), event)
    }

    fn handle_at(&mut self, mut now: Duration, event: Event) -> Option<u8> {
        self.signal = self.signal.filter(|signal| *signal != event);
        let mut next = Some(event);
        while let Some(event) = next.take() {
            self.note(Some(event));
            trace!("event: {event}");
            if event == Event::NoneLeft {
                self.recorder.none_left();
            } else if event == Event::MainEnded && is_logged(Level::Info) {
                self.recorder.say_left();
            }
            for action in self.plan.handle(now, event) {
                match self.perform(action) {
                    Consequence::Nothing => {}
                    Consequence::Report(event) => {
                        now = self.clock.now();
                        next = Some(event);
                    }
                    Consequence::Leave(code) => return Some(code),
                }
            }
        }
        self.note(None);
        self.recorder.write_ahead();
        None
    }

    /// Performs what the plan says.
    fn perform(&mut self, action: Action) -> Consequence {
        trace!("action: {action}");
        self.stopper.set_limit(self.plan.limit());
        let (main, recorder) = (self.main, &mut self.recorder);
        match action {
            Action::BeginStop { reason, signal } => {
                let _ = self.held.check(self.clock.now());
                recorder.begin_stop(reason, signal, self.inbox.last());
            }
            Action::Forward { signal, to } => {
                self.warn_of_no_stop(signal);
                let recorder = &mut self.recorder;
                let stopped = self.job.forwarded(signal, self.inbox.last());
                self.stopper.forward(signal, to, main, recorder);
                stopped.into_iter().for_each(|group| self.job.continue_group(group));
            }
            Action::Signal { signal, target, cause } => {
                self.stopper.begin_stage(signal, target, cause, main, recorder);
            }
            Action::SignalOthers => self.stopper.signal_others(main, recorder),
            Action::LastCall { until_kill } => self.stopper.last_call(until_kill, recorder),
            Action::Look { judges } => {
                let outlook = self.stopper.look(judges, main, recorder);
                // A look may need no more than main, and the ends of processes that others reap show only as processes that are missing.
                recorder.observe();
                return Consequence::Report(Event::Looked(outlook));
            }
            Action::SayWaiting { since } => recorder.say_waiting(since, self.stopper.signalled()),
            Action::Observe => recorder.observe(),
            Action::StartStep { step, time_left } => {
                let context = Context { main: main.pid(), received: self.plan.stop_signal(), time_left };
                let begun =
                    self.plan.step(step).is_some_and(|it| self.steps.start(step, it, context, recorder));
                if !begun {
                    self.step_failed = true;
                    return Consequence::Report(Event::StepEnded(step));
                }
            }
            Action::EndStep { step, why } => {
                if let Some(it) = self.plan.step(step) {
                    self.steps.end(step, it, why, recorder);
                }
            }
            Action::SignalLeftovers => self.steps.signal_leftovers(),
            Action::KillStep => self.steps.kill(recorder),
            Action::Kill(reason) => self.stopper.kill(reason, main, self.held.was_starved(), recorder),
            Action::Leave(reason) => {
                let code = self.exit_code(reason);
                self.job.take_back(main.ended());
                let code = self.recorder.close(reason, code);
                if self.propagate_signal {
                    die_as_the_command_did(self.main, code);
                }
                return Consequence::Leave(code);
            }
        }
        Consequence::Nothing
    }

    /// Main's own code, replaced by `--remap-exit`. A stop that needed KILL is no success, so main's own code stays then.
    fn exit_code(&self, reason: ExitReason) -> u8 {
        if reason == ExitReason::SomeCannotBeKilled
            && let Some(left) = left_behind(processes::look().as_deref())
        {
            warn!("{left}");
        }
        self.main.exit_code(self.stopper.is_killing(), self.exit_map)
    }
}

impl Reaping {
    /// "No child is left" comes before a step's end, because that end may start the next step, and with it a new child. Before the processes
    /// are signalled, an orphan's end changes nothing, and for such an event the clock need not be read.
    fn events(&self, is_waiting: bool) -> [Option<Event>; 2] {
        let ended = if self.none_left {
            Some(Event::NoneLeft)
        } else if self.main_ended {
            Some(Event::MainEnded)
        } else {
            (self.child_ended && is_waiting).then_some(Event::ChildEnded)
        };
        [ended, self.step_ended.map(Event::StepEnded)]
    }
}

impl Main {
    fn pid(self) -> Option<i32> {
        match self {
            Self::Alive(main) => Some(main),
            Self::Gone(_) => None,
        }
    }

    fn ended(self) -> Option<Ended> {
        match self {
            Self::Alive(_) => None,
            Self::Gone(ended) => Some(ended),
        }
    }

    /// Its exit code, replaced by `--remap-exit` unless KILL was sent; that of a death by KILL if it lives.
    fn exit_code(self, is_killing: bool, exit_map: &ExitMap) -> u8 {
        let ended = self.ended().unwrap_or(Ended::Killed(Signal::KILL));
        if is_killing { ended.code() } else { exit_map.apply(ended.code()) }
    }

    fn is(self, pid: i32) -> bool {
        matches!(self, Self::Alive(main) if main == pid)
    }
}

/// Dies of main's signal if the exit code is main's own and it died of a signal. Returns if there is nothing to propagate.
fn die_as_the_command_did(main: Main, code: u8) {
    if let Main::Gone(ended @ Ended::Killed(signal)) = main
        && ended.code() == code
    {
        signals::die_of(signal);
    }
}

/// drainit's own variables, each to be removed from an environment: a nested drainit would drain twice, and overwrite the report.
fn own_variables() -> Vec<(&'static str, Option<OsString>)> {
    // The environment is gone through once: Kubernetes may put hundreds of variables into it.
    let own = |entry: &CStr| {
        let name = entry.to_bytes().split(|&byte| byte == b'=').next()?;
        settings::variables().find(|own| own.as_bytes() == name)
    };
    process::environment().filter_map(own).map(|name| (name, None)).collect()
}

fn log_failure(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        debug!("{what}: {}", plain(&error));
    }
}
