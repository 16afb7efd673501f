//! Memory that forked children share with this process.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

/// A value that lives as long as this; it is not dropped.
#[derive(Debug)]
pub(super) struct Shared<T>(NonNull<T>);

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> io::Result<Self> {
        let (flags, access) = (libc::MAP_SHARED | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), access, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let place = NonNull::new(mapped.cast::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the mapping is as large as the value, begins at a page, which is aligned enough for it, and nothing else has it.
        unsafe { place.write(value) };
        Ok(Self(place))
    }

    /// Where it is, in this process and in those that are forked from it.
    pub(super) fn place(&self) -> NonNull<T> {
        self.0
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made; every user of its place is done with it.
        unsafe { libc::munmap(self.0.as_ptr().cast::<c_void>(), size_of::<T>()) };
    }
}
