//! The C `main` of a program that begins at [`entry`](super::entry).

/// Generates the C `main` of a `#![no_main]` program from a `fn(Vec<OsString>) -> u8`.
///
/// The function's result is the exit status. The C library's own exit is skipped: there is nothing to flush, and no exit function to call.
/// Destructors of thread-local data are not registered either, because the only thread ends with the process. The standard library would
/// keep a list of them, and abort if it got no memory for that; PID 1, which no ABRT ends, would then die of a fault.
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
                const LINE: &str = concat!(
                    env!("CARGO_BIN_NAME"),
                    ": error: the stack is not allowed to grow (RLIMIT_STACK)\n"
                );
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
