//! Writing to stderr without ever waiting for its reader.
//!
//! The reader of our stderr may be slow, stuck or gone, and an init that waits for it hangs with all its children. Setting `O_NONBLOCK`
//! would change the open file that the command shares with us, so pipes and terminals are opened again; sockets take a flag per message;
//! files do not block. What cannot be opened again is polled first, and written to in pieces for which there is room then: `PIPE_BUF` for a
//! pipe, and less for a terminal.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::descriptors::{above_standard, may_open};
use super::{check, signals};
use crate::signal::Signal;

/// How often to try a line again that was refused although there is room for it.
const TRIES: usize = 16;

/// What a pipe takes in one piece (pipe(7), `PIPE_BUF`).
pub const LONGEST_LINE: usize = libc::PIPE_BUF;

/// What a terminal takes in one piece: one that polls as writable has room for 256 bytes at least, and may write two for one.
const TERMINAL_PIECE: usize = 64;

/// The way to write there without waiting.
#[derive(Debug)]
enum Way {
    Plainly,
    AsMessage,
    Reopened(OwnedFd),
    PollFirst,
    /// The same, before each piece of this size.
    PollForEach(usize),
}

/// stderr, for a process that must not wait for its reader.
#[derive(Debug, Default)]
pub struct Stderr {
    way: Option<Way>,
}

impl Stderr {
    /// Writes the line in one piece or not at all; returns whether it was taken. Lines longer than
    /// [`LONGEST_LINE`] are cut.
    pub fn write_line(&mut self, line: &[u8]) -> bool {
        if !may_open() {
            return write_to(&Way::early(), line);
        }
        write_to(self.way.get_or_insert_with(Way::find), line)
    }
}

impl Way {
    /// For the time before descriptors may be opened.
    fn early() -> Self {
        match kind_of(libc::STDERR_FILENO) {
            libc::S_IFSOCK => Self::AsMessage,
            libc::S_IFREG => Self::Plainly,
            libc::S_IFCHR => Self::PollForEach(TERMINAL_PIECE),
            _ => Self::PollFirst,
        }
    }

    fn find() -> Self {
        let way = Self::early();
        if !matches!(way, Self::PollFirst | Self::PollForEach(_)) {
            return way;
        }
        let flags =
            OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_APPEND | OFlag::O_CLOEXEC;
        let opened = nix::fcntl::open(c"/proc/self/fd/2", flags, Mode::empty());
        opened.map_err(std::io::Error::from).and_then(above_standard).map_or(way, Self::Reopened)
    }
}

/// The file's type (`S_IFMT`, inode(7)); 0 if it is closed.
pub(super) fn kind_of(descriptor: RawFd) -> libc::mode_t {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the pointer is to a stat of ours; a closed descriptor is an error like any other.
    let found = unsafe { libc::fstat(descriptor, stat.as_mut_ptr()) };
    // SAFETY: zeroed is a valid stat, filled in or not.
    let stat = unsafe { stat.assume_init() };
    if found == -1 { 0 } else { stat.st_mode & libc::S_IFMT }
}

fn write_to(way: &Way, line: &[u8]) -> bool {
    match way {
        Way::Plainly => write(libc::STDERR_FILENO, line),
        // A terminal refuses, although it has room, while another process is writing to it: that is over at once.
        Way::Reopened(descriptor) => {
            let write = || write(descriptor.as_raw_fd(), cut(line));
            write() || (0..TRIES).any(|_| is_writable() && write())
        }
        Way::AsMessage => {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: the pointer and the length are of one slice.
            let sent = unsafe { libc::send(libc::STDERR_FILENO, line.as_ptr().cast(), line.len(), flags) };
            sent >= 0
        }
        Way::PollFirst => is_writable() && write(libc::STDERR_FILENO, cut(line)),
        Way::PollForEach(size) => {
            cut(line).chunks(*size).all(|piece| is_writable() && write(libc::STDERR_FILENO, piece))
        }
    }
}

/// Writes of at most `PIPE_BUF` bytes to a pipe are whole or none (pipe(7)).
fn cut(line: &[u8]) -> &[u8] {
    line.get(..LONGEST_LINE).unwrap_or(line)
}

fn is_writable() -> bool {
    let mut poll = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd of ours, and a timeout of zero.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    if ready == -1 { is_selected() } else { ready == 1 && poll.revents & libc::POLLOUT != 0 }
}

/// poll(2) takes no more descriptors than may be opened, so none if RLIMIT_NOFILE is 0; select(2) does not look at that.
fn is_selected() -> bool {
    let mut set = MaybeUninit::<libc::fd_set>::zeroed();
    // SAFETY: zeroed is the empty set.
    let set = unsafe { set.assume_init_mut() };
    // SAFETY: a set of ours, and a small number.
    unsafe { libc::FD_SET(libc::STDERR_FILENO, set) };
    let mut none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let unused = std::ptr::null_mut();
    // SAFETY: a set and a time of ours; the other sets are not wanted.
    unsafe { libc::select(libc::STDERR_FILENO + 1, unused, set, unused, &raw mut none) == 1 }
}

fn write(descriptor: RawFd, line: &[u8]) -> bool {
    let was_pending = signals::is_pending(Signal::PIPE);
    // SAFETY: the pointer and the length are of one slice.
    let written = unsafe { libc::write(descriptor, line.as_ptr().cast(), line.len()) };
    let result = check(libc::c_long::try_from(written).unwrap_or(-1));
    // There is no reader any more. The PIPE that this causes would wake the loop, which might log a line about it.
    if !was_pending && result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EPIPE)) {
        signals::take_back(Signal::PIPE);
    }
    result.is_ok()
}
