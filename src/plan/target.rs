//! Which processes a signal is for.

/// Which processes a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A stop: main, and further down by the rule that a process that handles the signal answers for its descendants
    /// ([`answering`](super::processes::answering)). Any other signal: main alone if it handles it, else main's group.
    Auto,
    /// Main's process group.
    Group,
    /// Main alone.
    Main,
    /// Every descendant.
    All,
}
