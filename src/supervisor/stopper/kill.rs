//! KILL, until no process is left.

use std::time::Duration;

use super::super::kernel::Kernel;
use super::super::{Main, NAMED, log_failure};
use super::{BETWEEN_TRIES, LOOKS, Recorder, Stopper, TRIES, send};
use crate::plan::KillReason;
use crate::plan::processes::{Process, Table};
use crate::report::format;
use crate::say::warn;
use crate::signal::Signal;
use crate::sys::kill;

/// The most looks at the list of drainit's own children.
const LIST_LOOKS: usize = 1024;
/// The state of a process that was stopped or killed before it was seen.
const UNKNOWN: u8 = b'?';
/// A look that takes longer is given up.
const QUICK_LOOK: Duration = Duration::from_millis(50);
impl<K: Kernel> Stopper<K> {
    /// If drainit `is_starved` of the processor, it stops what it can before it looks.
    pub(in crate::supervisor) fn kill(
        &mut self,
        reason: KillReason,
        main: Main,
        is_starved: bool,
        recorder: &mut Recorder<K>,
    ) {
        let is_first = !std::mem::replace(&mut self.killing, true);
        let is_pid_one = self.kernel.is_pid_one();
        if is_starved && !is_pid_one {
            stop_own_children(&self.kernel);
        }
        // The report names the processes that were there before KILL; but KILL waits only a moment for that.
        let begun = self.kernel.now();
        let look = || self.kernel.table_while(&|| self.kernel.now().saturating_sub(begun) < QUICK_LOOK);
        let before = if is_first { look() } else { None };
        if is_pid_one {
            let sent = self.kernel.send_to_every_process(Signal::KILL);
            let is_sent = sent.as_ref().err().is_none_or(kill::is_gone);
            log_failure("cannot kill", sent);
            if is_sent {
                if is_first {
                    self.say_killing(before.or_else(|| self.kernel.killed()), reason, recorder);
                }
                return;
            }
            // Signalling them one by one may be allowed.
        }
        let table = stop_the_tree(&self.kernel);
        if is_first {
            self.say_killing(before.or_else(|| table.clone()), reason, recorder);
        }
        match table {
            Some(table) => {
                table.iter().for_each(|process| _ = send::one(&self.kernel, process, Signal::KILL))
            }
            None => {
                kill_own_children(&self.kernel);
                send::unseen(&self.kernel, Signal::KILL, main);
            }
        }
    }

    /// These processes as the last look showed them: their state before KILL matters, and by now drainit may have stopped or killed them.
    fn as_before(&self, killed: &Table) -> Table {
        let before = |process: &Process| {
            let known = self.last_look.find(process.pid).filter(|known| known.is_same(process));
            let is_by_drainit = process.is_stopped() || !process.is_alive();
            let state = if is_by_drainit { UNKNOWN } else { process.state };
            known.copied().unwrap_or(Process { state, ..*process })
        };
        Table::new(killed.iter().map(before).collect())
    }

    fn say_killing(&self, left: Option<Table>, reason: KillReason, recorder: &mut Recorder<K>) {
        let left = &self.as_before(&left.unwrap_or_default());
        recorder.killing(left, reason);
        let names = match self.signal() {
            Some(signal) => recorder.waited_for(left, signal, &self.signalled),
            None => {
                format::list(left.iter().map(|process| format::process(process.name, process.pid)), NAMED)
            }
        };
        match reason {
            KillReason::Elapsed => warn!("{}, time is up: killing {names}", recorder.since_the_stop_began()),
            KillReason::Ignored(signal) => {
                warn!("{signal} is ignored, so waiting cannot help: killing {names}")
            }
        }
    }
}

/// Stops every process: processes that fork and end outrun a look that kills, but a stopped process does not fork. Returns those that were
/// there when a look found no new one; `None` without /proc.
fn stop_the_tree(kernel: &impl Kernel) -> Option<Table> {
    let mut stopped: Vec<(i32, u64)> = Vec::new();
    for _ in 0..LOOKS {
        stop_own_children(kernel);
        let table = look_again_and_again(kernel)?;
        let new: Vec<&Process> =
            table.iter().filter(|process| stopped.binary_search(&process.key()).is_err()).collect();
        if new.is_empty() {
            return Some(table);
        }
        new.iter().for_each(|process| _ = send::one(kernel, process, Signal::STOP));
        stopped = table.iter().map(Process::key).collect();
    }
    look_again_and_again(kernel)
}

/// The next KILL may be late: what fails once is tried again.
fn look_again_and_again(kernel: &impl Kernel) -> Option<Table> {
    for _ in 0..TRIES {
        let table = kernel.table();
        if table.is_some() || !kernel.has_own_proc() {
            return table;
        }
        kernel.pause(BETWEEN_TRIES);
    }
    None
}

/// Without a table: the children of these are adopted, and killed when KILL is repeated.
fn kill_own_children(kernel: &impl Kernel) {
    for child in kernel.own_children().unwrap_or_default() {
        log_failure("cannot kill a child", kernel.send(child, Signal::KILL));
    }
}

/// An orphan is drainit's own child, and the list of those is short and quick to read again, unlike all of /proc. A child that leads a group is
/// stopped with all of it at once: if hundreds of processes want the processor, drainit would wait for its turn during a look at each.
fn stop_own_children(kernel: &impl Kernel) {
    let mut known: Vec<i32> = Vec::new();
    for _ in 0..LIST_LOOKS {
        let mut children = kernel.own_children().unwrap_or_default();
        children.sort_unstable();
        let mut found_new = false;
        for &child in children.iter().filter(|child| known.binary_search(child).is_err()) {
            found_new = true;
            let leads = kernel.group_of(child) == Some(child);
            let to_group = |child| kernel.send_to_group(child, Signal::STOP);
            if !leads || to_group(child).is_err() {
                log_failure("cannot stop a child", kernel.send(child, Signal::STOP));
            }
        }
        if !found_new {
            return;
        }
        known = children;
    }
}

/// The warning about processes that KILL has not ended; `None` if none is left by now, because on a busy machine KILL may only be late.
pub(in crate::supervisor) fn left_behind(left: Option<&[Process]>) -> Option<String> {
    let names = match left {
        Some([]) => return None,
        Some(left) => {
            format::list(left.iter().map(|process| format::process(process.name, process.pid)), NAMED)
        }
        None => "processes that /proc does not show".to_owned(),
    };
    Some(format!("KILL could not end, and left behind: {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::processes::fixtures;
    use crate::supervisor::simulation::{Life, Reaction, quiet};

    #[test]
    fn a_state_that_drainit_itself_may_have_caused_is_not_told() {
        let (sim, _) = quiet(Life::new(Reaction::Ignores));
        let mut stopper = Stopper::new(sim, None);
        let with = |pid, state| Process { state, ..fixtures::process(pid, 1, pid, 1) };
        stopper.last_look = Table::new(vec![with(7, b'S'), with(8, b'T')]);
        let killed = Table::new(
            [(7, b'T'), (8, b'T'), (9, b'T'), (10, b'S')].map(|(pid, state)| with(pid, state)).into(),
        );
        let states: Vec<u8> = stopper.as_before(&killed).iter().map(|process| process.state).collect();
        assert_eq!(states, [b'S', b'T', UNKNOWN, b'S']);
    }

    #[test]
    fn what_is_left_behind_is_named_and_nothing_if_it_has_ended_meanwhile() {
        let stuck = fixtures::process(9, 1, 9, 1);
        let said = |left: Option<&[Process]>| left_behind(left);
        assert_eq!(said(Some(&[stuck])).as_deref(), Some("KILL could not end, and left behind: x (9)"));
        assert_eq!(said(Some(&[])), None);
        assert!(
            said(None).is_some_and(|said| said.ends_with("left behind: processes that /proc does not show"))
        );
    }
}
