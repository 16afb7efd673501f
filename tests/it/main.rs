//! Real processes, one subject per module.

mod harness;
mod server;

mod cli;
mod cli_steps;
mod drain;
mod drain_http;
mod drain_idle;
mod drain_limits;
mod escalate;
mod exit_code;
mod forward;
mod idle;
mod kill;
mod layers;
mod post_exit;
mod reap;
mod runtimes;
mod schedule;
mod start;
mod stop;
