//! A pipe by which a child that shares no memory with drainit reports what has failed. The child's exec or end closes it.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicI32;

use nix::fcntl::OFlag;

use super::SpawnError;
use super::prepared::read_failure;
use super::program::{Beginning, LENGTH};

/// Only numbers, so that any bytes are valid, and no padding, whose bytes would be undefined.
#[repr(C)]
struct Message {
    stage: i32,
    errno: i32,
    file: Beginning,
}

const _: () =
    assert!(size_of::<Message>() == 4 * size_of::<i32>() + LENGTH, "no byte lies between the fields");

/// Both ends of the pipe.
#[derive(Debug)]
pub(super) struct Word {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Word {
    /// `None` if no descriptor is free: only an emulator needs the pipe.
    pub(super) fn new() -> Option<Self> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).ok()?;
        Some(Self { reader, writer })
    }

    /// The end that the child writes to.
    pub(super) fn number(&self) -> c_int {
        self.writer.as_raw_fd()
    }

    /// Waits until the child has executed its program or has ended; returns what has failed, if anything has.
    pub(super) fn read(self) -> Option<SpawnError> {
        drop(self.writer);
        let mut message = Message { stage: -1, errno: 0, file: Beginning::NONE };
        // A stop and a continue of this process interrupt the wait.
        loop {
            // SAFETY: the pointer and the length are of one message of ours.
            let read = unsafe {
                libc::read(self.reader.as_raw_fd(), (&raw mut message).cast(), size_of::<Message>())
            };
            if read != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
        read_failure(&AtomicI32::new(message.stage), &AtomicI32::new(message.errno), &message.file)
    }
}

/// Reports what has failed; called in the child.
pub(super) fn write(word: c_int, stage: i32, errno: i32, file: Beginning) {
    let message = Message { stage, errno, file };
    // SAFETY: the pointer and the length are of one message. A pipe takes so little at once (PIPE_BUF).
    unsafe { libc::write(word, (&raw const message).cast(), size_of::<Message>()) };
}

#[cfg(test)]
mod tests {
    use super::super::SpawnStage;
    use super::*;

    #[test]
    fn what_failed_is_read_and_nothing_if_nothing_did() {
        let word = Word::new().expect("a pipe can be made");
        write(word.number(), 2, libc::EPERM, Beginning::NONE);
        let failure = word.read().expect("it was written");
        assert_eq!((failure.stage, failure.error.raw_os_error()), (SpawnStage::Groups, Some(libc::EPERM)));
        assert!(Word::new().expect("a pipe can be made").read().is_none());
    }
}
