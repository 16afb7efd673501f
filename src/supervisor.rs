//! The loop: wait, observe, ask the plan, perform. The only place where pids and the plan's roles meet.
//!
//! Once the command runs nothing here fails: what cannot be done is a line in the log, and the loop goes on.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;

use log::{debug, info, trace, warn};

use crate::error::StartError;
use crate::outcome::{Ended, ExitMap};
use crate::plan::{Action, Event, Farewell, Plan};
use crate::settings::{Settings, Target};
use crate::signal::{Signal, SignalSet};
use crate::survivors::{self, Process, Roster};
use crate::sys::clock::{self, Clock};
use crate::sys::kill::{self, Pinned};
use crate::sys::process;
use crate::sys::signals::{self, Received};
use crate::sys::spawn::{Ids, Spawn};
use crate::sys::tty::Terminal;
use crate::sys::wait::{self, Reaped};

/// After so many dead children a look at the signals is due, however fast others die.
const REAP_AT_ONCE: usize = 4096;
/// Looks for somebody new, at most: whoever starts processes faster than that is left to the next step of the stop.
const LOOKS: usize = 64;
/// How many processes a line of the log names.
const NAMED: usize = 8;

/// A running command and what is known of it.
#[derive(Debug)]
pub struct Supervisor {
    plan: Plan,
    clock: Clock,
    main: Main,
    exit_map: ExitMap,
    roster: Roster,
    killing: bool,
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
struct Reaping {
    event: Option<Event>,
    more: bool,
}

impl Supervisor {
    /// Starts the command.
    ///
    /// # Errors
    /// Nothing was started, and why.
    pub fn start(settings: Settings, mask: SignalSet) -> Result<Self, StartError> {
        let clock = Clock::start();
        if let Some(signal) = settings.parent_death_signal {
            note("cannot set the parent death signal", process::set_parent_death_signal(signal));
        }
        if !process::is_pid_one() {
            note("cannot adopt orphans", process::become_subreaper());
        }
        let pid = start_command(&settings, mask)?;
        debug!("started {:?} as {pid}", settings.command.first().unwrap_or(&OsString::new()));
        process::leave_directory();
        process::close_inherited();
        process::return_memory();
        Ok(Self {
            plan: Plan::new(settings.stop),
            clock,
            main: Main::Alive(pid),
            exit_map: settings.exit_map,
            roster: Roster::default(),
            killing: false,
        })
    }

    /// Runs until everybody has left, and returns the exit code.
    #[must_use]
    pub fn run(mut self) -> u8 {
        let mut received = None;
        loop {
            let reaping = self.reap();
            // A signal that came before a child's end was seen is still for that child: the end first, then the signal, last the clock.
            let signal = received.and_then(meaning);
            for event in [reaping.event, signal, Some(Event::Tick)].into_iter().flatten() {
                if let Some(code) = self.handle(event) {
                    return code;
                }
            }
            received = self.wait(reaping.more);
        }
    }

    /// Waits for a signal or the plan's deadline; for ever where there is none.
    fn wait(&self, more_to_reap: bool) -> Option<Received> {
        let timeout = if more_to_reap {
            Some(std::time::Duration::ZERO)
        } else {
            self.plan.deadline().map(|deadline| deadline.saturating_sub(self.clock.now()))
        };
        signals::wait(SignalSet::from_bits(u64::MAX), timeout)
    }

    fn reap(&mut self) -> Reaping {
        let mut event = None;
        for _ in 0..REAP_AT_ONCE {
            match wait::reap() {
                Reaped::Child { pid, ended } if self.main.is(pid) => {
                    info!("the command ({pid}) {ended}");
                    self.main = Main::Gone(ended);
                    event = Some(Event::MainEnded);
                }
                Reaped::Child { pid, ended } => debug!("reaped {pid}, which {ended}"),
                Reaped::AllAlive => return Reaping { event, more: false },
                Reaped::NoChildren => return Reaping { event: Some(Event::NobodyLeft), more: false },
            }
        }
        Reaping { event, more: true }
    }

    fn handle(&mut self, event: Event) -> Option<u8> {
        trace!("{event:?}");
        let actions = self.plan.handle(self.clock.now(), event);
        actions.into_iter().find_map(|action| self.perform(action))
    }

    /// Does what the plan says; returns the exit code at the end.
    fn perform(&mut self, action: Action) -> Option<u8> {
        debug!("{action:?}");
        match action {
            Action::Forward { signal, target } => self.forward(signal, target),
            Action::Ask { signal, target } => self.ask(signal, target),
            Action::AskTheRest { signal } => self.ask_the_rest(signal),
            Action::Kill => self.kill(),
            Action::Leave(farewell) => return Some(self.exit_code(farewell)),
        }
        None
    }

    fn forward(&self, signal: Signal, target: Target) {
        match (target, self.main) {
            (Target::Group, Main::Alive(main)) => {
                note("cannot signal the group", kill::send_to_group(main, signal))
            }
            (Target::Main, Main::Alive(main)) => note("cannot signal the command", kill::send(main, signal)),
            (Target::All, _) | (_, Main::Gone(_)) => match survivors::look() {
                Some(everyone) => everyone.iter().for_each(|process| send(process, &[signal])),
                None => self.signal_unseen(&[signal]),
            },
        }
    }

    fn ask(&mut self, signal: Signal, target: Target) {
        let Main::Alive(main) = self.main else { return self.ask_the_rest(signal) };
        if let Some(everyone) = survivors::look() {
            self.roster.note(&everyone, target, main, clock::boot_ticks());
        }
        match target {
            Target::Group | Target::Main => {
                self.forward(signal, target);
                self.forward(Signal::CONT, target);
            }
            Target::All => self.ask_the_rest(signal),
        }
    }

    fn ask_the_rest(&mut self, signal: Signal) {
        let signals = [signal, Signal::CONT];
        for _ in 0..LOOKS {
            let Some(everyone) = survivors::look() else { return self.signal_unseen(&signals) };
            let unasked = self.roster.take_unasked(&everyone, clock::boot_ticks());
            if unasked.is_empty() {
                return;
            }
            info!("asking with {signal}: {}", names(&unasked));
            unasked.iter().for_each(|process| send(process, &signals));
        }
    }

    /// Without /proc nobody can be picked: as PID 1 everybody gets it, else the group while its number is the command's.
    fn signal_unseen(&self, signals: &[Signal]) {
        for &signal in signals {
            let sent = match self.main {
                _ if process::is_pid_one() => kill::send_to_everybody(signal),
                Main::Alive(main) => kill::send_to_group(main, signal),
                Main::Gone(_) => Err(io::Error::other("/proc is missing")),
            };
            note("cannot signal who is left", sent);
        }
    }

    fn kill(&mut self) {
        if !self.killing {
            self.killing = true;
            warn!("time is up: killing {}", names(&survivors::look().unwrap_or_default()));
        }
        if process::is_pid_one() {
            return note("cannot kill", kill::send_to_everybody(Signal::KILL));
        }
        // A fork bomb outruns a scan that kills; what is stopped forks no more.
        let mut stopped: Vec<(i32, u64)> = Vec::new();
        for _ in 0..LOOKS {
            let Some(everyone) = survivors::look() else { return self.signal_unseen(&[Signal::KILL]) };
            let key = |process: &Process| (process.pid, process.start);
            let new: Vec<&Process> =
                everyone.iter().filter(|process| stopped.binary_search(&key(process)).is_err()).collect();
            if new.is_empty() {
                return everyone.iter().for_each(|process| send(process, &[Signal::KILL]));
            }
            new.iter().for_each(|process| send(process, &[Signal::STOP]));
            stopped = everyone.iter().map(key).collect();
        }
        survivors::look().unwrap_or_default().iter().for_each(|process| send(process, &[Signal::KILL]));
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

impl Main {
    fn is(self, pid: i32) -> bool {
        matches!(self, Self::Alive(main) if main == pid)
    }
}

fn start_command(settings: &Settings, mask: SignalSet) -> Result<i32, StartError> {
    let terminal = Terminal::in_foreground(|group| !survivors::shares_group(group));
    let spawn = Spawn {
        command: &settings.command,
        mask,
        directory: settings.directory.as_deref(),
        ids: settings.user.map(|user| Ids { uid: user.uid, gid: user.gid }),
        parent_death_signal: settings.parent_death_signal,
        terminal: terminal.as_ref().map(AsFd::as_fd),
    };
    spawn.start().map_err(|failure| StartError::Command {
        command: settings.command.first().cloned().unwrap_or_default(),
        user: settings.user,
        directory: settings.directory.clone(),
        failure,
    })
}

/// What a received signal means to the plan. Not forwarded: news of our own children, what this process caused itself (the
/// PIPE of a log line that nobody reads), and a genuine fault.
fn meaning(received: Received) -> Option<Event> {
    let Received { signal, code, sender, sender_uid } = received;
    if signal == Signal::CHLD {
        return None;
    }
    info!("received {signal} from {sender} (uid {sender_uid})");
    let own = sender == process::id();
    let fault = signal.is_fault() && code > 0;
    (!own && !fault).then_some(Event::Signal(signal))
}

/// Our own children keep their numbers until we reap them; everybody else is pinned and looked at again first.
fn send(process: &Process, signals: &[Signal]) {
    let pinned = (process.parent != process::id()).then(|| Pinned::new(process.pid));
    if pinned.is_some() && survivors::look_again(process).is_none() {
        return;
    }
    for &signal in signals {
        let sent = match &pinned {
            Some(pinned) => pinned.send(signal),
            None => kill::send(process.pid, signal),
        };
        if let Err(error) = sent {
            debug!("cannot send {signal} to {} ({}): {error}", process.name, process.pid);
        }
    }
}

fn note(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        debug!("{what}: {error}");
    }
}

fn names(processes: &[Process]) -> String {
    let mut names: Vec<String> =
        processes.iter().take(NAMED).map(|process| format!("{} ({})", process.name, process.pid)).collect();
    if processes.len() > NAMED {
        names.push(format!("{} more", processes.len() - NAMED));
    }
    if names.is_empty() { "everybody left".to_owned() } else { names.join(", ") }
}
