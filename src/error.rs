//! What can fail before the command runs, and the exit code that says so.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;

use crate::outcome;
use crate::program::why_not_executed;
use crate::settings::UsageError;
use crate::sys::spawn::{SpawnError, SpawnStage};
use crate::text::plain;
use crate::user::User;

/// Nothing was started.
#[derive(Debug)]
pub enum StartError {
    /// The command line is wrong.
    CommandLine(String),
    /// A value is wrong.
    Usage(UsageError),
    /// A rehearsal was given a step that can never begin.
    Futile(String),
    /// This is the init of a machine, which would panic at the end.
    WouldPanic,
    /// `--poweroff` was given, and this is not the init of a machine.
    NotTheMachine,
    /// No signal could be waited for.
    Wait(std::io::Error),
    /// No memory could be shared with the helper that writes the report and the termination log.
    Memory(std::io::Error),
    /// The program could not be copied.
    Copy { path: OsString, error: std::io::Error },
    /// The report could not be written later.
    Report { path: OsString, error: std::io::Error },
    /// The command could not be started.
    Command { command: OsString, user: Option<User>, directory: Option<OsString>, failure: SpawnError },
}

impl StartError {
    /// 127 for a command that was not found, 126 for one that cannot be executed, 125 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CommandLine(_)
            | Self::Usage(_)
            | Self::Futile(_)
            | Self::WouldPanic
            | Self::Copy { .. }
            | Self::NotTheMachine
            | Self::Wait(_)
            | Self::Memory(_)
            | Self::Report { .. } => outcome::INIT_FAILED,
            Self::Command { failure, .. } => match (failure.stage, failure.error.kind()) {
                (SpawnStage::Exec, ErrorKind::NotFound | ErrorKind::NotADirectory) => outcome::NOT_FOUND,
                (SpawnStage::Exec, _) => outcome::NOT_EXECUTABLE,
                _ => outcome::INIT_FAILED,
            },
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(problem) => write!(f, "{problem} (see drainit --help)"),
            Self::Usage(problem) => problem.fmt(f),
            Self::Futile(why) => write!(f, "cannot rehearse: {why}"),
            Self::WouldPanic => f.write_str(
                "this is PID 1 of a machine, not of a container: the kernel panics when it exits (see --poweroff)",
            ),
            Self::NotTheMachine => f.write_str("--poweroff is only for PID 1 of a machine"),
            Self::Wait(error) => write!(f, "cannot wait for signals: {}", plain(error)),
            Self::Memory(error) => write!(f, "cannot share memory: {}", plain(error)),
            Self::Copy { path, error } => write!(f, "cannot copy drainit to \"{}\": {}", path.display(), plain(error)),
            Self::Report { path, error } => write!(f, "cannot write --report \"{}\": {}", path.display(), plain(error)),
            Self::Command { command, user, directory, failure } => {
                write!(f, "cannot run \"{}\": ", command.display())?;
                let user = user.unwrap_or(User { uid: 0, gid: 0 });
                match failure.stage {
                    SpawnStage::Prepare => {}
                    SpawnStage::Exec => return f.write_str(&why_not_executed(command, failure)),
                    SpawnStage::Clone => f.write_str("cannot create a process: ")?,
                    SpawnStage::Groups => write!(f, "--user {user}: cannot drop the groups: ")?,
                    SpawnStage::GroupId => write!(f, "--user {user}: cannot change to the group: ")?,
                    SpawnStage::UserId => write!(f, "--user {user}: cannot change to the user: ")?,
                    SpawnStage::Directory => {
                        write!(f, "--workdir \"{}\": ", directory.as_deref().unwrap_or_default().display())?
                    }
                    SpawnStage::Parent => return f.write_str("drainit's parent is gone"),
                }
                f.write_str(&plain(&failure.error))
            }
        }
    }
}
