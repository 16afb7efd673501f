//! The command as a shell's job: this observes and performs what [`JobControl`] decides.

#![forbid(unsafe_code)]

mod session;

use std::time::Duration;

use super::log_failure;
use crate::outcome::Ended;
use crate::plan::job_control::{Holder, JobAction, JobControl, Otherwise, Standing, Stopped};
use crate::plan::sorted::Set;
use crate::processes;
use crate::say::{debug, info, warn};
use crate::signal::Signal;
use crate::sys::process;
use crate::sys::signal_queue::SignalQueue;
use crate::sys::signals::{Received, Scope};
use crate::sys::tty::{self, Terminal};
use session::{Own, Session};

/// What is known of the terminal.
#[derive(Debug)]
pub(super) struct Job<S: Session = Own> {
    session: S,
    /// There is a terminal, so the command's stops matter.
    has_terminal: bool,
    /// drainit's parent, which may be a shell.
    parent: i32,
    /// The group that was given the foreground, if one was.
    handed_over: Option<HandedOver<S::Modes>>,
    control: JobControl,
}

/// A group was given the foreground.
#[derive(Clone, Copy, Debug)]
struct HandedOver<M> {
    /// The command's group, or that of a process that has taken its place. The terminal keeps the number of a group that is gone.
    group: i32,
    /// The terminal's modes before that.
    modes: Option<M>,
}

impl Job {
    /// Looks whether there is a terminal, and returns it if the command gets it from the start.
    pub(super) fn begin() -> (Self, Option<Terminal>) {
        let terminal = Terminal::open();
        let job = Self { has_terminal: terminal.is_some(), ..Self::new(Own) };
        (job, terminal.filter(session::is_drainits_alone))
    }

    /// The command runs. From now on the end of drainit's own parent wakes drainit: by CHLD, unless `--parent-death-signal` asks for another
    /// signal.
    pub(super) fn watch_parent(&mut self, main: i32, has_signal: bool) {
        if !self.has_terminal || process::is_pid_one() {
            return;
        }
        if !has_signal {
            log_failure("cannot watch the parent", process::set_parent_death_signal(Signal::CHLD));
        }
        self.parent = process::parent();
        self.look(Some(main));
        // A shell is about to take the terminal back from a job that has just ended.
        let own = tty::own_group();
        let is_led = own == process::id() || processes::look_at(own).is_some_and(|leader| leader.is_alive());
        if !is_led || Terminal::open().is_some_and(|terminal| terminal.is_unheld()) {
            self.begin_looks(Duration::ZERO);
        }
    }

    /// Whether drainit's parent has ended since the last time.
    pub(super) fn has_new_parent(&mut self) -> bool {
        let parent = process::parent();
        parent != std::mem::replace(&mut self.parent, parent)
    }
}

impl<S: Session> Job<S> {
    fn new(session: S) -> Self {
        let control = JobControl::default();
        Self { session, has_terminal: false, parent: 0, handed_over: None, control }
    }

    pub(super) fn begin_looks(&mut self, now: Duration) {
        if self.has_terminal && !self.session.is_pid_one() {
            self.control.begin_looks(now);
        }
    }

    /// Whether it is time for a look.
    pub(super) fn tick_looks(&mut self, now: Duration) -> bool {
        self.control.tick_looks(now)
    }

    /// Something has happened that may have made the terminal unreachable, or stopped a process without a word to drainit.
    pub(super) fn look(&mut self, main: Option<i32>) {
        let own = self.session.own_group();
        if !self.has_terminal || own == 0 || self.session.is_pid_one() {
            return;
        }
        let group = main.and_then(|main| self.session.group_of(main));
        let group = group.or_else(|| self.handed_over.map(|given| given.group));
        let held_by = self.session.holder(group.unwrap_or_default());
        // The processes need not be read then.
        if held_by != Holder::Other {
            return;
        }
        let is_orphaned = self.session.is_orphaned(own);
        let stopped = if is_orphaned { self.session.stopped() } else { Set::default() };
        let Some(group) = stopped.iter().next().or(group) else { return };
        let standing = Standing {
            group,
            has_stopped: !stopped.is_empty(),
            terminal: held_by,
            is_orphaned,
            is_alone: is_orphaned && self.session.is_alone_in(own),
            has_terminal: self.session.has_terminal(),
        };
        if let JobAction::LetGo { group, otherwise } = self.control.look(standing) {
            self.let_go(group, otherwise);
        }
    }

    /// This group was given the terminal.
    pub(super) fn note_handed_over(&mut self, group: i32, modes: Option<S::Modes>) {
        self.handed_over = Some(HandedOver { group, modes });
    }

    /// Whether a stop of the command matters.
    pub(super) fn wants_stops(&self) -> bool {
        self.has_terminal
    }

    pub(super) fn continued(&mut self, pid: i32) {
        self.control.continued(pid);
    }

    /// A signal is forwarded. Returns the group to continue.
    pub(super) fn forwarded(&mut self, signal: Signal, received: Option<Received>) -> Option<i32> {
        let by_key = received.is_some_and(|received| received.signal == signal && received.code > 0);
        self.control.forwarded(signal, by_key, self.session.own_group() == 0)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.control.deadline()
    }

    /// A process of the job was stopped. The shell sees drainit stop in its place.
    pub(super) fn stopped(&mut self, now: Duration, pid: i32, by: Signal, queue: &SignalQueue) {
        info!("{pid} was stopped by {by}");
        let Some(group) = self.session.group_of(pid) else { return };
        let stop = Stopped {
            pid,
            group,
            by,
            terminal: self.session.holder(group),
            can_suspend: self.session.can_be_suspended(if by.is_of_terminal() { by } else { Signal::TSTP }),
            is_pid_one: self.session.is_pid_one(),
        };
        let action = self.control.stopped(now, stop);
        self.perform(action, queue);
    }

    /// A stop signal came to drainit.
    pub(super) fn stop_signal(&mut self, signal: Signal, queue: &SignalQueue) {
        if self.has_terminal && self.control.is_stopped() && signal.is_of_terminal() {
            let action = self.control.stop_signal(signal, self.session.can_be_suspended(signal));
            self.perform(action, queue);
        }
    }

    fn perform(&mut self, action: JobAction, queue: &SignalQueue) {
        match action {
            JobAction::Nothing => {}
            JobAction::HandOver { group } => {
                self.hand_over(group);
                self.continue_group(group);
            }
            JobAction::SuspendGroup { signal, takes_back } => {
                if takes_back {
                    self.session.give_to(self.session.own_group());
                }
                self.suspend(signal, Scope::OwnGroup, queue);
            }
            JobAction::SuspendSelf { signal } => self.suspend(signal, Scope::OwnProcess, queue),
            JobAction::Continue { group } => self.continue_group(group),
            JobAction::LetGo { group, otherwise } => self.let_go(group, otherwise),
        }
    }

    /// Stops drainit until it is continued.
    fn suspend(&self, signal: Signal, scope: Scope, queue: &SignalQueue) {
        // If a CONT is pending, it came after the stop, and a new stop signal would discard it.
        if !queue.has(Signal::CONT) {
            self.session.suspend(signal, scope);
        }
    }

    /// Continues the group of a child that was not reaped, so that its number cannot belong to another group.
    pub(super) fn continue_group(&self, group: i32) {
        log_failure("cannot continue the group", self.session.send_to_group(group, Signal::CONT));
    }

    /// Lets go of `group`, and of every group in which a process is stopped: drainit no longer keeps them from being orphaned, and continues
    /// them.
    fn let_go(&mut self, group: i32, otherwise: Otherwise) {
        let mut groups = self.session.stopped();
        groups.insert(group);
        if self.session.leave(group) {
            info!("no process can bring the group {group} to the foreground: drainit has left the session");
            self.has_terminal = false;
            self.control.left();
        } else if otherwise == Otherwise::HangUp {
            warn!("the command's group {group} wants a terminal that it cannot get: sending HUP");
            self.control.hung_up();
            log_failure("cannot send HUP", self.session.send_to_group(group, Signal::HUP));
        } else {
            let mut has_visited = false;
            groups.iter().for_each(|group| has_visited |= self.session.visit(group));
            if has_visited || otherwise == Otherwise::Join {
                return;
            }
        }
        groups.iter().for_each(|group| self.continue_group(group));
    }

    /// Continues the group that is to keep running if a member has stopped later than its leader. `main` is main's pid while it lives.
    pub(super) fn continue_stragglers(&mut self, now: Duration, main: Option<i32>) {
        if let Some(group) = self.control.tick(now)
            && main == Some(group)
            && self.session.has_stopped(group)
        {
            self.continue_group(group);
        }
    }

    /// CONT came. Returns whether it was only about job control, and need not be forwarded.
    pub(super) fn resumed(&mut self, main: Option<i32>) -> bool {
        let suspended = self.control.resumed();
        if !self.has_terminal {
            return false;
        }
        let group = suspended.map(|suspended| suspended.group).or(main);
        let had_it = suspended.is_some_and(|suspended| suspended.in_foreground);
        if let Some(group) = group
            && self.session.has_foreground()
            && (had_it || self.session.has_foreground_alone())
        {
            self.hand_over(group);
        }
        match (suspended, main) {
            (Some(_), Some(main)) => {
                self.continue_group(main);
                true
            }
            // The processes that are left when the command is gone may be in many groups, so CONT is forwarded.
            _ => false,
        }
    }

    fn hand_over(&mut self, group: i32) {
        let modes = self.handed_over.map_or_else(|| self.session.modes(), |before| before.modes);
        if self.session.give_to(group) {
            self.note_handed_over(group, modes);
        }
    }

    /// The command has ended. What is left of its group keeps the terminal; if nothing is, drainit takes it back, or Ctrl-C would reach no
    /// process.
    pub(super) fn command_ended(&mut self, pid: i32, ended: Ended, is_stopping: bool) {
        let died_of = if let Ended::Killed(signal) = ended { Some(signal) } else { None };
        let by_key = self.control.ended(pid, died_of, is_stopping);
        let Some(HandedOver { group, .. }) = self.handed_over else { return };
        let by_key = by_key.filter(|_| self.session.foreground() == Some(group));
        if !self.session.has_members(group) {
            self.take_back(Some(ended));
        }
        if let Some(signal) = by_key.filter(|_| !self.session.is_pid_one()) {
            log_failure("cannot signal our own group", self.session.send_to_own_group(signal));
        }
    }

    /// Takes the terminal back if the command had it, and no other group has taken it since.
    ///
    /// A command that died of a signal may have left the terminal in any mode; shells restore it then, too.
    pub(super) fn take_back(&mut self, ended: Option<Ended>) {
        let Some(HandedOver { group, modes }) = self.handed_over else { return };
        if self.session.foreground() != Some(group) && !self.session.is_unheld() {
            return;
        }
        self.handed_over = None;
        let own = self.session.own_group();
        debug!("taking the terminal back");
        if let (Some(Ended::Killed(_)), Some(modes)) = (ended, modes) {
            self.session.set_modes(&modes);
        }
        if own > 0 && self.session.give_to(own) && !self.session.is_pid_one() {
            // A process of the group that wanted to read meanwhile was stopped.
            log_failure("cannot continue our own group", self.session.send_to_own_group(Signal::CONT));
        }
    }
}

#[cfg(test)]
mod tests;
