//! Sending signals to roles, and looking who is left of them.

use std::io;

use log::{debug, info};

use super::{LOOKS, Main, Supervisor, names, note};
use crate::plan::Waiting;
use crate::settings::Target;
use crate::signal::Signal;
use crate::survivors::{self, Process};
use crate::sys::kill::{self, Pinned};
use crate::sys::{clock, process};

impl Supervisor {
    pub(super) fn forward(&self, signal: Signal, target: Target) {
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

    pub(super) fn ask(&mut self, signal: Signal, target: Target) {
        let Main::Alive(main) = self.main else { return self.ask_the_rest(signal) };
        if let Some(everyone) = survivors::look() {
            let ignores = |process: &Process| survivors::has_no_use_for(process, signal);
            self.roster.note(&everyone, target, main, clock::boot_ticks(), ignores);
        }
        match target {
            Target::Group | Target::Main => {
                self.forward(signal, target);
                self.forward(Signal::CONT, target);
            }
            Target::All => self.ask_the_rest(signal),
        }
    }

    pub(super) fn ask_the_rest(&mut self, signal: Signal) {
        let signals = [signal, Signal::CONT];
        for _ in 0..LOOKS {
            let Some(everyone) = survivors::look() else { return self.signal_unseen(&signals) };
            let unasked = self.roster.take_unasked(&everyone, clock::boot_ticks(), |process| {
                survivors::has_no_use_for(process, signal)
            });
            if unasked.is_empty() {
                return;
            }
            info!("asking with {signal}: {}", names(&unasked));
            unasked.iter().for_each(|process| send(process, &signals));
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
        let main = match self.main {
            Main::Alive(main) => Some(main),
            Main::Gone(_) => None,
        };
        survivors::judge(signal, main, &self.roster, &mut self.witness)
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
