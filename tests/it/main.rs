//! Real processes, one subject per module.

mod harness;
mod server;
mod terminal;

mod cli;
mod cli_steps;
mod docs;
mod drain;
mod drain_http;
mod drain_idle;
mod drain_limits;
mod escalate;
mod escalate_gone;
mod exit_code;
mod forward;
mod idle;
mod kill;
mod layers;
mod log;
mod oddities;
mod pause;
mod peers;
mod peers_signals;
mod post_exit;
mod reap;
mod rehearse;
mod rehearse_text;
mod report;
mod runtimes;
mod schedule;
mod start;
mod stop;
mod tty;
mod tty_jobs;
mod wrapper;
