//! Why a row has no lines.

use std::io;

pub(crate) enum Trouble {
    /// This machine cannot measure it.
    Missing(String),
    Failed(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}
