//! The controlling terminal.
//!
//! A process outside of its foreground may give it away only while TTOU is blocked (tcsetpgrp(3)); drainit blocks every signal.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{self, Pid};

use super::{check, descriptors, kill, process, signals, stderr};
use crate::signal::Signal;

/// The controlling terminal.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

/// How a terminal treats what is typed: echo, lines, keys that send signals (termios(3)).
#[derive(Clone, Copy)]
pub struct Modes(libc::termios);

impl Terminal {
    /// Opens it, by `/dev/tty`: stdin may be something else, or closed. `None` if this process has none.
    #[must_use]
    pub fn open() -> Option<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = nix::fcntl::open(c"/dev/tty", flags, Mode::empty()).ok()?;
        // If stderr is closed, log lines must not come out here.
        descriptors::above_standard(opened).ok().map(Self)
    }

    /// Whether this process's group is the terminal's foreground group.
    #[must_use]
    pub fn own_group_is_foreground(&self) -> bool {
        match own_group() {
            // A group of the outer namespace has the number 0 here, like any other such group, so numbers cannot be compared.
            0 => self.lets_us_read(),
            own => self.foreground() == Some(own),
        }
    }

    /// Whether its foreground group has no members any more that could give it away, or read.
    #[must_use]
    pub fn is_unheld(&self) -> bool {
        self.foreground().is_some_and(|group| group > 1 && !kill::has_members(group))
    }

    /// The kernel refuses a read from the background while TTIN is blocked, even of zero bytes (`EIO`, read(2)).
    fn lets_us_read(&self) -> bool {
        unistd::read(&self.0, &mut []).is_ok()
    }

    /// The number of its foreground group, which may have no members any more.
    #[must_use]
    pub fn foreground(&self) -> Option<i32> {
        unistd::tcgetpgrp(&self.0).ok().map(Pid::as_raw)
    }

    /// Makes this group the foreground group. Returns whether it is that now.
    pub fn give_to(&self, group: i32) -> bool {
        unistd::tcsetpgrp(&self.0, Pid::from_raw(group)).is_ok()
    }

    /// Its present modes.
    #[must_use]
    pub fn modes(&self) -> Option<Modes> {
        let mut modes = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: the pointer is to a termios of ours.
        check(libc::c_long::from(unsafe { libc::tcgetattr(self.0.as_raw_fd(), modes.as_mut_ptr()) })).ok()?;
        // SAFETY: zeroed is a valid termios, and the kernel has filled it in.
        Some(Modes(unsafe { modes.assume_init() }))
    }

    /// Gives it these modes at once, without waiting for output: a terminal that was halted (Ctrl-S) takes none.
    pub fn set_modes(&self, modes: &Modes) {
        // SAFETY: the pointer is to a termios that outlives the call.
        unsafe { libc::tcsetattr(self.0.as_raw_fd(), libc::TCSANOW, &raw const modes.0) };
    }
}

impl std::fmt::Debug for Modes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modes").finish_non_exhaustive()
    }
}

/// The process group of this process; 0 if it belongs to the outer namespace.
#[must_use]
pub fn own_group() -> i32 {
    unistd::getpgrp().as_raw()
}

/// Leaves the session, and with it the terminal. Then this process no longer keeps `group`, a child's group, from being orphaned. Returns
/// whether that was possible: a group that this process leads must have no other member.
pub fn leave_session(group: i32) -> bool {
    let before = process::session_of(process::id());
    let own = unistd::getpgrp();
    let leaves = || unistd::setsid().is_ok();
    let this = Pid::from_raw(0);
    let has_left = leaves()
        || (unistd::setpgid(this, Pid::from_raw(group)).is_ok()
            && (leaves() || {
                let _ = unistd::setpgid(this, own);
                false
            }));
    if has_left {
        process::note_session(before);
    }
    has_left
}

/// A visit to a child's group: meanwhile this process does not keep it from being orphaned. Whatever is sent to that group then reaches this
/// process too.
#[derive(Debug)]
pub struct GroupVisit {
    home: Pid,
}

impl GroupVisit {
    /// Joins `group`. `None` if this process leads its session, and so may not.
    #[must_use]
    pub fn to(group: i32) -> Option<Self> {
        let visit = Self { home: unistd::getpgrp() };
        unistd::setpgid(Pid::from_raw(0), Pid::from_raw(group)).ok().map(|()| visit)
    }

    /// Continues the group, this process apart.
    pub fn continue_others(&self) {
        let _ = kill::send_to_own_group(Signal::CONT);
        signals::take_back(Signal::CONT);
    }
}

impl Drop for GroupVisit {
    fn drop(&mut self) {
        let _ = unistd::setpgid(Pid::from_raw(0), self.home);
    }
}

/// Whether stdin or stdout is a pipe: then other processes may be about to join this process's group.
#[must_use]
pub fn is_in_pipeline() -> bool {
    [libc::STDIN_FILENO, libc::STDOUT_FILENO]
        .into_iter()
        .any(|descriptor| stderr::kind_of(descriptor) == libc::S_IFIFO)
}

/// How many columns stderr has, if it is a terminal.
#[must_use]
pub fn width_of_stderr() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointer is to a winsize of ours.
    let found = unsafe { libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    // A terminal that does not know its size says 0.
    (found == 0).then(|| if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) })
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
