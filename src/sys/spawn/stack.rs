//! The memory that the child runs on until it executes its program.

use std::ffi::{c_long, c_void};
use std::io;
use std::ptr;

use super::super::check;

/// The child's stack, with a page below it that cannot be touched.
pub(super) struct Stack {
    base: *mut c_void,
}

impl Stack {
    const SIZE: usize = 64 * 1024;
    /// As large as the largest page that Linux runs with.
    const GUARD: usize = 64 * 1024;
    const WHOLE: usize = Self::GUARD + Self::SIZE;

    pub(super) fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let base = unsafe { libc::mmap(ptr::null_mut(), Self::WHOLE, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base };
        // SAFETY: the guard is smaller than the mapping.
        let usable = unsafe { base.add(Self::GUARD) };
        // SAFETY: exactly the upper part of the mapping that was just made.
        let opened = unsafe { libc::mprotect(usable, Self::SIZE, libc::PROT_READ | libc::PROT_WRITE) };
        check(c_long::from(opened))?;
        Ok(stack)
    }

    /// Stacks grow down, and a page-aligned end is aligned for every ABI.
    pub(super) fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, which is never read or written itself.
        unsafe { self.base.add(Self::WHOLE) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made, and the child that ran on it has left it.
        unsafe { libc::munmap(self.base, Self::WHOLE) };
    }
}
