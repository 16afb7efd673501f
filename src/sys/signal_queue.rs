//! The signals that were sent to this process, taken one by one.
//!
//! They are read from a signalfd. A signal that is blocked is then visible in `SigBlk` of `/proc/PID/status` at every moment, also while it
//! is waited for. rt_sigtimedwait(2) takes the signals that it waits for out of that mask, and Kata's agent sends KILL in place of a TERM
//! that status does not show.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use super::signals::{self, Received};
use super::{check, descriptors};
use crate::signal::{Signal, SignalSet};

const EVERY: SignalSet = SignalSet::from_bits(u64::MAX);

/// Where the blocked signals of this process are taken from.
#[derive(Debug)]
pub struct SignalQueue {
    source: Source,
    urgent: SignalSet,
}

#[derive(Debug)]
enum Source {
    Descriptor(OwnedFd),
    /// rt_sigtimedwait(2), and why there is no descriptor.
    Call(io::Error),
}

impl SignalQueue {
    /// Opens the queue. Those in `urgent` are taken before all others: the kernel has the lowest number first, and a flood of that one would keep
    /// a stop signal waiting.
    ///
    /// # Errors
    /// Neither a descriptor nor the call can be waited with.
    pub fn open(urgent: SignalSet) -> io::Result<Self> {
        let source = match open_descriptor() {
            Ok(descriptor) => Source::Descriptor(descriptor),
            Err(error) => {
                signals::check_wait()?;
                Source::Call(error)
            }
        };
        Ok(Self { source, urgent })
    }

    /// What has to stay open.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Descriptor(descriptor) => Some(descriptor.as_fd()),
            Source::Call(_) => None,
        }
    }

    /// Why there is no descriptor, and signals that are waited for are hidden from `SigBlk`.
    #[must_use]
    pub fn refusal(&self) -> Option<&io::Error> {
        match &self.source {
            Source::Descriptor(_) => None,
            Source::Call(error) => Some(error),
        }
    }

    /// Takes the next signal, and waits for it for at most `timeout`; `None` is for ever.
    ///
    /// Returns `None` when the time is over, and also when the wait was interrupted: the caller looks at the clock again either way.
    #[must_use]
    pub fn take(&self, timeout: Option<Duration>) -> Option<Received> {
        // Without a wait the call leaves the mask alone. If it is refused, the order is the kernel's.
        signals::wait(self.urgent, Some(Duration::ZERO)).or_else(|| match &self.source {
            Source::Descriptor(descriptor) => match timeout {
                Some(timeout) if !is_readable(descriptor, timeout).unwrap_or(false) => None,
                Some(_) | None => read(descriptor),
            },
            Source::Call(_) => signals::wait(EVERY, timeout),
        })
    }
}

/// A descriptor that every call of [`SignalQueue::take`] is allowed with.
fn open_descriptor() -> io::Result<OwnedFd> {
    let every = EVERY.bits();
    // SAFETY: the set is 8 bytes, as the size says; the kernel leaves out what cannot be taken.
    let made = check(unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const every, size_of_val(&every), libc::SFD_CLOEXEC)
    })?;
    let made = i32::try_from(made).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
    let descriptor = descriptors::above_standard(unsafe { OwnedFd::from_raw_fd(made) })?;
    is_readable(&descriptor, Duration::ZERO)?;
    // SAFETY: no byte is written to the null pointer. The kernel finds the room too small (EINVAL) before it waits.
    let probed = unsafe { libc::read(descriptor.as_raw_fd(), ptr::null_mut(), 0) };
    match io::Error::last_os_error() {
        error if probed == -1 && error.raw_os_error() != Some(libc::EINVAL) => Err(error),
        _ => Ok(descriptor),
    }
}

/// Waits until a signal can be read, for at most `timeout`.
fn is_readable(descriptor: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = signals::timespec(timeout);
    // SAFETY: one pollfd of ours, a timeout that outlives the call, and no mask.
    let ready = unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, ptr::null()) };
    check(libc::c_long::from(ready)).map(|ready| ready > 0)
}

fn read(descriptor: &OwnedFd) -> Option<Received> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    // SAFETY: the pointer and the length are of one struct of ours.
    let length = unsafe { libc::read(descriptor.as_raw_fd(), info.as_mut_ptr().cast(), size_of_val(&info)) };
    if usize::try_from(length) != Ok(size_of_val(&info)) {
        return None;
    }
    // SAFETY: zeroed is a valid struct of numbers, and the kernel has filled it in.
    let info = unsafe { info.assume_init() };
    let signal = Signal::new(info.ssi_signo.cast_signed())?;
    Some(Received {
        signal,
        code: info.ssi_code,
        sender: info.ssi_pid.cast_signed(),
        sender_uid: info.ssi_uid,
    })
}
