//! The steps that are not commands. They could hang or crash, so they run in a forked child, never in the init itself.

#![forbid(unsafe_code)]

pub mod http;
pub mod idle;
