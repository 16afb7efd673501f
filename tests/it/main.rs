//! Real processes, one subject per module.

mod harness;

mod cli;
mod exit_code;
mod forward;
mod idle;
mod layers;
mod reap;
mod runtimes;
mod start;
mod stop;
