//! Writing what is left to say at the end: never for longer than a moment, whoever reads it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::clock::Clock;
use super::stderr::LONGEST_LINE;
use super::{descriptors, stderr};

/// How long a reader may keep the end waiting, in milliseconds.
const PATIENCE: i32 = 500;

/// A file that was opened before the command started, and is written after it has ended.
#[derive(Debug)]
pub struct ReportFile(File);

impl ReportFile {
    /// Creates the file, or empties it: what an earlier run wrote there is not to be taken for this one's.
    ///
    /// # Errors
    /// What open(2) says; also for a pipe that nobody reads.
    pub fn open(path: &OsStr) -> io::Result<Self> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let open = |append| {
            OpenOptions::new()
                .write(true)
                .append(append)
                .create(true)
                .truncate(false)
                .custom_flags(flags)
                .open(path)
        };
        let mut file = open(false)?;
        if is_ours_already(&file)? {
            // What the application writes there stays.
            file = open(true)?;
        } else if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        // Where a standard descriptor is closed the file took its number, and would get what is meant for that.
        Ok(Self(File::from(descriptors::above_standard(file.into())?)))
    }

    /// Writes the whole text; a pipe that is full may keep it waiting for a moment.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        let clock = Clock::start();
        for piece in text.chunks(LONGEST_LINE) {
            let written = (&self.0).write_all(piece);
            match written {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && is_ready(self.0.as_raw_fd(), clock) =>
                {
                    (&self.0).write_all(piece)?;
                }
                written => written?,
            }
        }
        Ok(())
    }
}

impl AsFd for ReportFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Appends to a file without making it longer than `size`; what stands there stays.
///
/// # Errors
/// What the file system says.
pub fn append_within(path: &Path, text: &[u8], size: usize) -> io::Result<()> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
    let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let room = size.saturating_sub(there);
    let end = if text.len() <= room {
        text.len()
    } else {
        // Whole lines only.
        text.get(..room).unwrap_or_default().iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
    };
    file.write_all(text.get(..end).unwrap_or_default())
}

/// Writes several lines to stderr; gives up where nobody reads them for a moment. Returns whether all was taken.
pub fn write_stderr(text: &[u8]) -> bool {
    let mut stderr = stderr::Stderr::default();
    let clock = Clock::start();
    text.chunks(LONGEST_LINE).all(|piece| {
        stderr.write_line(piece) || (is_ready(libc::STDERR_FILENO, clock) && stderr.write_line(piece))
    })
}

/// Writes all of it to stdout, and waits where that takes long. std's own way there has a lock, and a buffer for lines.
///
/// # Errors
/// What write(2) says.
pub fn write_stdout(text: &[u8]) -> io::Result<()> {
    // SAFETY: nothing else in this program owns stdout, and it is not closed here.
    let stdout = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) });
    (&*stdout).write_all(text)
}

/// Whether the file is what stdout or stderr write to.
fn is_ours_already(file: &File) -> io::Result<bool> {
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

/// Waits until the descriptor takes more, for what is left of a moment that has begun with the clock.
fn is_ready(descriptor: i32, clock: Clock) -> bool {
    let left = PATIENCE.saturating_sub(i32::try_from(clock.now().as_millis()).unwrap_or(i32::MAX)).max(0);
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd of ours, and a timeout.
    let ready = unsafe { libc::poll(&raw mut poll, 1, left) };
    ready == 1 && poll.revents & libc::POLLOUT != 0
}
