//! Which processes a signal is for.

/// Which processes a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Main's process group.
    Group,
    /// Main alone.
    Main,
    /// Every descendant.
    All,
}
