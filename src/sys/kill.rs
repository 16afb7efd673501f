//! Sending signals.
//!
//! A pid is signalled only while it cannot belong to another process: drainit's own children until they are reaped, all others through a
//! pidfd whose process is checked against its start time after it was opened.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{check, descriptors};
use crate::signal::Signal;

/// Sends `signal` to one process: a child of ours that has not been reaped.
///
/// # Errors
/// ESRCH if it is gone, EPERM if this user may not signal it.
pub fn send(pid: i32, signal: Signal) -> io::Result<()> {
    debug_assert!(pid > 0, "0 and below are groups");
    match kill(pid, signal) {
        // A system call filter may refuse this and allow a pidfd; if it was the process that refused, it does so again.
        Err(error) if !is_gone(&error) => {
            open_pidfd(pid).and_then(|pidfd| send_through(&pidfd, signal)).map_err(|_| error)
        }
        sent => sent,
    }
}

/// Sends `signal` to every member of a process group whose leader has not been reaped.
///
/// # Errors
/// As [`send`]; no error if at least one member was reached (kill(2)).
pub fn send_to_group(group: i32, signal: Signal) -> io::Result<()> {
    debug_assert!(group > 1, "-1 would be every process");
    kill(-group, signal)
}

/// Sends `signal` to every process in the pid namespace but this process, which must be its PID 1.
///
/// # Errors
/// ESRCH if no process is left; EINVAL if this process is not PID 1 (nothing was sent).
pub fn send_to_namespace(signal: Signal) -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    kill(-1, signal)
}

/// Sends `signal` to every member of this process's own group, itself included.
///
/// # Errors
/// EPERM if no other member may be signalled.
pub fn send_to_own_group(signal: Signal) -> io::Result<()> {
    kill(0, signal)
}

/// Whether this process may signal that one. Sends nothing.
///
/// # Errors
/// As [`send`].
pub fn may_signal(pid: i32) -> io::Result<()> {
    debug_assert!(pid > 0, "0 and below are groups");
    // SAFETY: two numbers, and the signal 0 is none (kill(2)).
    check(libc::c_long::from(unsafe { libc::kill(pid, 0) })).map(drop)
}

/// Whether a process is in this process group; dead ones that were not reaped count. Sends nothing.
#[must_use]
pub fn has_members(group: i32) -> bool {
    debug_assert!(group > 1, "-1 would be every process");
    // SAFETY: two numbers, and the signal 0 is none (kill(2)).
    let looked = check(libc::c_long::from(unsafe { libc::kill(-group, 0) }));
    !looked.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

/// Whether a signal could not be sent because there is no such process.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

fn kill(pid: i32, signal: Signal) -> io::Result<()> {
    // SAFETY: kill takes two numbers and touches no memory.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal.number()) })).map(drop)
}

/// A process that is not our child: its own parent may reap it at any time, and its pid may be reused.
///
/// Pin it, then check that it is still the same process, then signal it. If pidfds are refused (by an old kernel or a seccomp profile, with
/// any error), a plain kill right after the check replaces them.
#[derive(Debug)]
pub struct Pinned {
    pid: i32,
    descriptor: Option<OwnedFd>,
}

impl Pinned {
    /// Pins the process that has this pid now.
    #[must_use]
    pub fn new(pid: i32) -> Self {
        Self { pid, descriptor: open_pidfd(pid).ok() }
    }

    /// Sends `signal` to exactly that process.
    ///
    /// # Errors
    /// As [`send`].
    pub fn send(&self, signal: Signal) -> io::Result<()> {
        let Some(descriptor) = &self.descriptor else { return kill(self.pid, signal) };
        match send_through(descriptor, signal) {
            // A profile that knows no pidfds may refuse with any error; if the refusal is about the process, kill refuses too.
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => kill(self.pid, signal),
            result => result,
        }
    }
}

fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers.
    descriptors::made(check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?)
}

fn send_through(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null info means the one that kill(2) would make.
    check(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal.number(), no_info, 0)
    })
    .map(drop)
}
