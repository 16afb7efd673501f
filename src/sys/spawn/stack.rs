//! What the child runs on until it executes its program: memory of its own, with a guard below it.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use super::super::check;

/// A page is enough for what the child does; a C library may need more.
const SIZE: usize = 64 * 1024;

/// Memory for a stack. If the child outgrows it, it hits a page that cannot be touched.
#[derive(Debug)]
pub(super) struct Stack {
    lowest: NonNull<c_void>,
    guard: usize,
}

impl Stack {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: sysconf takes a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let guard = usize::try_from(page).map_err(io::Error::other)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), guard + SIZE, libc::PROT_NONE, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { lowest: NonNull::new(mapped).ok_or(io::ErrorKind::OutOfMemory)?, guard };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the guard lies inside the mapping.
        let usable = unsafe { mapped.byte_add(guard) };
        // SAFETY: the rest of the mapping, which begins at a page and which nothing refers to.
        check(libc::c_long::from(unsafe { libc::mprotect(usable, SIZE, access) }))?;
        Ok(stack)
    }

    /// The end where the stack begins, because stacks grow down. It is a page's first byte, which is aligned enough for every ABI.
    pub(super) fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping.
        unsafe { self.lowest.as_ptr().byte_add(self.guard + SIZE) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made; no process runs on it any more.
        unsafe { libc::munmap(self.lowest.as_ptr(), self.guard + SIZE) };
    }
}
