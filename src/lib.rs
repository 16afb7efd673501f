//! drainit: a container init that forwards signals, reaps orphans and leaves only when no child is left.

pub mod cli;
pub mod outcome;
pub mod plan;
pub mod settings;
pub mod signal;
pub mod sys;
