//! Reaping.

use std::io;
use std::{mem, ptr};

use super::{check, process};
use crate::outcome::Ended;
use crate::signal::Signal;

/// The result of looking for dead children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child has ended and is gone; from now on its pid may belong to another process.
    Child { pid: i32, ended: Ended },
    /// This child was stopped by a signal, and lives.
    Stopped { pid: i32, by: Signal },
    /// This child was stopped, and has been continued.
    Continued { pid: i32 },
    /// There are children, and all of them live.
    AllAlive,
    /// There is no child at all.
    NoChildren,
}

/// Reaps one child that has ended, without waiting. With `stops` it also finds one that was stopped or continued,
/// once for each time.
///
/// `__WALL` also finds children made by a threading library (wait(2)), and the helper that writes files. The helper is no child of the run, so
/// `__WALL` is left out while there is one. The status is the kernel's own, so a death by a real-time signal is not lost.
pub fn reap(stops: bool) -> Reaped {
    let mut options = libc::WNOHANG | if stops { libc::WUNTRACED | libc::WCONTINUED } else { 0 };
    if process::helper().is_none() {
        options |= libc::__WALL;
    }
    loop {
        match wait_for_one(ANY, options) {
            Ok((0, _)) => return Reaped::AllAlive,
            // No other error means that there is no child (wait(2)), and drainit must not exit while it has some.
            Err(error) if is_no_child(&error) => return Reaped::NoChildren,
            Err(_) => return Reaped::AllAlive,
            Ok((pid, status)) => {
                if let Some(ended) = Ended::from_wait_status(status) {
                    return Reaped::Child { pid, ended };
                }
                if libc::WIFCONTINUED(status) {
                    return Reaped::Continued { pid };
                }
                if let Some(by) = stopped_by(status) {
                    return Reaped::Stopped { pid, by };
                }
            }
        }
    }
}

/// The signal that has stopped a child, if the status is that of a stop.
fn stopped_by(status: i32) -> Option<Signal> {
    if libc::WIFSTOPPED(status) { Signal::new(libc::WSTOPSIG(status)) } else { None }
}

/// In place of a pid: any child.
const ANY: i32 = -1;

fn is_no_child(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECHILD)
}

/// The pid and the status of a child that has ended or, if the options ask for it, was stopped or continued; 0 for the pid if there is none.
fn wait_for_one(pid: i32, options: i32) -> io::Result<(i32, i32)> {
    // A system call filter may refuse either.
    match wait_by_pid(pid, options) {
        Err(error) if !is_no_child(&error) => wait_by_id(pid, options),
        found => found,
    }
}

/// wait4(2) itself: the C libraries' `waitpid` also checks for a cancelled thread before and after it.
fn wait_by_pid(pid: i32, options: i32) -> io::Result<(i32, i32)> {
    let mut status = 0;
    let usage = ptr::null_mut::<libc::rusage>();
    // SAFETY: the pointers are to an int of ours, and null for what is not wanted.
    let pid = check(unsafe { libc::syscall(libc::SYS_wait4, pid, &raw mut status, options, usage) })?;
    Ok((i32::try_from(pid).map_err(io::Error::other)?, status))
}

/// The same by waitid(2), which gives the same facts in another form.
fn wait_by_id(pid: i32, options: i32) -> io::Result<(i32, i32)> {
    // SAFETY: zeroed is a struct of numbers.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let usage = ptr::null_mut::<libc::rusage>();
    let options = options | libc::WEXITED;
    let which = if pid == ANY { libc::P_ALL } else { libc::P_PID };
    // SAFETY: the pointers are to a struct of ours, and null for what is not wanted.
    check(unsafe { libc::syscall(libc::SYS_waitid, which, pid, &raw mut info, options, usage) })?;
    // SAFETY: the call has filled this struct in for a child, or left zeros.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as for the pid.
    let status = unsafe { info.si_status() };
    Ok((pid, as_status(info.si_code, status)))
}

/// wait4's status for these: `code` is waitid's, `status` an exit code or a signal.
fn as_status(code: i32, status: i32) -> i32 {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        libc::CLD_STOPPED | libc::CLD_TRAPPED => status << 8 | 0x7f,
        libc::CLD_CONTINUED => 0xffff,
        _ => status,
    }
}

/// Reaps this child if it has ended. `Some(None)` means that it has ended and was reaped elsewhere, so how it ended is not known.
pub(super) fn end_of(pid: i32) -> Option<Option<Ended>> {
    match wait_for_one(pid, libc::WNOHANG | libc::__WALL) {
        Ok((found, status)) => (found == pid).then(|| Ended::from_wait_status(status)),
        Err(error) => is_no_child(&error).then_some(None),
    }
}

/// Waits for this child, which is about to end because its program could not be executed.
pub(super) fn wait_for(pid: i32) {
    let mut status = 0;
    // A stop and a continue of this process interrupt the wait, whatever is blocked.
    loop {
        // SAFETY: the pointer is to an int of ours.
        let reaped = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if reaped != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_calls_tell_the_same() {
        for (code, status, expected) in [
            (libc::CLD_EXITED, 3, Ended::Exited(3)),
            (libc::CLD_KILLED, 15, Ended::Killed(Signal::TERM)),
            (libc::CLD_DUMPED, 6, Ended::Killed(Signal::ABRT)),
            (libc::CLD_KILLED, 40, Ended::Killed(Signal::new(40).expect("a real-time one"))),
        ] {
            assert_eq!(Ended::from_wait_status(as_status(code, status)), Some(expected));
        }
        assert_eq!(stopped_by(as_status(libc::CLD_STOPPED, 20)), Some(Signal::TSTP));
        assert!(libc::WIFCONTINUED(as_status(libc::CLD_CONTINUED, 18)));
        assert_eq!(Ended::from_wait_status(as_status(libc::CLD_CONTINUED, 18)), None);
    }
}
