//! The command as a shell's job: this observes and performs what [`JobControl`] decides.

use std::time::Duration;

use super::log_failure;
use crate::outcome::Ended;
use crate::plan::job_control::{Holder, JobAction, JobControl, Otherwise, Standing, Stopped};
use crate::plan::sorted::Set;
use crate::processes;
use crate::say::{debug, info, warn};
use crate::signal::{Signal, SignalSet};
use crate::sys::signal_queue::SignalQueue;
use crate::sys::signals::{self, Received, Scope};
use crate::sys::tty::{self, GroupVisit, Modes, Terminal};
use crate::sys::{kill, process};

/// How long drainit stays in a group that it has continued, so that the call that wants the terminal fails. A call that comes later stops
/// the process again.
const VISIT: Duration = Duration::from_millis(20);

/// What is known of the terminal.
#[derive(Debug, Default)]
pub(super) struct Job {
    /// There is a terminal, so the command's stops matter.
    has_terminal: bool,
    /// drainit's parent, which may be a shell.
    parent: i32,
    /// The group that was given the foreground, if one was.
    handed_over: Option<HandedOver>,
    control: JobControl,
}

/// A group was given the foreground.
#[derive(Clone, Copy, Debug)]
struct HandedOver {
    /// The command's group, or that of a process that has taken its place. The terminal keeps the number of a group that is gone.
    group: i32,
    /// The terminal's modes before that.
    modes: Option<Modes>,
}

impl Job {
    /// Looks whether there is a terminal, and returns it if the command gets it from the start.
    pub(super) fn begin() -> (Self, Option<Terminal>) {
        let terminal = Terminal::open();
        let job = Self { has_terminal: terminal.is_some(), ..Self::default() };
        (job, terminal.filter(is_drainits_alone))
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

    pub(super) fn begin_looks(&mut self, now: Duration) {
        if self.has_terminal && !process::is_pid_one() {
            self.control.begin_looks(now);
        }
    }

    /// Whether it is time for a look.
    pub(super) fn tick_looks(&mut self, now: Duration) -> bool {
        self.control.tick_looks(now)
    }

    /// Something has happened that may have made the terminal unreachable, or stopped a process without a word to drainit.
    pub(super) fn look(&mut self, main: Option<i32>) {
        let own = tty::own_group();
        if !self.has_terminal || own == 0 || process::is_pid_one() {
            return;
        }
        let terminal = Terminal::open();
        let group = main.and_then(process::group_of).or_else(|| self.handed_over.map(|given| given.group));
        let held_by = holder(terminal.as_ref(), group.unwrap_or_default());
        // The processes need not be read then.
        if held_by != Holder::Other {
            return;
        }
        let is_orphaned = processes::is_orphaned(own);
        let stopped = if is_orphaned { processes::stopped() } else { Set::default() };
        let Some(group) = stopped.iter().next().or(group) else { return };
        let standing = Standing {
            group,
            has_stopped: !stopped.is_empty(),
            terminal: held_by,
            is_orphaned,
            is_alone: is_orphaned && processes::is_alone_in(own),
            has_terminal: terminal.is_some(),
        };
        drop(terminal);
        if let JobAction::LetGo { group, otherwise } = self.control.look(standing) {
            self.let_go(group, otherwise);
        }
    }

    /// This group was given the terminal.
    pub(super) fn note_handed_over(&mut self, group: i32, modes: Option<Modes>) {
        self.handed_over = Some(HandedOver { group, modes });
    }

    /// Whether a stop of the command matters.
    pub(super) fn wants_stops(&self) -> bool {
        self.has_terminal
    }

    pub(super) fn continued(&mut self, pid: i32) {
        self.control.continued(pid);
    }

    /// A signal is forwarded. If it came from a key, the command need not stay stopped, unless a shell outside of the namespace has drainit
    /// as its job: that shell has seen the key, too. Returns the group to continue: Ctrl-C after Ctrl-Z ends it.
    pub(super) fn forwarded(&mut self, signal: Signal, received: Option<Received>) -> Option<i32> {
        let by_key = received.is_some_and(|received| received.signal == signal && received.code > 0);
        self.control.forwarded(signal, by_key && tty::own_group() > 0);
        self.control.stopped_group().filter(|_| by_key && matches!(signal, Signal::INT | Signal::QUIT))
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.control.deadline()
    }

    /// A process of the job was stopped. The shell sees drainit stop in its place.
    pub(super) fn stopped(&mut self, now: Duration, pid: i32, by: Signal, queue: &SignalQueue) {
        info!("{pid} was stopped by {by}");
        let Some(group) = process::group_of(pid) else { return };
        let terminal = Terminal::open();
        let stop = Stopped {
            pid,
            group,
            by,
            terminal: holder(terminal.as_ref(), group),
            can_suspend: can_be_suspended(if by.is_of_terminal() { by } else { Signal::TSTP }),
            is_pid_one: process::is_pid_one(),
        };
        let action = self.control.stopped(now, stop);
        self.perform(action, terminal, queue);
    }

    /// A stop signal came to drainit.
    pub(super) fn stop_signal(&mut self, signal: Signal, queue: &SignalQueue) {
        if self.has_terminal && self.control.is_stopped() && signal.is_of_terminal() {
            let action = self.control.stop_signal(signal, can_be_suspended(signal));
            self.perform(action, None, queue);
        }
    }

    fn perform(&mut self, action: JobAction, terminal: Option<Terminal>, queue: &SignalQueue) {
        match action {
            JobAction::Nothing => {}
            JobAction::HandOver { group } => {
                if let Some(terminal) = terminal {
                    self.hand_over(&terminal, group);
                }
                continue_group(group);
            }
            JobAction::SuspendGroup { signal, takes_back } => {
                if let (true, Some(terminal)) = (takes_back, &terminal) {
                    terminal.give_to(tty::own_group());
                }
                drop(terminal);
                suspend(signal, Scope::OwnGroup, queue);
            }
            JobAction::SuspendSelf { signal } => {
                drop(terminal);
                suspend(signal, Scope::OwnProcess, queue);
            }
            JobAction::Continue { group } => continue_group(group),
            JobAction::LetGo { group, otherwise } => {
                drop(terminal);
                self.let_go(group, otherwise);
            }
        }
    }

    /// Lets go of `group`, and of every group in which a process is stopped: drainit no longer keeps them from being orphaned, and continues
    /// them.
    fn let_go(&mut self, group: i32, otherwise: Otherwise) {
        let mut groups = processes::stopped();
        groups.insert(group);
        if tty::leave_session(group) {
            info!("no process can bring the group {group} to the foreground: drainit has left the session");
            self.has_terminal = false;
            self.control.left();
        } else if otherwise == Otherwise::HangUp {
            warn!("the command's group {group} wants a terminal that it cannot get: sending HUP");
            self.control.hung_up();
            log_failure("cannot send HUP", kill::send_to_group(group, Signal::HUP));
        } else {
            let mut has_visited = false;
            groups.iter().for_each(|group| has_visited |= visit(group));
            if has_visited || otherwise == Otherwise::Join {
                return;
            }
        }
        groups.iter().for_each(continue_group);
    }

    /// Continues the group that is to keep running if a member has stopped later than its leader. `main` is main's pid while it lives.
    pub(super) fn continue_stragglers(&mut self, now: Duration, main: Option<i32>) {
        if let Some(group) = self.control.tick(now)
            && main == Some(group)
            && processes::has_stopped(group)
        {
            continue_group(group);
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
        if let (Some(group), Some(terminal)) = (group, Terminal::open())
            && terminal.own_group_is_foreground()
            && (had_it || is_drainits_alone(&terminal))
        {
            self.hand_over(&terminal, group);
        }
        match (suspended, main) {
            (Some(_), Some(main)) => {
                continue_group(main);
                true
            }
            // The processes that are left when the command is gone may be in many groups, so CONT is forwarded.
            _ => false,
        }
    }

    fn hand_over(&mut self, terminal: &Terminal, group: i32) {
        let modes = self.handed_over.map_or_else(|| terminal.modes(), |before| before.modes);
        if terminal.give_to(group) {
            self.note_handed_over(group, modes);
        }
    }

    /// The command has ended. What is left of its group keeps the terminal; if nothing is, drainit takes it back, or Ctrl-C would reach no
    /// process.
    ///
    /// If the command had the terminal and died of a Ctrl-C, that key has not reached the other processes of drainit's group: a script
    /// would go on.
    pub(super) fn command_ended(&mut self, pid: i32, ended: Ended, was_signalled: bool) {
        self.control.continued(pid);
        let Some(HandedOver { group, .. }) = self.handed_over else { return };
        let by_key = match ended {
            Ended::Killed(signal @ (Signal::INT | Signal::QUIT)) => Some(signal),
            Ended::Killed(_) | Ended::Exited(_) => None,
        };
        let by_key = by_key.filter(|signal| !was_signalled && !self.control.has_forwarded(*signal));
        let had_it =
            by_key.is_some() && Terminal::open().and_then(|terminal| terminal.foreground()) == Some(group);
        if !kill::has_members(group) {
            self.take_back(Some(ended));
        }
        if let (Some(signal), true) = (by_key, had_it && !process::is_pid_one()) {
            log_failure("cannot signal our own group", kill::send_to_own_group(signal));
        }
    }

    /// Takes the terminal back if the command had it, and no other group has taken it since.
    ///
    /// A command that died of a signal may have left the terminal in any mode; shells restore it then, too.
    pub(super) fn take_back(&mut self, ended: Option<Ended>) {
        let Some(HandedOver { group, modes }) = self.handed_over else { return };
        let Some(terminal) = Terminal::open() else { return };
        if terminal.foreground() != Some(group) && !terminal.is_unheld() {
            return;
        }
        self.handed_over = None;
        let own = tty::own_group();
        debug!("taking the terminal back");
        if let (Some(Ended::Killed(_)), Some(modes)) = (ended, modes) {
            terminal.set_modes(&modes);
        }
        if own > 0 && terminal.give_to(own) && !process::is_pid_one() {
            // A process of the group that wanted to read meanwhile was stopped.
            log_failure("cannot continue our own group", kill::send_to_own_group(Signal::CONT));
        }
    }
}

/// Whose group has the terminal's foreground, seen from a process of `group`.
fn holder(terminal: Option<&Terminal>, group: i32) -> Holder {
    let Some(terminal) = terminal else { return Holder::Other };
    let foreground = terminal.foreground();
    if foreground == Some(group) {
        Holder::Job
    } else if terminal.own_group_is_foreground() {
        Holder::Own
    } else if terminal.is_unheld() {
        Holder::Empty
    } else if foreground.is_some_and(processes::is_held_by_sibling) {
        Holder::Sibling
    } else {
        Holder::Other
    }
}

/// Whether drainit has the terminal to itself: other members of its group, in a pipeline or a script, would need it.
///
/// A process that does not lead its group was started by one that did, and that may have just exited (`( drainit & )`): then the shell is
/// about to take the terminal, and must not lose it again.
fn is_drainits_alone(terminal: &Terminal) -> bool {
    let own = tty::own_group();
    own == process::id()
        && terminal.own_group_is_foreground()
        && !tty::is_in_pipeline()
        && !processes::shares_group(own)
}

/// Whether the kernel would stop this process, and a shell could continue it.
fn can_be_suspended(signal: Signal) -> bool {
    let own = tty::own_group();
    own > 0 && !process::is_pid_one() && !signals::is_ignored(signal) && !processes::is_orphaned(own)
}

/// Stops drainit until it is continued.
fn suspend(signal: Signal, scope: Scope, queue: &SignalQueue) {
    // If a CONT is pending, it came after the stop, and a new stop signal would discard it.
    if !queue.has(Signal::CONT) {
        signals::suspend(signal, scope);
    }
}

/// Continues a group that is orphaned while drainit is a member, if drainit can be. What the command sends to its own group then reaches drainit,
/// too; so this is not tried first. Returns whether that was possible.
fn visit(group: i32) -> bool {
    let Some(visit) = GroupVisit::to(group) else { return false };
    let is_orphaned = processes::is_orphaned(group);
    if is_orphaned {
        info!("no process can bring the group {group} to the foreground: drainit joins it for a moment");
        visit.continue_others();
        signals::wait(SignalSet::default(), Some(VISIT));
    }
    is_orphaned
}

/// Continues the group of a child that was not reaped, so that its number cannot belong to another group.
pub(super) fn continue_group(group: i32) {
    log_failure("cannot continue the group", kill::send_to_group(group, Signal::CONT));
}
