//! What can fail before the command runs, and the exit code that says so.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;

use crate::outcome;
use crate::settings::UsageError;
use crate::sys::spawn::{SpawnError, Stage};

/// Nothing was started.
#[derive(Debug)]
pub enum StartError {
    /// The command line is wrong.
    CommandLine(String),
    /// A value is wrong.
    Usage(UsageError),
    /// The command could not be started.
    Command { command: OsString, failure: SpawnError },
}

impl StartError {
    /// 127 for a command that was not found, 126 for one that cannot be executed, 125 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CommandLine(_) | Self::Usage(_) => outcome::INIT_FAILED,
            Self::Command { failure, .. } => match (failure.stage, failure.error.kind()) {
                (Stage::Exec, ErrorKind::NotFound | ErrorKind::NotADirectory) => outcome::NOT_FOUND,
                (Stage::Exec, _) => outcome::NOT_EXECUTABLE,
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
            Self::Command { command, failure: SpawnError { stage, error } } => {
                let step = match stage {
                    Stage::Prepare | Stage::Exec => "",
                    Stage::Clone => "no process can be made: ",
                    Stage::Groups => "--user: cannot drop the groups: ",
                    Stage::GroupId => "--user: cannot take the group: ",
                    Stage::UserId => "--user: cannot take the user: ",
                    Stage::Directory => "--workdir: ",
                    Stage::Parent => "drainit's parent is gone: ",
                };
                write!(f, "cannot run {command:?}: {step}{error}")?;
                let path = std::path::Path::new(command);
                if *stage == Stage::Exec && error.kind() == ErrorKind::NotFound && path.exists() {
                    f.write_str(" (it is there, but the interpreter or loader that it names is not)")?;
                }
                Ok(())
            }
        }
    }
}
