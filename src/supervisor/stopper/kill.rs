//! KILL, until no process is left.

use std::time::Duration;

use log::warn;

use super::super::{Main, NAMED, log_failure};
use super::{LOOKS, Recorder, Stopper, send};
use crate::plan::KillReason;
use crate::plan::processes::{Process, Table};
use crate::processes;
use crate::report::format;
use crate::signal::Signal;
use crate::sys::{kill, process, procfs};

/// Looks at the list of our own children, at most.
const LIST_LOOKS: usize = 1024;
/// A look that takes longer is given up.
const QUICK_LOOK: Duration = Duration::from_millis(50);
impl Stopper {
    pub(in crate::supervisor) fn kill(&mut self, reason: KillReason, main: Main, recorder: &mut Recorder) {
        let is_first = !std::mem::replace(&mut self.killing, true);
        // What is told of a KILL is what was there before it; but it does not wait for that.
        let begun = self.clock.now();
        let look = || processes::look_while(|| self.clock.now().saturating_sub(begun) < QUICK_LOOK);
        let before = if is_first { look() } else { None };
        if process::is_pid_one() {
            log_failure("cannot kill", kill::send_to_namespace(Signal::KILL));
        }
        if is_first {
            let slow_look = if process::is_pid_one() { processes::look_at_killed } else { processes::look };
            let left = before.or_else(slow_look).unwrap_or_default();
            self.say_killing(&self.as_before(&left), reason, recorder);
        }
        if process::is_pid_one() {
            return;
        }
        match stop_the_tree() {
            Some(table) => table.iter().for_each(|process| _ = send::one(process, Signal::KILL)),
            None => _ = send::unseen(Signal::KILL, main),
        }
    }

    /// These as the last look showed them: what state a process was in matters, and it is dying by now.
    fn as_before(&self, killed: &Table) -> Table {
        let before =
            |process: &Process| self.last_look.find(process.pid).filter(|known| known.is_same(process));
        Table::new(killed.iter().map(|process| *before(process).unwrap_or(process)).collect())
    }

    fn say_killing(&self, left: &Table, reason: KillReason, recorder: &mut Recorder) {
        recorder.killing(left, reason);
        let names = match self.signal() {
            Some(signal) => recorder.waited_for(left, signal),
            None => format::list(left, NAMED, |process| format::process(process.name, process.pid)),
        };
        match reason {
            KillReason::Elapsed => warn!("time is up: killing {names}"),
            KillReason::Ignored(signal) => {
                warn!("{signal} is ignored, so waiting cannot help: killing {names}")
            }
        }
    }
}

/// Stops every process: what forks and ends outruns a look that kills, but what is stopped forks no more. Returns those that were
/// there when a look found none that is new; `None` without /proc.
fn stop_the_tree() -> Option<Table> {
    let mut stopped: Vec<(i32, u64)> = Vec::new();
    for _ in 0..LOOKS {
        stop_own_children();
        let table = processes::look()?;
        let new: Vec<&Process> =
            table.iter().filter(|process| stopped.binary_search(&process.key()).is_err()).collect();
        if new.is_empty() {
            return Some(table);
        }
        new.iter().for_each(|process| _ = send::one(process, Signal::STOP));
        stopped = table.iter().map(Process::key).collect();
    }
    processes::look()
}

/// An orphan is our own child, and the list of those is short and quickly read again, unlike all of /proc.
fn stop_own_children() {
    let mut known: Vec<i32> = Vec::new();
    for _ in 0..LIST_LOOKS {
        let mut children = procfs::own_children().unwrap_or_default();
        children.sort_unstable();
        let mut found_new = false;
        for &child in children.iter().filter(|child| known.binary_search(child).is_err()) {
            found_new = true;
            log_failure("cannot stop a child", kill::send(child, Signal::STOP));
        }
        if !found_new {
            return;
        }
        known = children;
    }
}
