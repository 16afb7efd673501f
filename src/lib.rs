//! drainit: a container init that forwards signals, reaps orphans and exits only when no child is left.
//!
//! This library is the inside of the program, divided so that its parts can be tested. It is not meant as an interface for others.
//!
//! - [`cli`] and [`settings`]: what was typed, and what it means.
//! - [`plan`]: the stop policy. Pure: events and the time go in, actions come out.
//! - [`supervisor`]: the loop that observes, asks the plan and performs.
//! - [`report`]: what happened, and how it is reported.
//! - [`workers`]: the work of the steps that are not commands.
//! - [`processes`]: reading /proc.
//! - [`sys`]: the kernel. All `unsafe` is there.
//! - [`signal`], [`outcome`], [`user`]: numbers with names.
//! - [`error`], [`program`], [`useless`], [`logging`], [`say`], [`text`]: errors, warnings, and the log.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::exit)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, expect(clippy::expect_used, clippy::panic, reason = "tests may fail"))]

pub mod cli;
pub mod error;
pub mod logging;
pub mod outcome;
pub mod plan;
pub mod processes;
pub mod program;
pub mod report;
pub mod say;
pub mod settings;
pub mod signal;
pub mod supervisor;
pub mod sys;
pub mod text;
pub mod useless;
pub mod user;
pub mod workers;
