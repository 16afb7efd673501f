//! Work that could hang or crash, in a forked child.

use std::cell::UnsafeCell;
use std::ffi::c_long;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use super::super::{check, process, signals};
use super::prepared::{Prepared, read_failure};
use super::program::Beginning;
use super::shared::Shared;
use super::{SpawnError, SpawnStage, child};
use crate::signal::{Signal, SignalSet};
use crate::user::User;

/// Runs `work` in a forked child, whose exit status is the result, and returns the child's pid.
///
/// The child leads a process group, has `/dev/null` as stdin, this user, and no signal blocked. TERM ends it, whatever disposition it
/// inherited.
///
/// # Errors
/// No process could be made.
pub fn run_in_child(user: Option<User>, work: impl FnOnce() -> u8) -> Result<i32, SpawnError> {
    fork(|| become_worker(user).map_or(1, |()| work()))
}

/// The child may allocate: this program has one thread, so no lock is held by another one (fork(2)).
pub(super) fn fork(work: impl FnOnce() -> u8) -> Result<i32, SpawnError> {
    // SAFETY: one thread, so the child finds all memory in order.
    let forked = check(c_long::from(unsafe { libc::fork() }));
    match forked.map_err(|error| SpawnError::at(SpawnStage::Clone, error))? {
        0 => {
            // SAFETY: two numbers. The parent does the same, whichever comes first.
            unsafe { libc::setpgid(0, 0) };
            process::exit_now(work())
        }
        pid => {
            let pid = i32::try_from(pid).unwrap_or(i32::MAX);
            // SAFETY: our own child, which has not been reaped.
            unsafe { libc::setpgid(pid, pid) };
            Ok(pid)
        }
    }
}

fn become_worker(user: Option<User>) -> io::Result<()> {
    child::take_null_as_stdin();
    if let Some(user) = user {
        child::take_ids(user).map_err(|_| io::Error::last_os_error())?;
    }
    signals::restore_default(Signal::TERM);
    // A line to a stderr without a reader must not kill it.
    signals::ignore(Signal::PIPE);
    // A terminal must not stop it for writing from the background.
    signals::ignore(Signal::TTOU);
    signals::set_mask(SignalSet::default());
    Ok(())
}

/// Where a forked child leaves the reason why it could not become its program: memory that it shares with drainit.
#[derive(Debug)]
pub struct Failure(Shared<Slots>);

#[derive(Debug)]
struct Slots {
    stage: AtomicI32,
    errno: AtomicI32,
    /// Written before the stage, which shows that there is something to read.
    file: UnsafeCell<Beginning>,
}

impl Failure {
    pub(super) fn new() -> io::Result<Self> {
        let (stage, errno) = (AtomicI32::new(-1), AtomicI32::new(0));
        Shared::new(Slots { stage, errno, file: UnsafeCell::new(Beginning::NONE) }).map(Self)
    }

    fn slots(&self) -> &Slots {
        // SAFETY: it lives as long as `self`, and what is shared in it is atomic or in a cell.
        unsafe { self.0.place().as_ref() }
    }

    /// Notes what has failed; called in the child.
    pub(super) fn leave(&self, prepared: &Prepared) {
        // SAFETY: this process is the only one that writes there, and the other one reads after this one has ended.
        unsafe { self.slots().file.get().write(prepared.failed_file) };
        self.slots().errno.store(prepared.failed_errno.load(Ordering::Relaxed), Ordering::Relaxed);
        self.slots().stage.store(prepared.failed_stage.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What has failed, once the child has ended; `None` if it executed its program.
    #[must_use]
    pub fn get(&self) -> Option<SpawnError> {
        // SAFETY: the child has ended, so nothing writes there.
        let file = unsafe { &*self.slots().file.get() };
        read_failure(&self.slots().stage, &self.slots().errno, file)
    }
}
