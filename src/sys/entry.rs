//! Where the program begins: before the C library, and without Rust's runtime.
//!
//! The kernel drops a signal to PID 1 that PID 1 neither handles nor blocks (signal(7), pid_namespaces(7)). The C library makes a dozen
//! system calls before `main`, so blocking in `main` is late. The program therefore has an entry point of its own, which first makes the
//! one system call that blocks everything, and then jumps to the C library's `_start`.
//!
//! Rust's own runtime start is left out too (`#![no_main]`, [`entry!`](crate::entry)): it would ignore SIGPIPE for drainit and for the
//! command, open `/dev/null` if stdin is closed, and install handlers for faults.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(own_entry)]
mod assembly;

/// The kernel's signal set as words: its first word has the first signals, on every processor.
const WORDS: usize = size_of::<u64>() / size_of::<usize>();

/// Every signal that was not blocked when the program was started, as the entry point found it; none before. (A static that begins as zero
/// takes no page of the file.)
///
/// Without our own entry point (other architectures, tests) this stays zero, and "what `main` found" AND "what the entry point found" is
/// the right answer in both cases.
static OPEN_AT_ENTRY: [AtomicUsize; WORDS] = [const { AtomicUsize::new(0) }; WORDS];

/// The mask that the entry point found; all ones if there was no such entry point.
pub(super) fn mask_at_entry() -> u64 {
    let words = OPEN_AT_ENTRY.iter().rev().map(|word| word.load(Ordering::Relaxed));
    !words.fold(0, |mask, word| mask.unbounded_shl(usize::BITS) | word as u64)
}

/// Copies the C argument vector.
///
/// # Safety
/// `argv` must point to `argc` pointers to strings that end in NUL, as the kernel lays them out for a new program.
#[must_use]
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    (0..count)
        .map(|at| {
            // SAFETY: `at` is below argc, so the pointer lies inside the vector.
            let entry = unsafe { argv.add(at) };
            // SAFETY: entries of the vector are pointers that the kernel has written.
            let argument = unsafe { *entry };
            // SAFETY: the caller promises a string that ends in NUL; it is copied at once.
            let text = unsafe { CStr::from_ptr(argument) };
            OsString::from_vec(text.to_bytes().to_vec())
        })
        .collect()
}
