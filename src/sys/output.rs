//! Writing what is left to say at the end: never for longer than a moment, whoever reads it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::stderr::LONGEST_LINE;
use super::{check, stderr};

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
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path)?;
        Ok(Self(file))
    }

    /// Writes the whole text; a pipe that is full may keep it waiting for a moment.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        for piece in text.chunks(LONGEST_LINE) {
            let written = (&self.0).write_all(piece);
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_ready(self.0.as_raw_fd()) => {
                    (&self.0).write_all(piece)?;
                }
                written => written?,
            }
        }
        Ok(())
    }

    /// Moves to this descriptor, whatever was there; for closing all those above it.
    ///
    /// # Errors
    /// What dup3(2) says; it stays where it is then.
    pub fn move_to(&mut self, descriptor: i32) -> io::Result<()> {
        if self.0.as_raw_fd() == descriptor {
            return Ok(());
        }
        // SAFETY: numbers only. What was open there is the caller's to give up.
        let moved = check(libc::c_long::from(unsafe {
            libc::dup3(self.0.as_raw_fd(), descriptor, libc::O_CLOEXEC)
        }))?;
        let moved = i32::try_from(moved).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        self.0 = File::from(unsafe { OwnedFd::from_raw_fd(moved) });
        Ok(())
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
    text.chunks(LONGEST_LINE)
        .all(|piece| stderr.write_line(piece) || (is_ready(libc::STDERR_FILENO) && stderr.write_line(piece)))
}

/// Waits until the descriptor takes more, for a moment.
fn is_ready(descriptor: i32) -> bool {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd of ours, and a timeout.
    let ready = unsafe { libc::poll(&raw mut poll, 1, PATIENCE) };
    ready == 1 && poll.revents & libc::POLLOUT != 0
}
