//! What the steps do that are no commands. It could hang or crash, so it runs in a forked child, never in the init itself.

#![forbid(unsafe_code)]

pub mod http;
pub mod idle;
