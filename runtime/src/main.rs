//! The program. Rust's own start is left out: it would ignore SIGPIPE, and the runtime that takes this process's place would inherit that.

#![no_main]

drainit::entry!(drainit_runtime::run);
