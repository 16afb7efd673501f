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

/// Generates the C `main` of a `#![no_main]` program from a `fn(Vec<OsString>) -> u8`.
///
/// The function's result is the exit status. The C library's own exit is skipped: there is nothing to flush, and no exit function to call.
/// Nor is a destructor of a thread's own data, because the only thread ends with the process. The standard library would keep a list of
/// them, and abort if it got no memory for that; PID 1, which no ABRT ends, would then die of a fault.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[unsafe(no_mangle)]
        #[expect(
            unsafe_code,
            reason = "C's main: it must have that name, and its arguments are raw pointers"
        )]
        extern "C" fn main(
            argc: ::std::ffi::c_int,
            argv: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            if !$crate::sys::process::reserve_stack() {
                const LINE: &str =
                    concat!(env!("CARGO_BIN_NAME"), ": error: the stack may not grow (RLIMIT_STACK)\n");
                $crate::sys::stderr::Stderr::default().write_line(LINE.as_bytes());
                $crate::sys::process::exit_now($crate::outcome::INIT_FAILED)
            }
            // SAFETY: the C library calls main with the argument vector that the kernel made.
            let arguments = unsafe { $crate::sys::entry::arguments(argc, argv) };
            $crate::sys::process::exit_now($run(arguments))
        }

        #[unsafe(no_mangle)]
        #[expect(unsafe_code, reason = "the standard library looks for this name")]
        extern "C" fn __cxa_thread_atexit_impl(
            _: *mut ::std::ffi::c_void,
            _: *mut ::std::ffi::c_void,
            _: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            0
        }
    };
}
