//! KILL, until nobody is left.

use log::warn;

use super::ask::send;
use super::{LOOKS, Supervisor, names, note};
use crate::plan::Reason;
use crate::signal::Signal;
use crate::survivors::{self, Process};
use crate::sys::{kill, process};

impl Supervisor {
    pub(super) fn kill(&mut self, reason: Reason) {
        if !self.killing {
            self.killing = true;
            let who = names(&survivors::look().unwrap_or_default());
            match reason {
                Reason::TimeIsUp => warn!("time is up: killing {who}"),
                Reason::Ignored(signal) => warn!("{signal} is ignored, waiting cannot help: killing {who}"),
            }
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
}
