//! Work that could hang or crash, in a copy of this process.

use std::ffi::c_long;
use std::io;

use super::super::{check, process, signals};
use super::{Ids, SpawnError, Stage, child};
use crate::signal::{Signal, SignalSet};

/// Runs `work` in a forked child, which ends with the exit status that it returns, and returns the child's pid.
///
/// The child leads a process group, has `/dev/null` as stdin, these ids, and no signal blocked; TERM ends it whatever was inherited.
/// It may allocate: this program has one thread, so no lock is held by another one (fork(2)).
///
/// # Errors
/// No process could be made.
pub fn run_in_child(ids: Option<Ids>, work: impl FnOnce() -> u8) -> Result<i32, SpawnError> {
    // SAFETY: one thread, so the child finds all memory in order.
    let forked = check(c_long::from(unsafe { libc::fork() }));
    match forked.map_err(|error| SpawnError { stage: Stage::Clone, error })? {
        0 => {
            // SAFETY: two numbers. The parent does the same, whoever comes first.
            unsafe { libc::setpgid(0, 0) };
            process::exit_now(become_worker(ids).map_or(1, |()| work()))
        }
        pid => {
            let pid = i32::try_from(pid).unwrap_or(i32::MAX);
            // SAFETY: our own child, which has not been reaped.
            unsafe { libc::setpgid(pid, pid) };
            Ok(pid)
        }
    }
}

fn become_worker(ids: Option<Ids>) -> io::Result<()> {
    child::take_null_as_stdin();
    if let Some(ids) = ids {
        child::take_ids(ids).map_err(|_| io::Error::last_os_error())?;
    }
    signals::restore_default(Signal::TERM);
    // Not to be killed by a word on stderr that nobody reads.
    signals::ignore(Signal::PIPE);
    signals::set_mask(SignalSet::default());
    Ok(())
}
