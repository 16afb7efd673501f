//! What the child runs on until it executes its program: the part of this process's stack that is not in use.
//!
//! That is how vfork(2) has it. Memory of its own would have to be mapped, protected and unmapped at every start
//! (docs/decisions/what-a-start-costs.md).

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

/// More than the C library's `clone` has below the frame that calls it.
const IN_USE: usize = 1024;

/// Runs `child` in a new process, which shares all memory with this one; this one goes on when it has executed a program or has
/// ended. Returns its pid, or -1.
///
/// # Safety
/// `child` gets `argument`, and does not unwind. No handler may run in this process meanwhile: the C library leaves there what the child is to
/// do, a signal that came would have the kernel begin the call anew, and the handler's frame would be in that place.
// Inlined, the frame above could be larger than what is left free.
#[inline(never)]
pub(super) unsafe fn clone(child: extern "C" fn(*mut c_void) -> c_int, argument: *mut c_void) -> c_int {
    let here = MaybeUninit::<u8>::uninit();
    let below = (here.as_ptr().addr() - IN_USE) & !15;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: stacks grow down, and this process, which stands still and runs no handler, does not use what is below until the child has
    // left it. It is aligned as every ABI wants it, and as deep as the kernel lets stacks be.
    unsafe { libc::clone(child, ptr::without_provenance_mut(below), flags, argument) }
}
