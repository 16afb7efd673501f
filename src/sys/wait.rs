//! Reaping.

use crate::outcome::Ended;

/// What a look for dead children found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child has ended and is gone; its number may be given to somebody else from now on.
    Child { pid: i32, ended: Ended },
    /// There are children, and all of them live.
    AllAlive,
    /// There is no child at all.
    NoChildren,
}

/// Reaps one child that has ended, without waiting.
///
/// `__WALL` also finds children that a threading library made (wait(2)); the status is the kernel's own, so
/// a death by a real-time signal comes through.
pub fn reap() -> Reaped {
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to an int of ours.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
        match pid {
            0 => return Reaped::AllAlive,
            -1 => return Reaped::NoChildren,
            pid => {
                if let Some(ended) = Ended::from_wait_status(status) {
                    return Reaped::Child { pid, ended };
                }
            }
        }
    }
}

/// Waits for this child, which is about to end: one that could not be executed.
pub(super) fn wait_for(pid: i32) {
    let mut status = 0;
    // SAFETY: the pointer is to an int of ours; an interrupted wait cannot happen, as every signal is blocked.
    unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
}
