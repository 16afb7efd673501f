//! Sending signals to roles, and looking who is left of them.

use std::io;

use log::{debug, info, warn};

use super::{LOOKS, Main, Supervisor, names, note};
use crate::plan::Target;
use crate::plan::Waiting;
use crate::report::Receiver;
use crate::signal::Signal;
use crate::survivors::{self, Attitude, Process};
use crate::sys::kill::{self, Pinned};
use crate::sys::process;

impl Supervisor {
    /// Sends the signal to the target.
    pub(super) fn forward(&mut self, signal: Signal, target: Target) {
        let who = match self.reachable(target) {
            Target::Group => "the command's group",
            Target::Main => "the command",
            Target::All => "everybody who is left",
        };
        info!("sending {signal} to {who}");
        self.note_sent(signal, Receiver::Target(target));
        self.send_to(signal, target);
    }

    fn reachable(&self, target: Target) -> Target {
        if self.main.pid().is_some() { target } else { Target::All }
    }

    fn send_to(&self, signal: Signal, target: Target) {
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

    /// Asks the target to leave. Where it was asked before, with the stage before this one, that is an escalation.
    pub(super) fn ask(&mut self, signal: Signal, target: Target) {
        self.begin_asking();
        let everyone = survivors::look();
        if let (Some(before), Some(everyone)) = (self.asked_with.replace(signal), &everyone) {
            warn!("going on to {signal}; still there: {}", self.in_words(everyone, before));
        }
        let main = self.main.pid();
        if let Some(everyone) = &everyone {
            let attitude = |process: &Process| survivors::attitude_seen(process, signal);
            self.roster.note(everyone, target, main, survivors::moment(), attitude);
            self.note_members(everyone, signal);
        }
        match (target, main) {
            (Target::Group | Target::Main, Some(_)) => {
                self.forward(signal, target);
                self.send_to(Signal::CONT, target);
            }
            (Target::All, _) | (_, None) => self.ask_the_unasked(signal, everyone),
        }
    }

    /// Asks everyone who was not asked, until a look finds nobody new.
    pub(super) fn ask_the_rest(&mut self, signal: Signal) {
        self.begin_asking();
        self.ask_the_unasked(signal, None);
    }

    /// Begins with those who have been `seen` just now.
    fn ask_the_unasked(&mut self, signal: Signal, mut seen: Option<Vec<Process>>) {
        self.asked_with = Some(signal);
        let signals = [signal, Signal::CONT];
        for _ in 0..LOOKS {
            let Some(everyone) = seen.take().or_else(survivors::look) else {
                self.note_sent(signal, Receiver::Target(Target::All));
                return self.signal_unseen(&signals);
            };
            // Who may have given its handler up is looked at as late as can be.
            let attitude = |process: &Process, before| match before {
                Some(Attitude::Catches) => survivors::attitude(process, signal),
                _ => survivors::attitude_seen(process, signal),
            };
            let unasked = self.roster.take_unasked(&everyone, survivors::moment(), attitude);
            if unasked.is_empty() {
                return;
            }
            info!("asking with {signal}: {}", names(&unasked));
            self.note_members(&everyone, signal);
            for process in &unasked {
                self.note_sent(signal, Receiver::Process(process.pid));
                self.roster.is_being_asked(process, survivors::moment());
                send(process, &signals);
            }
        }
    }

    /// Without /proc nobody can be picked: as PID 1 everybody gets it, else the group while its number is the command's.
    pub(super) fn signal_unseen(&self, signals: &[Signal]) {
        for &signal in signals {
            let sent = match self.main {
                _ if process::is_pid_one() => kill::send_to_everybody(signal),
                Main::Alive(main) => kill::send_to_group(main, signal),
                Main::Gone(_) => Err(io::Error::other("/proc is missing")),
            };
            note("cannot signal who is left", sent);
        }
    }

    /// Whether it helps to wait for those who are left to take `signal`.
    pub(super) fn look(&mut self, signal: Signal) -> Waiting {
        self.watch.judge(signal, self.main.pid(), &mut self.roster)
    }
}

/// Our own children keep their numbers until we reap them; everybody else is pinned and looked at again first.
pub(super) fn send(process: &Process, signals: &[Signal]) {
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
