//! Job control: the command has the terminal while it runs, and the shell that started drainit hears of its stops.
//!
//! The command leads a process group of its own, so a shell that waits for drainit's group knows nothing of it. What the kernel
//! would do for a command in that group is done here (POSIX 11.1, "Job Access Control"):
//!
//! | the command was stopped by | who has the terminal | what is done |
//! |---|---|---|
//! | TTIN, TTOU: it wants the terminal | drainit's group | it gets the terminal, and goes on |
//! | TTIN, TTOU | somebody else | drainit's group stops too |
//! | TSTP, STOP | the command's group (Ctrl-Z went there) | drainit's group stops too |
//! | TSTP | somebody else | drainit stops too; a terminal has told the others of its group itself |
//! | STOP | somebody else | nothing: no terminal was involved |
//!
//! Where no shell could continue drainit, the kernel does not stop it, and would not have stopped the command in its place.
//! Then the command goes on after a TSTP that was not sent through drainit.

use log::{debug, info};

use super::{Main, Supervisor, note};
use crate::signal::Signal;
use crate::survivors;
use crate::sys::signals::{self, Stopped};
use crate::sys::tty::{self, Modes, Terminal};
use crate::sys::{kill, process};

/// What is known of the terminal.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// There is one, so the command's stops matter.
    has_terminal: bool,
    /// The command's group was given the foreground.
    handed_over: Option<HandedOver>,
    /// drainit was stopped, and has not taken the CONT yet that ended this.
    suspended: Option<Suspended>,
    /// The last stop signal that was passed on; somebody wants the command to stop.
    wanted: Option<Signal>,
}

/// The command's group was given the foreground.
#[derive(Clone, Copy, Debug)]
struct HandedOver {
    /// The command's pid, also when it has been reaped: the terminal keeps the number of a group that is gone.
    group: i32,
    /// What the modes were.
    modes: Option<Modes>,
}

#[derive(Clone, Copy, Debug)]
struct Suspended {
    /// The command had the foreground.
    in_foreground: bool,
}

impl Jobs {
    /// Looks whether there is a terminal, and returns it where the command is to have it from the start.
    pub(super) fn begin() -> (Self, Option<Terminal>) {
        let terminal = Terminal::open();
        let jobs = Self { has_terminal: terminal.is_some(), ..Self::default() };
        (jobs, terminal.filter(is_ours_alone))
    }

    /// The command was started with the terminal as its own.
    pub(super) fn note_handed_over(&mut self, group: i32, modes: Option<Modes>) {
        self.handed_over = Some(HandedOver { group, modes });
    }

    /// Whether a stop of the command matters.
    pub(super) fn wants_stops(&self) -> bool {
        self.has_terminal
    }

    /// A signal is passed on.
    pub(super) fn note_forwarded(&mut self, signal: Signal) {
        if signal.is_of_terminal() {
            self.wanted = Some(signal);
        }
    }

    fn hand_over(&mut self, terminal: &Terminal, group: i32) {
        let modes = self.handed_over.map_or_else(|| terminal.modes(), |before| before.modes);
        if terminal.give_to(group) {
            self.note_handed_over(group, modes);
        }
    }

    /// The command has ended. What is left of its group keeps the terminal; where nothing is, Ctrl-C would reach nobody.
    pub(super) fn command_ended(&mut self, main: Main) {
        if self.handed_over.is_some_and(|before| !kill::has_members(before.group)) {
            self.take_back(main);
        }
    }

    /// Takes the terminal back where the command had it, and nobody else has taken it since.
    ///
    /// Who died of a signal may have left the terminal in any mode, as shells know, too.
    #[cold]
    pub(super) fn take_back(&mut self, main: Main) {
        let Some(HandedOver { group, modes }) = self.handed_over else { return };
        let Some(terminal) = Terminal::open() else { return };
        let is_free = |foreground| foreground == group || (foreground > 1 && !kill::has_members(foreground));
        if !terminal.foreground().is_some_and(is_free) {
            return;
        }
        self.handed_over = None;
        let own = tty::own_group();
        debug!("taking the terminal back");
        if let (Main::Gone(crate::outcome::Ended::Killed(_)), Some(modes)) = (main, modes) {
            terminal.set_modes(&modes);
        }
        if own > 0 && terminal.give_to(own) && !process::is_pid_one() {
            // Who wanted to read meanwhile was stopped.
            note("cannot continue our own group", kill::send_to_own_group(Signal::CONT));
        }
    }
}

/// Whether the terminal is there for this process alone: others of its group, in a pipeline or a script, need it.
fn is_ours_alone(terminal: &Terminal) -> bool {
    let own = tty::own_group();
    own > 0 && terminal.is_ours() && !tty::is_in_pipeline() && !survivors::shares_group(own)
}

impl Supervisor {
    /// The command was stopped: what a shell would have seen of it, it sees of drainit.
    // Cold: see `perform`.
    #[cold]
    pub(super) fn command_stopped(&mut self, by: Signal) {
        let (Main::Alive(main), false) = (self.main, self.killing) else { return };
        let Some(terminal) = Terminal::open() else { return };
        info!("the command ({main}) was stopped by {by}");
        let wants_terminal = matches!(by, Signal::TTIN | Signal::TTOU);
        if wants_terminal && terminal.is_ours() {
            self.jobs.hand_over(&terminal, main);
            return self.continue_command(main);
        }
        let in_foreground = terminal.foreground() == Some(main);
        if !in_foreground && !by.is_of_terminal() {
            return;
        }
        if in_foreground {
            terminal.give_to(tty::own_group());
        }
        drop(terminal);
        let who = if in_foreground || wants_terminal { Stopped::OwnGroup } else { Stopped::OwnProcess };
        // STOP would stop us where nobody could continue us.
        let signal = if by.is_of_terminal() { by } else { Signal::TSTP };
        if !process::is_pid_one() && signals::suspend(signal, who) {
            self.jobs.suspended = Some(Suspended { in_foreground });
            return;
        }
        if in_foreground && let Some(terminal) = Terminal::open() {
            terminal.give_to(main);
        }
        if by == Signal::TSTP && self.jobs.wanted != Some(by) {
            self.continue_command(main);
        }
    }

    /// CONT has come. Returns whether that was all about job control, and nothing that has to be passed on.
    // Cold: see `perform`.
    #[cold]
    pub(super) fn continued(&mut self) -> bool {
        self.jobs.wanted = None;
        let (true, Main::Alive(main)) = (self.jobs.wants_stops(), self.main) else { return false };
        let suspended = self.jobs.suspended.take();
        let had_it = suspended.is_some_and(|suspended| suspended.in_foreground);
        if let Some(terminal) = Terminal::open()
            && terminal.is_ours()
            && (had_it || is_ours_alone(&terminal))
        {
            self.jobs.hand_over(&terminal, main);
        }
        if suspended.is_some() {
            self.continue_command(main);
        }
        suspended.is_some()
    }

    fn continue_command(&mut self, main: i32) {
        note("cannot continue the command", kill::send_to_group(main, Signal::CONT));
    }
}
