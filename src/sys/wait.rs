//! Reaping.

use std::io;
use std::ptr;

use crate::outcome::Ended;
use crate::signal::Signal;

/// What a look for dead children found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child has ended and is gone; its number may be given to another process from now on.
    Child { pid: i32, ended: Ended },
    /// This child was stopped by a signal, and lives.
    Stopped { pid: i32, by: Signal },
    /// This child was stopped, and goes on.
    Continued { pid: i32 },
    /// There are children, and all of them live.
    AllAlive,
    /// There is no child at all.
    NoChildren,
}

/// So often a look that failed is tried again.
const MOST_FAILURES: u32 = 8;

/// Reaps one child that has ended, without waiting. With `stops` it also finds one that was stopped or continued,
/// once for each time.
///
/// `__WALL` also finds children that a threading library made (wait(2)); the status is the kernel's own, so
/// a death by a real-time signal comes through.
pub fn reap(stops: bool) -> Reaped {
    let options = libc::WNOHANG | libc::__WALL | if stops { libc::WUNTRACED | libc::WCONTINUED } else { 0 };
    let mut failures = 0;
    loop {
        let mut status = 0;
        match wait_any(&mut status, options) {
            0 => return Reaped::AllAlive,
            // No other error says that there is no child (wait(2)); to leave would end those that there are.
            -1 if io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) => {
                return Reaped::NoChildren;
            }
            -1 if failures == MOST_FAILURES => return Reaped::AllAlive,
            -1 => failures += 1,
            pid => {
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

/// The signal that has stopped a child, if the status tells of a stop.
fn stopped_by(status: i32) -> Option<Signal> {
    if libc::WIFSTOPPED(status) { Signal::new(libc::WSTOPSIG(status)) } else { None }
}

/// wait4(2) itself: `waitpid` of the C libraries looks for a cancellation of threads before and after it.
fn wait_any(status: &mut i32, options: i32) -> i32 {
    let usage = ptr::null_mut::<libc::rusage>();
    // SAFETY: the pointers are to an int of ours, and null for what is not wanted.
    let pid = unsafe { libc::syscall(libc::SYS_wait4, -1, ptr::from_mut(status), options, usage) };
    i32::try_from(pid).unwrap_or(-1)
}

/// Waits for this child, which is about to end: one that could not be executed.
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
