//! What job control sees of the terminal and of the processes of its session, and does to them. Tests put another one in its place.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use crate::plan::job_control::Holder;
use crate::plan::sorted::Set;
use crate::processes;
use crate::say::info;
use crate::signal::{Signal, SignalSet};
use crate::sys::signals::{self, Scope};
use crate::sys::tty::{self, GroupVisit, Modes, Terminal};
use crate::sys::{kill, process};

/// How long drainit stays in a group that it has continued, so that the call that wants the terminal fails. A call that comes later stops
/// the process again.
const VISIT: Duration = Duration::from_millis(20);

/// A session, its terminal, and drainit's place in it.
pub(in crate::supervisor) trait Session {
    /// The terminal's modes.
    type Modes: Copy + Debug;

    fn is_pid_one(&self) -> bool;
    /// 0 if drainit's group belongs to the outer namespace.
    fn own_group(&self) -> i32;
    fn group_of(&self, pid: i32) -> Option<i32>;

    fn has_terminal(&self) -> bool;
    /// Whose group has the terminal's foreground, seen from a process of `group`.
    fn holder(&self, group: i32) -> Holder;
    /// The group that has the foreground; it may have no members any more.
    fn foreground(&self) -> Option<i32>;
    /// Whether that group has no members.
    fn is_unheld(&self) -> bool;
    /// Whether that group is drainit's.
    fn has_foreground(&self) -> bool;
    /// The same, and no other process needs the terminal.
    fn has_foreground_alone(&self) -> bool;
    /// Returns whether the group has the foreground now.
    fn give_to(&self, group: i32) -> bool;
    fn modes(&self) -> Option<Self::Modes>;
    fn set_modes(&self, modes: &Self::Modes);

    fn has_members(&self, group: i32) -> bool;
    fn has_stopped(&self, group: i32) -> bool;
    fn is_alone_in(&self, group: i32) -> bool;
    fn is_orphaned(&self, group: i32) -> bool;
    /// The groups in which a process is stopped.
    fn stopped(&self) -> Set<i32>;

    /// Whether the kernel would stop drainit, and a shell could continue it.
    fn can_be_suspended(&self, signal: Signal) -> bool;
    /// Stops drainit, and returns when it was continued.
    fn suspend(&self, signal: Signal, scope: Scope);
    /// Leaves the session, so that `group` can be orphaned; returns whether that was possible.
    fn leave(&self, group: i32) -> bool;
    /// Continues a group that is orphaned while drainit is a member, if drainit can be. What the command sends to its own group then reaches
    /// drainit, too; so this is not tried first. Returns whether that was possible.
    fn visit(&self, group: i32) -> bool;
    fn send_to_group(&self, group: i32, signal: Signal) -> io::Result<()>;
    fn send_to_own_group(&self, signal: Signal) -> io::Result<()>;
}

/// drainit's own.
#[derive(Clone, Copy, Debug)]
pub(in crate::supervisor) struct Own;

impl Session for Own {
    type Modes = Modes;

    fn is_pid_one(&self) -> bool {
        process::is_pid_one()
    }

    fn own_group(&self) -> i32 {
        tty::own_group()
    }

    fn group_of(&self, pid: i32) -> Option<i32> {
        process::group_of(pid)
    }

    fn has_terminal(&self) -> bool {
        Terminal::open().is_some()
    }

    fn holder(&self, group: i32) -> Holder {
        let Some(terminal) = Terminal::open() else { return Holder::Other };
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

    fn foreground(&self) -> Option<i32> {
        Terminal::open()?.foreground()
    }

    fn is_unheld(&self) -> bool {
        Terminal::open().is_some_and(|terminal| terminal.is_unheld())
    }

    fn has_foreground(&self) -> bool {
        Terminal::open().is_some_and(|terminal| terminal.own_group_is_foreground())
    }

    fn has_foreground_alone(&self) -> bool {
        Terminal::open().is_some_and(|terminal| is_drainits_alone(&terminal))
    }

    fn give_to(&self, group: i32) -> bool {
        Terminal::open().is_some_and(|terminal| terminal.give_to(group))
    }

    fn modes(&self) -> Option<Modes> {
        Terminal::open()?.modes()
    }

    fn set_modes(&self, modes: &Modes) {
        Terminal::open().into_iter().for_each(|terminal| terminal.set_modes(modes));
    }

    fn has_members(&self, group: i32) -> bool {
        kill::has_members(group)
    }

    fn has_stopped(&self, group: i32) -> bool {
        processes::has_stopped(group)
    }

    fn is_alone_in(&self, group: i32) -> bool {
        processes::is_alone_in(group)
    }

    fn is_orphaned(&self, group: i32) -> bool {
        processes::is_orphaned(group)
    }

    fn stopped(&self) -> Set<i32> {
        processes::stopped()
    }

    fn can_be_suspended(&self, signal: Signal) -> bool {
        let own = tty::own_group();
        own > 0 && !process::is_pid_one() && !signals::is_ignored(signal) && !processes::is_orphaned(own)
    }

    fn suspend(&self, signal: Signal, scope: Scope) {
        signals::suspend(signal, scope);
    }

    fn leave(&self, group: i32) -> bool {
        tty::leave_session(group)
    }

    fn visit(&self, group: i32) -> bool {
        let Some(visit) = GroupVisit::to(group) else { return false };
        let is_orphaned = processes::is_orphaned(group);
        if is_orphaned {
            info!("no process can bring the group {group} to the foreground: drainit joins it for a moment");
            visit.continue_others();
            signals::wait(SignalSet::default(), Some(VISIT));
        }
        is_orphaned
    }

    fn send_to_group(&self, group: i32, signal: Signal) -> io::Result<()> {
        kill::send_to_group(group, signal)
    }

    fn send_to_own_group(&self, signal: Signal) -> io::Result<()> {
        kill::send_to_own_group(signal)
    }
}

/// Whether drainit has the terminal to itself: other members of its group, in a pipeline or a script, would need it.
///
/// A process that does not lead its group was started by one that did, and that may have just exited (`( drainit & )`): then the shell is
/// about to take the terminal, and must not lose it again.
pub(super) fn is_drainits_alone(terminal: &Terminal) -> bool {
    let own = tty::own_group();
    own == process::id()
        && terminal.own_group_is_foreground()
        && !tty::is_in_pipeline()
        && !processes::shares_group(own)
}
