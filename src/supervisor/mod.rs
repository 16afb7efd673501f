//! The loop: wait, observe, ask the plan, perform. The only place where pids and the plan's roles meet.
//!
//! Once the command runs nothing here fails: what cannot be done is a line in the log, and the loop goes on.

#![forbid(unsafe_code)]

mod ask;
mod end;
mod jobs;
mod notes;
mod output;
mod pause;
mod steps;
mod waiting;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use log::{Level, debug, info, log, trace, warn};

use crate::error::StartError;
use crate::outcome::{Ended, ExitMap};
use crate::plan::{Action, Event, Farewell, Plan, StepId};
use crate::report::Record;
use crate::settings::Settings;
use crate::signal::{Signal, SignalSet};
use crate::survivors::{self, Process, Roster, Watch};
use crate::sys::clock::Clock;
use crate::sys::signal_queue::SignalQueue;
use crate::sys::signals::{self, Received};
use crate::sys::spawn::{DirectoryAs, Ids, Spawn, Stdin};
use crate::sys::tty::{self, Terminal};
use crate::sys::wait::{self, Reaped};
use crate::sys::{descriptors, process};
use jobs::Jobs;
use output::Output;
pub use pause::pause;
use steps::Surroundings;
use waiting::open_signals;

/// After so many dead children a look at the signals is due, however fast others die.
const REAP_AT_ONCE: usize = 4096;
/// So many when the command has ended: who has ended with it is reaped first, because a look at who is left reads a file of each that
/// is still there, dead or not.
const REAP_WITH_MAIN: usize = 1 << 15;
/// Looks for somebody new, at most: whoever starts processes faster than that is left to the next step of the stop.
const LOOKS: usize = 64;
/// How many processes a line of the log names.
const NAMED: usize = 8;

/// A running command and what is known of it.
#[derive(Debug)]
pub struct Supervisor {
    plan: Plan,
    clock: Clock,
    signals: SignalQueue,
    own_pid: i32,
    main: Main,
    exit_map: ExitMap,
    propagate_signal: bool,
    surroundings: Surroundings,
    jobs: Jobs,
    /// The last step that was a process.
    step: Option<steps::Process>,
    /// A step could not be started: no child's end will tell that nobody is left.
    step_failed: bool,
    /// It has waited before.
    has_settled: bool,
    roster: Roster,
    watch: Watch,
    killing: bool,
    /// How loudly an orphan's end is said.
    reaped_level: Level,
    /// The last signal that somebody sent to drainit.
    last_received: Option<Received>,
    /// What the processes were last asked with.
    asked_with: Option<Signal>,
    /// When to say again who is waited for.
    next_word: Option<Duration>,
    /// When to look again who has gone.
    next_watch: Option<Duration>,
    record: Record,
    output: Output,
}

/// The command that was started.
#[derive(Clone, Copy, Debug)]
enum Main {
    /// Its pid, which is its group's number too.
    Alive(i32),
    /// Reaped: its number may be somebody else's.
    Gone(Ended),
}

/// What a turn of reaping found.
#[derive(Default)]
struct Reaping {
    main_ended: bool,
    step_ended: Option<StepId>,
    nobody_left: bool,
    /// The command, or somebody whom it has left behind, was stopped.
    stopped: Option<(i32, Signal)>,
    more: bool,
}

/// What comes of an action.
enum Consequence {
    Nothing,
    /// The plan has to hear of it at once.
    Report(Event),
    Leave(u8),
}

impl Supervisor {
    /// Starts the command.
    ///
    /// # Errors
    /// Nothing was started, and why.
    // Its frame is not to stay below the loop's.
    #[inline(never)]
    pub fn start(settings: Settings, mask: SignalSet) -> Result<Box<Self>, StartError> {
        // Not the stack, of which nearly nothing is in use while the container runs; and below what only the start needs.
        let place = Box::new_uninit();
        let clock = Clock::start();
        let own_pid = process::id();
        take_the_place_of_init(&settings, own_pid);
        let reaped_level = reaped_level(&settings);
        let output = Output::new(&settings)?;
        let signals = open_signals(settings.stop.stop_signals)?;
        let (jobs, pid) = start_command(&settings, mask)?;
        let surroundings = Surroundings::new(&settings, mask);
        debug!("started {:?} as {pid}", settings.command.first().unwrap_or(&OsString::new()));
        process::leave_directory();
        let kept: Vec<_> = output.descriptor().into_iter().chain(signals.descriptor()).collect();
        descriptors::close_inherited(&kept);
        let mut record = Record { command: name_of(&settings.command), ..Record::default() };
        if output.is_wanted() {
            record.make_room();
        }
        Ok(Box::write(
            place,
            Self {
                plan: Plan::new(settings.stop),
                clock,
                signals,
                own_pid,
                main: Main::Alive(pid),
                exit_map: settings.exit_map,
                propagate_signal: settings.propagate_signal,
                surroundings,
                jobs,
                step: None,
                step_failed: false,
                has_settled: false,
                roster: Roster::default(),
                watch: Watch::default(),
                killing: false,
                reaped_level,
                last_received: None,
                asked_with: None,
                next_word: None,
                next_watch: None,
                record,
                output,
            },
        ))
    }

    /// Runs until everybody has left, and returns the exit code.
    #[must_use]
    #[inline(never)]
    pub fn run(&mut self) -> u8 {
        let mut received = None;
        loop {
            let reaping = self.reap();
            // A signal that came before a child's end was seen is still for that child: the end first, then the signal, last the clock.
            self.last_received = received.or(self.last_received);
            let signal = received.and_then(|received| meaning(received, self.own_pid));
            let signal = signal.filter(|event| !self.is_job_control(*event));
            let [first, second] = reaping.events();
            for event in [first, second, signal] {
                if let Some(event) = event
                    && let Some(code) = self.handle(event)
                {
                    return code;
                }
            }
            // Without a deadline no time has come, and the clock need not be read.
            if self.plan.deadline().is_some()
                && let Some(code) = self.handle(Event::Tick)
            {
                return code;
            }
            // A CONT of this turn has ended the stop that was seen before it.
            let goes_on = received.is_some_and(|received| received.signal == Signal::CONT);
            self.mind_stops(reaping.stopped.filter(|_| !goes_on), signal);
            if self.jobs.deadline().is_some() {
                self.mind_the_slow();
            }
            if self.plan.is_waiting() {
                self.note_waiting();
            }
            let at_once = reaping.more || std::mem::take(&mut self.step_failed);
            received = if at_once { self.look_for_signal() } else { self.wait() };
        }
    }

    fn reap(&mut self) -> Reaping {
        let mut reaping = Reaping::default();
        let mut limit = REAP_AT_ONCE;
        while limit > 0 {
            limit -= 1;
            match wait::reap(self.jobs.wants_stops()) {
                Reaped::Child { pid, ended } if self.main.is(pid) => {
                    self.end_of_main(pid, ended);
                    reaping.main_ended = true;
                    limit = REAP_WITH_MAIN;
                    reaping.stopped = None;
                }
                Reaped::Child { pid, ended } if self.is_step(pid) => {
                    reaping.step_ended = self.end_of_step(ended);
                }
                Reaped::Child { pid, ended } => {
                    self.jobs.note_continued(pid);
                    self.note_reaped(pid, ended);
                    say_reaped(self.reaped_level, pid, ended);
                }
                Reaped::Stopped { pid, by } if self.is_of_job(pid) => {
                    self.jobs.note_stopped(pid);
                    reaping.stopped = Some((pid, by));
                }
                Reaped::Stopped { .. } => {}
                Reaped::Continued { pid } => {
                    self.jobs.note_continued(pid);
                    reaping.stopped = reaping.stopped.filter(|(stopped, _)| *stopped != pid);
                }
                Reaped::AllAlive => return reaping,
                Reaped::NoChildren => return Reaping { nobody_left: true, ..reaping },
            }
        }
        Reaping { more: true, ..reaping }
    }

    // Cold: see `perform`.
    #[cold]
    fn end_of_main(&mut self, pid: i32, ended: Ended) {
        info!("the command ({pid}) {ended}");
        self.main = Main::Gone(ended);
        self.note_main_end(pid, ended);
        self.jobs.command_ended(pid, ended, self.asked_with);
    }

    /// Whether the event was meant for drainit as a shell's job, and has been seen to.
    fn is_job_control(&mut self, event: Event) -> bool {
        event == Event::Signal(Signal::CONT) && self.continued()
    }

    fn handle(&mut self, event: Event) -> Option<u8> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            trace!("{event:?}");
            if event == Event::NobodyLeft {
                self.note_end();
            }
            let actions = self.plan.handle(self.clock.now(), event);
            self.note_stop(event);
            for action in actions {
                if let (Event::Looked(_), Action::Ask { signal, .. }) = (event, action) {
                    self.note_passed_over(signal);
                }
                match self.perform(action) {
                    Consequence::Nothing => {}
                    Consequence::Report(event) => next = Some(event),
                    Consequence::Leave(code) => return Some(code),
                }
            }
        }
        None
    }

    /// Does what the plan says.
    // Cold, so that the pages of the start hold the start; and its frame, which is large, is not part of the loop's.
    #[cold]
    #[inline(never)]
    fn perform(&mut self, action: Action) -> Consequence {
        debug!("{action:?}");
        match action {
            Action::Forward { signal, target } => {
                self.jobs.note_forwarded(signal, self.last_received);
                self.forward(signal, target);
            }
            Action::Ask { signal, target } => self.ask(signal, target),
            Action::AskTheRest { signal } => self.ask_the_rest(signal),
            Action::Look { signal } => return Consequence::Report(Event::Looked(self.look(signal))),
            Action::StartStep { step, time_left } => {
                if !self.start_step(step, time_left) {
                    self.step_failed = true;
                    return Consequence::Report(Event::StepEnded(step));
                }
            }
            Action::EndStep { step, why } => self.end_step(step, why),
            Action::KillStep => self.kill_step(),
            Action::Kill(reason) => self.kill(reason),
            Action::Leave(farewell) => {
                let code = self.exit_code(farewell);
                self.close_record(farewell, code);
                self.jobs.take_back(self.main.ended());
                let code = self.output.write(&self.record);
                self.die_as_the_command_did(code);
                return Consequence::Leave(code);
            }
        }
        Consequence::Nothing
    }

    fn exit_code(&self, farewell: Farewell) -> u8 {
        if farewell == Farewell::SomeCannotBeKilled {
            warn!("leaving behind what KILL does not end: {}", names(&survivors::look().unwrap_or_default()));
        }
        let ended = match self.main {
            Main::Gone(ended) => ended,
            Main::Alive(_) => Ended::Killed(Signal::KILL),
        };
        self.exit_map.apply(ended.code())
    }
}

impl Supervisor {
    /// Where the exit code is the command's own, and says that it died of a signal. Returns where nothing is to be propagated.
    fn die_as_the_command_did(&self, code: u8) {
        if let (true, Main::Gone(ended @ Ended::Killed(signal))) = (self.propagate_signal, self.main)
            && ended.code() == code
        {
            signals::die_of(signal);
        }
    }
}

impl Reaping {
    /// That nobody is left comes before the step's end, because after that end there may be somebody again: the next step.
    fn events(&self) -> [Option<Event>; 2] {
        let step_ended = self.step_ended.map(Event::StepEnded);
        match (self.nobody_left, self.main_ended) {
            (true, _) => [Some(Event::NobodyLeft), step_ended],
            (false, main_ended) => [main_ended.then_some(Event::MainEnded), step_ended],
        }
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

    fn is(self, pid: i32) -> bool {
        matches!(self, Self::Alive(main) if main == pid)
    }
}

fn take_the_place_of_init(settings: &Settings, own_pid: i32) {
    if let Some(signal) = settings.parent_death_signal {
        note("cannot set the parent death signal", process::set_parent_death_signal(signal));
    }
    if own_pid != 1 {
        note("cannot adopt orphans", process::become_subreaper());
    }
}

fn reaped_level(settings: &Settings) -> Level {
    if settings.warn_on_reap { Level::Warn } else { Level::Debug }
}

/// In tini's words, which somebody may look for.
fn say_reaped(level: Level, pid: i32, ended: Ended) {
    log!(level, "reaped zombie process with pid={pid}, which {ended}");
}

// What it needs of the stack is free again when the loop begins.
#[inline(never)]
fn start_command(settings: &Settings, mask: SignalSet) -> Result<(Jobs, i32), StartError> {
    let (mut jobs, terminal) = Jobs::begin();
    let spawn = Spawn {
        command: &settings.command,
        variables: &[],
        stdin: Stdin::Inherited,
        mask,
        directory: settings.directory.as_deref(),
        directory_as: DirectoryAs::User,
        ids: ids(settings),
        parent_death_signal: settings.parent_death_signal,
        terminal: terminal.as_ref().map(AsFd::as_fd),
    };
    let modes = terminal.as_ref().and_then(Terminal::modes);
    let started = spawn.start();
    if let Some(terminal) = &terminal {
        match started {
            Ok(pid) => jobs.note_handed_over(pid, modes),
            // It may have had the terminal before it failed.
            Err(_) => _ = terminal.give_to(tty::own_group()),
        }
    }
    let started = started.map_err(|failure| StartError::Command {
        command: settings.command.first().cloned().unwrap_or_default(),
        user: settings.user,
        directory: settings.directory.clone(),
        failure,
    });
    started.map(|pid| (jobs, pid))
}

fn ids(settings: &Settings) -> Option<Ids> {
    settings.user.map(|user| Ids { uid: user.uid, gid: user.gid })
}

/// What a received signal means to the plan. Not forwarded: news of our own children, what this process caused itself (the
/// PIPE of a log line that nobody reads), and a genuine fault.
fn meaning(received: Received, own_pid: i32) -> Option<Event> {
    let Received { signal, code, sender, sender_uid } = received;
    if signal == Signal::CHLD {
        return None;
    }
    // What this process has caused itself is not even worth a word: that word might be the cause.
    if sender == own_pid {
        return None;
    }
    if sender == 0 && code <= 0 {
        info!("received {signal} from outside of the pid namespace (uid {sender_uid})");
    } else {
        info!("received {signal} from {sender} (uid {sender_uid})");
    }
    let fault = signal.is_fault() && code > 0;
    (!fault).then_some(Event::Signal(signal))
}

fn note(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        debug!("{what}: {error}");
    }
}

fn names(processes: &[Process]) -> String {
    listed(processes, ", ", |process| format!("{} ({})", process.name, process.pid))
}

/// The first few of them.
fn listed(processes: &[Process], separator: &str, one: impl Fn(&Process) -> String) -> String {
    let mut words: Vec<String> = processes.iter().take(NAMED).map(one).collect();
    if processes.len() > NAMED {
        words.push(format!("{} more", processes.len() - NAMED));
    }
    if words.is_empty() { "everybody left".to_owned() } else { words.join(separator) }
}

/// A command's own name: no arguments, and no folder.
fn name_of(command: &[OsString]) -> String {
    let program = command.first().map(|program| program.as_encoded_bytes()).unwrap_or_default();
    let name = program.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
