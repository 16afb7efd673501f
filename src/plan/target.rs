//! Which processes a signal is for.

/// Which processes a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// In a stop: main, and from there down by the rule that a process that handles the signal answers for its descendants
    /// ([`answering`](super::processes::answering)). For any other signal: main alone if it handles it, else main's group.
    Auto,
    /// Main's process group.
    Group,
    /// Main alone.
    Main,
    /// Every descendant.
    All,
}
