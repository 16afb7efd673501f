//! Whom to run as.

#![forbid(unsafe_code)]

use std::fmt;

/// Numeric ids: an image may have no `/etc/passwd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl fmt::Display for User {
    /// As in `--user`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}
