//! Writing what is left to say at the end: never for more than a moment, whatever the reader does.

use std::fs::File;
use std::io::{self, Write};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::MetadataExt;

use super::clock::Clock;
use super::stderr;
use super::stderr::LONGEST_LINE;

/// How long a reader may delay the end, in milliseconds.
const PATIENCE: i32 = 500;

/// Writes several lines to stderr; gives up if they are not read for a moment. Returns whether all was written.
pub fn write_stderr(text: &[u8]) -> bool {
    let mut stderr = stderr::Stderr::default();
    let clock = Clock::start();
    text.chunks(LONGEST_LINE).all(|piece| {
        stderr.write_line(piece) || (is_ready(libc::STDERR_FILENO, clock) && stderr.write_line(piece))
    })
}

/// Writes all of it to stdout, and waits as long as that takes. The standard library's way has a lock, and a buffer for lines.
///
/// # Errors
/// Those of write(2).
pub fn write_stdout(text: &[u8]) -> io::Result<()> {
    // SAFETY: nothing else in this program owns stdout, and it is not closed here.
    let stdout = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) });
    (&*stdout).write_all(text)
}

/// Whether a write failed because there is no reader: the file is closed, or the other end of the pipe.
#[must_use]
pub fn is_unread(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPIPE | libc::EBADF))
}

/// Whether the file is the one that stdout or stderr writes to.
pub(super) fn is_standard(file: &File) -> io::Result<bool> {
    let found = file.metadata()?;
    let is_same = |descriptor: RawFd| {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the pointer is to a stat of ours; a closed descriptor is an error like any other.
        let known = unsafe { libc::fstat(descriptor, stat.as_mut_ptr()) } == 0;
        // SAFETY: zeroed is a valid stat, filled in or not.
        let stat = unsafe { stat.assume_init() };
        known && stat.st_dev == found.dev() && stat.st_ino == found.ino()
    };
    Ok(found.is_file() && [libc::STDOUT_FILENO, libc::STDERR_FILENO].into_iter().any(is_same))
}

/// Waits until the descriptor takes more, for the rest of the moment that began with the clock.
pub(super) fn is_ready(descriptor: i32, clock: Clock) -> bool {
    let left = PATIENCE.saturating_sub(i32::try_from(clock.now().as_millis()).unwrap_or(i32::MAX)).max(0);
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd of ours, and a timeout.
    let ready = unsafe { libc::poll(&raw mut poll, 1, left) };
    ready == 1 && poll.revents & libc::POLLOUT != 0
}
