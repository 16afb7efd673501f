//! This process's descriptors above the standard three.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{check, procfs};

/// The lowest descriptor that is not a standard one.
const LOWEST: i32 = libc::STDERR_FILENO + 1;

/// Whether the inherited descriptors are closed: one that is opened earlier would be closed with them.
static MAY_OPEN: AtomicBool = AtomicBool::new(false);

/// Whether a descriptor that is opened now stays open.
pub(super) fn may_open() -> bool {
    MAY_OPEN.load(Ordering::Relaxed)
}

/// Opens a file, or makes it, without waiting for the other end of a pipe.
///
/// `File::open` repeats an interrupted call, and so would loop for ever if a filter always answers EINTR.
pub(super) fn open(path: impl AsRef<OsStr>, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::open(path.as_ref(), flags, Mode::from_bits_truncate(0o666))?;
    Ok(File::from(above_standard(opened)?))
}

/// Moves a descriptor above the standard ones: if stdin is closed, a file that is opened takes its number, and would be taken for stdin.
pub(super) fn above_standard(opened: OwnedFd) -> io::Result<OwnedFd> {
    if opened.as_raw_fd() >= LOWEST {
        return Ok(opened);
    }
    // SAFETY: numbers only.
    let copy =
        check(libc::c_long::from(unsafe { libc::fcntl(opened.as_raw_fd(), libc::F_DUPFD_CLOEXEC, LOWEST) }))?;
    made(copy)
}

/// Owns the descriptor that a call has just returned, which is closed on exec.
///
/// A system call filter may answer a call with 0 without making it. 0 is then stdin, and an inherited stdin is not closed on exec.
pub(super) fn made(returned: libc::c_long) -> io::Result<OwnedFd> {
    let descriptor = i32::try_from(returned).map_err(io::Error::other)?;
    // SAFETY: numbers only.
    if descriptor < LOWEST && unsafe { libc::fcntl(descriptor, libc::F_GETFD) } != libc::FD_CLOEXEC {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: the kernel has just made this descriptor for us; nothing else owns it. A filter that fakes success (SECCOMP_RET_ERRNO) can
    // only answer 0, and a 0 that is an inherited stdin was excluded above.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Closes every descriptor above 2 except `kept`, so that no socket, pipe or file of drainit's starter stays open.
pub fn close_inherited(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<i32> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first = LOWEST;
    let mut closed = true;
    for &descriptor in &kept {
        closed &= close_range(first, descriptor - 1);
        first = descriptor + 1;
    }
    closed &= close_range(first, i32::MAX);
    if !closed {
        for descriptor in procfs::own_descriptors() {
            if descriptor >= LOWEST && !kept.contains(&descriptor) {
                // SAFETY: nothing in this program holds it; one that is closed already answers EBADF.
                unsafe { libc::close(descriptor) };
            }
        }
    }
    MAY_OPEN.store(true, Ordering::Relaxed);
}

/// Closes these two and all between them; returns whether that worked.
fn close_range(first: i32, last: i32) -> bool {
    // SAFETY: nothing in this program holds a descriptor that the caller does not keep.
    first > last || check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).is_ok()
}
