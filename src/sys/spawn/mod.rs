//! Starting a process: the command, and later the steps.
//!
//! `clone` with `CLONE_VM | CLONE_VFORK` copies no page tables, and this process does not run until the child has executed its
//! program or has ended. An init needs exactly that: no signal can be forwarded between fork and exec, when it would hit a copy of the
//! init, and the errno of a failed exec comes back through memory.
//!
//! Under qemu's user mode it is a fork: no memory is shared, and this process runs on. There a pipe that the exec closes makes it wait, and
//! carries the errno.
//!
//! The child shares all memory with us, on a stack of its own, and makes only system calls: nothing there allocates, takes a lock or can
//! panic.

mod aside;
mod candidates;
mod child;
mod fork;
mod prepared;
mod program;
mod shared;
mod stack;
mod word;

use std::ffi::{OsStr, OsString, c_long, c_void};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use super::{check, wait};
use crate::signal::{Signal, SignalSet};
use crate::user::User;
pub use aside::{Aside, Progress};
pub use fork::{Failure, run_in_child};
use prepared::Prepared;
pub use program::{Lookup, ProgramFile, look_up};
use stack::Stack;
use word::Word;

/// What to start, and how.
#[derive(Clone, Copy, Debug)]
pub struct Spawn<'a> {
    /// The program and its arguments.
    pub command: &'a [OsString],
    /// Changes to our environment: a value, or `None` for a variable that is removed.
    pub variables: &'a [(&'a str, Option<OsString>)],
    pub stdin: StdinSource,
    /// The signal mask that it gets.
    pub mask: SignalSet,
    /// The directory that it begins in, if that is not the current one.
    pub begins_in: Option<BorrowedFd<'a>>,
    /// Its working directory, if it is not the one that it begins in.
    pub directory: Option<&'a OsStr>,
    pub directory_as: DirectoryAs,
    /// Its user and group, if they differ from ours; then its supplementary groups are dropped.
    pub user: Option<User>,
    /// The signal that it gets when this process dies.
    pub parent_death_signal: Option<Signal>,
    /// The terminal in whose foreground its group is put.
    pub terminal: Option<BorrowedFd<'a>>,
}

/// What a new process reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdinSource {
    /// Our own stdin.
    Inherited,
    /// `/dev/null`, or nothing if that is missing.
    Null,
}

/// The user as which the working directory is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryAs {
    /// The user that the process runs as, which has to have access.
    User,
    /// This process's user, before the ids change.
    Init,
}

/// The stage that failed on the way to the new program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnStage {
    /// An argument contains a NUL byte, or there is no command.
    Prepare,
    /// No process could be made.
    Clone,
    Groups,
    GroupId,
    UserId,
    Directory,
    /// The parent died meanwhile.
    Parent,
    Exec,
}

const STAGES: [SpawnStage; 8] = [
    SpawnStage::Prepare,
    SpawnStage::Clone,
    SpawnStage::Groups,
    SpawnStage::GroupId,
    SpawnStage::UserId,
    SpawnStage::Directory,
    SpawnStage::Parent,
    SpawnStage::Exec,
];

/// Nothing was started.
#[derive(Debug)]
pub struct SpawnError {
    pub stage: SpawnStage,
    pub error: io::Error,
    /// The file that could not be executed, if there is one.
    pub file: Option<ProgramFile>,
}

impl SpawnError {
    fn at(stage: SpawnStage, error: io::Error) -> Self {
        Self { stage, error, file: None }
    }

    /// Whether the kernel does not take the file for a program.
    #[must_use]
    pub fn is_no_program(&self) -> bool {
        self.error.raw_os_error() == Some(libc::ENOEXEC)
    }
}

impl Spawn<'_> {
    /// Starts it from a forked child and returns its pid at once, although the exec may wait for a file system that does not answer. When
    /// the child has ended, the [`Failure`] has what failed on the way.
    ///
    /// # Errors
    /// No process could be made.
    pub fn start_forked(self) -> Result<(i32, Failure), SpawnError> {
        let mut prepared =
            Prepared::new(&self).map_err(|error| SpawnError::at(SpawnStage::Prepare, error))?;
        let failure = Failure::new().map_err(|error| SpawnError::at(SpawnStage::Clone, error))?;
        let pid = fork::fork(|| {
            let argument = (&raw mut prepared).cast::<c_void>();
            let code = child::run(argument);
            failure.leave(&prepared);
            u8::try_from(code).unwrap_or(u8::MAX)
        })?;
        Ok((pid, failure))
    }

    /// Starts it in a process group of its own and returns its pid once the program has been executed.
    ///
    /// # Errors
    /// What failed, and at which stage; the child is gone and reaped then.
    pub fn start(self) -> Result<i32, SpawnError> {
        let mut prepared =
            Prepared::new(&self).map_err(|error| SpawnError::at(SpawnStage::Prepare, error))?;
        let argument = (&raw mut prepared).cast::<c_void>();
        let stack = Stack::new().map_err(|error| SpawnError::at(SpawnStage::Clone, error))?;
        let word = Word::new();
        prepared.word = word.as_ref().map(Word::number);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: `prepared` and the stack outlive the child's use of them, because this call does not return before the child has
        // executed another program or has ended. The child does not unwind.
        let cloned = unsafe { libc::clone(child::run, stack.top(), flags, argument) };
        let pid = check(c_long::from(cloned)).map_err(|error| SpawnError::at(SpawnStage::Clone, error))?;
        let pid = i32::try_from(pid).unwrap_or(i32::MAX);
        let failure = if prepared.has_begun.load(Ordering::Relaxed) {
            prepared.failure()
        } else {
            word.and_then(Word::read)
        };
        match failure {
            None => Ok(pid),
            Some(failure) => {
                wait::wait_for(pid);
                Err(failure)
            }
        }
    }
}
