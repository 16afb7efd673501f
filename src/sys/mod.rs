//! The kernel: the only place with system calls, and the only one with `unsafe`.
//!
//! What nix does without loss is used as it is. Raw calls are made if a library would lose something: signals 32 to 64, the wait status of
//! a death by a real-time signal, a mask that C libraries would edit.

#![expect(unsafe_code, reason = "the layer that talks to the kernel; every block says why it is sound")]

mod c_main;
mod calls;
pub mod cgroup;
pub mod clock;
pub mod copy;
pub mod descriptors;
pub mod entry;
pub mod file_system;
pub mod kill;
pub mod machine;
pub mod memory;
pub mod message_file;
pub mod output;
pub mod process;
pub mod procfs;
pub mod report_file;
pub mod signal_queue;
pub mod signals;
pub mod spawn;
pub mod stderr;
pub mod tty;
pub mod wait;

use std::io;

/// The one door from a system call's -1 to an error.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
