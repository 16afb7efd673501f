//! The controlling terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd;

/// The controlling terminal, whose foreground group this process is alone in.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Opens the controlling terminal (`/dev/tty`: stdin may be something else, or closed) where this process's group is its
    /// foreground group and `is_alone` says that nobody shares the group: in a pipeline the others need it.
    pub fn in_foreground(is_alone: impl FnOnce(i32) -> bool) -> Option<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let terminal = nix::fcntl::open("/dev/tty", flags, Mode::empty()).ok()?;
        let own = unistd::getpgrp();
        let foreground = unistd::tcgetpgrp(&terminal).ok()?;
        (foreground == own && is_alone(own.as_raw())).then_some(Self(terminal))
    }
}

/// How many columns stderr has, where it is a terminal.
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
