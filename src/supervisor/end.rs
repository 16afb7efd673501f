//! KILL, until nobody is left.

use log::warn;

use super::ask::send;
use super::{LOOKS, Supervisor, names, note};
use crate::plan::Reason;
use crate::signal::Signal;
use crate::survivors::{self, Process};
use crate::sys::{kill, process, procfs};

/// Looks at the list of our own children, at most.
const LIST_LOOKS: usize = 1024;

impl Supervisor {
    pub(super) fn kill(&mut self, reason: Reason) {
        if !self.killing {
            self.killing = true;
            let left = survivors::look().unwrap_or_default();
            self.note_kill(&left, reason);
            let who = match self.asked_with {
                Some(signal) => self.in_words(&left, signal),
                None => names(&left),
            };
            match reason {
                Reason::TimeIsUp => warn!("time is up: killing {who}"),
                Reason::Ignored(signal) => warn!("{signal} is ignored, waiting cannot help: killing {who}"),
            }
        }
        if process::is_pid_one() {
            return note("cannot kill", kill::send_to_everybody(Signal::KILL));
        }
        match stop_the_tree() {
            Some(everyone) => everyone.iter().for_each(|process| send(process, &[Signal::KILL])),
            None => self.signal_unseen(&[Signal::KILL]),
        }
    }
}

/// Stops everybody: whoever forks and ends outruns a look that kills, but what is stopped forks no more. Returns who was
/// there when a look found nobody new; `None` without /proc.
fn stop_the_tree() -> Option<Vec<Process>> {
    let key = |process: &Process| (process.pid, process.start);
    let mut stopped: Vec<(i32, u64)> = Vec::new();
    for _ in 0..LOOKS {
        stop_own_children();
        let everyone = survivors::look()?;
        let new: Vec<&Process> =
            everyone.iter().filter(|process| stopped.binary_search(&key(process)).is_err()).collect();
        if new.is_empty() {
            return Some(everyone);
        }
        new.iter().for_each(|process| send(process, &[Signal::STOP]));
        stopped = everyone.iter().map(key).collect();
    }
    survivors::look()
}

/// Those whose parents have ended are our own children, and their list is short and quickly read again, unlike all of /proc.
fn stop_own_children() {
    let mut known: Vec<i32> = Vec::new();
    for _ in 0..LIST_LOOKS {
        let mut children = procfs::own_children().unwrap_or_default();
        children.sort_unstable();
        let is_new = |child: &&i32| known.binary_search(child).is_err();
        let mut found_new = false;
        for &child in children.iter().filter(is_new) {
            found_new = true;
            note("cannot stop a child", kill::send(child, Signal::STOP));
        }
        if !found_new {
            return;
        }
        known = children;
    }
}
