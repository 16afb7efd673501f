//! Job control: the command has the terminal while it runs, and the shell that started drainit hears of its stops.
//!
//! The command leads a process group of its own, so a shell that waits for drainit's group knows nothing of it. What the kernel
//! would do for a command in that group is done here (POSIX 11.1, "Job Access Control"):
//!
//! | the command was stopped by | who has the terminal | what is done |
//! |---|---|---|
//! | TTIN, TTOU: it wants the terminal | drainit's group, or a group without members | it gets the terminal, and goes on |
//! | TTIN, TTOU | a command of somebody else in drainit's group | it waits until the terminal comes back |
//! | TTIN, TTOU | somebody else | drainit's group stops too |
//! | TSTP, STOP | the command's group (Ctrl-Z went there) | drainit's group stops too |
//! | TSTP | somebody else | drainit stops too; a terminal has told the others of its group itself |
//! | STOP | somebody else | nothing yet: no terminal was involved |
//!
//! A stop signal that comes to drainit while the command is stopped already stops drainit. When the command has ended, those whom it has
//! left behind stand for it.
//!
//! Where no shell could continue drainit, the kernel would not have stopped the command in its place, and nobody is stopped here. Then
//! the command's group goes on, unless somebody has sent the signal through drainit. For one that wants a terminal that it cannot get, the
//! kernel would let the call fail; here it gets HUP and CONT, once, as the kernel has it for stopped groups that nobody can continue any more.

use std::time::Duration;

use log::{debug, info, warn};

use super::{Main, Supervisor, note};
use crate::outcome::Ended;
use crate::plan::Event;
use crate::signal::{Signal, SignalSet};
use crate::survivors;
use crate::sys::signals::{self, Received, Stopped};
use crate::sys::tty::{self, Modes, Terminal};
use crate::sys::{kill, process};

/// Between two looks at a group that is to go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long its last member may take to stop: a program may have something to put in order before it does.
const LOOK_FOR: Duration = Duration::from_secs(2);

/// What is known of the terminal.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// There is one, so the command's stops matter.
    has_terminal: bool,
    /// A group was given the foreground.
    handed_over: Option<HandedOver>,
    /// Who of the job is stopped.
    stopped: Option<i32>,
    /// drainit was stopped, and has not taken the CONT yet that ended this.
    suspended: Option<Suspended>,
    /// What was passed on: somebody wants the command to have it.
    passed_on: SignalSet,
    /// Members of this group may stop a little later than the command, and are to go on.
    goes_on: Option<GoesOn>,
    /// Somebody was told that there is no terminal.
    told: bool,
}

/// A group was given the foreground.
#[derive(Clone, Copy, Debug)]
struct HandedOver {
    /// The command's, or that of who stands for it. The terminal keeps the number of a group that is gone.
    group: i32,
    /// What the modes were.
    modes: Option<Modes>,
}

/// A group that is to go on.
#[derive(Clone, Copy, Debug)]
struct GoesOn {
    group: i32,
    /// When to look next whether anybody in it is stopped.
    next: Duration,
    until: Duration,
}

/// What drainit was stopped for.
#[derive(Clone, Copy, Debug)]
struct Suspended {
    group: i32,
    /// That group had the foreground.
    in_foreground: bool,
}

impl Jobs {
    /// Looks whether there is a terminal, and returns it where the command is to have it from the start.
    pub(super) fn begin() -> (Self, Option<Terminal>) {
        let terminal = Terminal::open();
        let jobs = Self { has_terminal: terminal.is_some(), ..Self::default() };
        (jobs, terminal.filter(is_ours_alone))
    }

    /// This group was given the terminal.
    pub(super) fn note_handed_over(&mut self, group: i32, modes: Option<Modes>) {
        self.handed_over = Some(HandedOver { group, modes });
    }

    /// Whether a stop of the command matters.
    pub(super) fn wants_stops(&self) -> bool {
        self.has_terminal
    }

    pub(super) fn note_stopped(&mut self, pid: i32) {
        self.stopped = Some(pid);
    }

    pub(super) fn note_continued(&mut self, pid: i32) {
        self.stopped = self.stopped.filter(|stopped| *stopped != pid);
    }

    /// A signal is passed on. Where a key made it, it is not somebody's wish that it stays; but a shell outside of the namespace, in whose
    /// job drainit is then, has seen that key, too.
    pub(super) fn note_forwarded(&mut self, signal: Signal, received: Option<Received>) {
        let by_key = received.is_some_and(|received| received.signal == signal && received.code > 0);
        if !(by_key && signal.is_of_terminal() && tty::own_group() > 0) {
            self.passed_on = self.passed_on.with(signal);
        }
    }

    /// When to look again whether a group goes on.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.goes_on.map(|goes_on| goes_on.next)
    }

    fn hand_over(&mut self, terminal: &Terminal, group: i32) {
        let modes = self.handed_over.map_or_else(|| terminal.modes(), |before| before.modes);
        if terminal.give_to(group) {
            self.note_handed_over(group, modes);
        }
    }

    /// The command has ended. What is left of its group keeps the terminal; where nothing is, Ctrl-C would reach nobody.
    ///
    /// Where the terminal was the command's, a Ctrl-C that it died of has not reached the others of drainit's group: a script goes
    /// on that should not.
    pub(super) fn command_ended(&mut self, pid: i32, ended: Ended, asked_with: Option<Signal>) {
        self.note_continued(pid);
        let Some(HandedOver { group, .. }) = self.handed_over else { return };
        let by_key = match ended {
            Ended::Killed(signal @ (Signal::INT | Signal::QUIT)) => Some(signal),
            Ended::Killed(_) | Ended::Exited(_) => None,
        };
        let by_key = by_key.filter(|signal| asked_with.is_none() && !self.passed_on.contains(*signal));
        let had_it =
            by_key.is_some() && Terminal::open().and_then(|terminal| terminal.foreground()) == Some(group);
        if !kill::has_members(group) {
            self.take_back(Some(ended));
        }
        if let (Some(signal), true) = (by_key, had_it && !process::is_pid_one()) {
            note("cannot tell our own group", kill::send_to_own_group(signal));
        }
    }

    /// Takes the terminal back where the command had it, and nobody else has taken it since.
    ///
    /// Who died of a signal may have left the terminal in any mode, as shells know, too.
    #[cold]
    pub(super) fn take_back(&mut self, ended: Option<Ended>) {
        let Some(HandedOver { group, modes }) = self.handed_over else { return };
        let Some(terminal) = Terminal::open() else { return };
        if terminal.foreground() != Some(group) && !terminal.is_nobodys() {
            return;
        }
        self.handed_over = None;
        let own = tty::own_group();
        debug!("taking the terminal back");
        if let (Some(Ended::Killed(_)), Some(modes)) = (ended, modes) {
            terminal.set_modes(&modes);
        }
        if own > 0 && terminal.give_to(own) && !process::is_pid_one() {
            // Who wanted to read meanwhile was stopped.
            note("cannot continue our own group", kill::send_to_own_group(Signal::CONT));
        }
    }
}

/// Whether the terminal is there for this process alone: others of its group, in a pipeline or a script, need it.
///
/// Who does not lead its group was started by somebody who did, and who may have left just now (`( drainit & )`): then the shell is about
/// to take the terminal, and must not lose it again.
fn is_ours_alone(terminal: &Terminal) -> bool {
    let own = tty::own_group();
    own == process::id() && terminal.is_ours() && !tty::is_in_pipeline() && !survivors::shares_group(own)
}

impl Supervisor {
    /// Whether this child's stop is the job's: the command's own, and when that has ended anybody's whom it has left behind.
    pub(super) fn is_of_job(&self, pid: i32) -> bool {
        self.main.is(pid) || (self.main.pid().is_none() && !self.is_step(pid))
    }

    /// A new stop of the job, or a stop signal that came while it was stopped already.
    #[inline]
    pub(super) fn mind_stops(&mut self, stopped: Option<(i32, Signal)>, event: Option<Event>) {
        if !self.jobs.has_terminal || self.killing {
            return;
        }
        match (stopped, self.jobs.stopped, event) {
            (Some((pid, by)), _, _) => self.job_stopped(pid, by),
            (None, Some(pid), Some(Event::Signal(signal)))
                if signal.is_of_terminal() && can_be_suspended(signal) =>
            {
                let group = process::group_of(pid).unwrap_or(pid);
                self.suspend(signal, Stopped::OwnProcess, Suspended { group, in_foreground: false });
            }
            _ => {}
        }
    }

    /// What a shell would have seen of the job, it sees of drainit.
    // Cold: see `perform`.
    #[cold]
    fn job_stopped(&mut self, pid: i32, by: Signal) {
        info!("{pid} was stopped by {by}");
        let Some(group) = process::group_of(pid) else { return };
        let terminal = Terminal::open();
        let wants_terminal = matches!(by, Signal::TTIN | Signal::TTOU);
        if let (true, Some(terminal)) = (wants_terminal, &terminal)
            && (terminal.is_ours() || terminal.is_nobodys())
        {
            self.jobs.hand_over(terminal, group);
            return continue_group(group);
        }
        let foreground = terminal.as_ref().and_then(Terminal::foreground);
        if wants_terminal && foreground.is_some_and(survivors::is_held_by_sibling) {
            return;
        }
        let in_foreground = foreground == Some(group);
        if !in_foreground && !by.is_of_terminal() {
            return;
        }
        // STOP would stop us where nobody could continue us.
        let signal = if by.is_of_terminal() { by } else { Signal::TSTP };
        if can_be_suspended(signal) {
            if let (true, Some(terminal)) = (in_foreground, &terminal) {
                terminal.give_to(tty::own_group());
            }
            drop(terminal);
            let who = if in_foreground || wants_terminal { Stopped::OwnGroup } else { Stopped::OwnProcess };
            self.suspend(signal, who, Suspended { group, in_foreground });
        } else if !wants_terminal {
            if !self.jobs.passed_on.contains(by) {
                self.let_go_on(group);
            }
        } else if !process::is_pid_one() && !std::mem::replace(&mut self.jobs.told, true) {
            warn!("{pid} wants a terminal that nobody can give it: sending HUP");
            note("cannot tell it", kill::send_to_group(group, Signal::HUP));
            continue_group(group);
        }
    }

    /// Stops drainit until it is continued.
    fn suspend(&mut self, signal: Signal, who: Stopped, why: Suspended) {
        // A CONT that is waiting already came after the stop, and a new stop signal would take it away.
        if !self.signals.has(Signal::CONT) {
            signals::suspend(signal, who);
        }
        self.jobs.suspended = Some(why);
    }

    /// The group goes on, and those of it who have yet to stop.
    fn let_go_on(&mut self, group: i32) {
        continue_group(group);
        let now = self.clock.now();
        self.jobs.goes_on =
            Some(GoesOn { group, next: now.saturating_add(LOOK_EVERY), until: now.saturating_add(LOOK_FOR) });
    }

    /// Looks whether the group that is to go on does.
    pub(super) fn mind_the_slow(&mut self) {
        let now = self.clock.now();
        let Some(GoesOn { group, until, .. }) = self.jobs.goes_on.filter(|goes_on| goes_on.next <= now)
        else {
            return;
        };
        self.jobs.goes_on =
            (now < until).then(|| GoesOn { group, next: now.saturating_add(LOOK_EVERY), until });
        if self.main.is(group) && survivors::has_stopped(group) {
            continue_group(group);
        }
    }

    /// CONT has come. Returns whether that was all about job control, and nothing that has to be passed on.
    // Cold: see `perform`.
    #[cold]
    pub(super) fn continued(&mut self) -> bool {
        for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU] {
            self.jobs.passed_on = self.jobs.passed_on.without(signal);
        }
        if !self.jobs.has_terminal {
            return false;
        }
        let suspended = self.jobs.suspended.take();
        let group = suspended.map(|suspended| suspended.group).or(self.main.pid());
        let had_it = suspended.is_some_and(|suspended| suspended.in_foreground);
        if let (Some(group), Some(terminal)) = (group, Terminal::open())
            && terminal.is_ours()
            && (had_it || is_ours_alone(&terminal))
        {
            self.jobs.hand_over(&terminal, group);
        }
        match (suspended, self.main) {
            (Some(_), Main::Alive(main)) => {
                continue_group(main);
                true
            }
            // Who is left when the command is gone may be in many groups.
            _ => false,
        }
    }
}

/// Whether the kernel would stop this process, and somebody could continue it.
fn can_be_suspended(signal: Signal) -> bool {
    let own = tty::own_group();
    own > 0 && !process::is_pid_one() && !signals::is_ignored(signal) && !survivors::is_orphaned(own)
}

/// The group of a child that was not reaped, so that its number cannot be somebody else's.
fn continue_group(group: i32) {
    note("cannot continue the group", kill::send_to_group(group, Signal::CONT));
}
