//! The signals that were sent to this process, taken one by one.
//!
//! They are read from a signalfd. A blocked signal is then in `SigBlk` of `/proc/PID/status` at every moment, even while it is waited for.
//! rt_sigtimedwait(2) takes the signals that it waits for out of that mask, and Kata's agent sends KILL in place of a TERM that `status`
//! does not show.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::calls::PPOLL;
use super::signals::{self, Received};
use super::{check, descriptors};
use crate::signal::{Signal, SignalSet};

const EVERY: SignalSet = SignalSet::from_bits(u64::MAX);

/// Where the blocked signals of this process are taken from.
#[derive(Debug)]
pub struct SignalQueue {
    source: Source,
    urgent: SignalSet,
    /// A signal that was read together with the one before it.
    next: Option<Received>,
    /// Whether a read of the descriptor waits for a signal.
    waits: bool,
}

#[derive(Debug)]
enum Source {
    Descriptor(OwnedFd),
    /// rt_sigtimedwait(2), and why there is no descriptor.
    Call(io::Error),
}

impl SignalQueue {
    /// Opens the queue. Signals in `urgent` are taken before all others: the kernel delivers the lowest number first, and a flood of that
    /// one would keep a stop signal waiting.
    ///
    /// # Errors
    /// Neither a descriptor nor the call works.
    pub fn open(urgent: SignalSet) -> io::Result<Self> {
        let source = match open_descriptor() {
            Ok(descriptor) => Source::Descriptor(descriptor),
            Err(error) => {
                signals::check_wait()?;
                Source::Call(error)
            }
        };
        Ok(Self { source, urgent, next: None, waits: true })
    }

    /// The descriptor that has to stay open.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Descriptor(descriptor) => Some(descriptor.as_fd()),
            Source::Call(_) => None,
        }
    }

    /// Why there is no descriptor, so that signals are missing from `SigBlk` while they are waited for.
    #[must_use]
    pub fn refusal(&self) -> Option<&io::Error> {
        match &self.source {
            Source::Descriptor(_) => None,
            Source::Call(error) => Some(error),
        }
    }

    /// The signal that was read with the one that was taken last, and that is taken next.
    #[must_use]
    pub fn next(&self) -> Option<Received> {
        self.next
    }

    /// Takes the next signal, and waits for it for at most `timeout`; `None` is for ever.
    ///
    /// Returns `None` when the time is over, and also when the wait was interrupted: the caller looks at the clock again either way.
    #[must_use]
    pub fn take(&mut self, timeout: Option<Duration>) -> Option<Received> {
        match (&self.source, self.next.take()) {
            // Urgent signals may have come after it. If the look for them is refused, the kernel's order stands.
            (Source::Descriptor(_), Some(next)) => {
                let first = if self.urgent.contains(next.signal) { None } else { self.look_for_urgent() };
                if first.is_some() {
                    self.next = Some(next);
                }
                first.or(Some(next))
            }
            (Source::Descriptor(descriptor), None) => {
                let waited = timeout.map_or(Ok(true), |timeout| is_readable(descriptor, timeout));
                // With a deadline the read must not wait: a STOP may discard a CONT that was there a moment ago.
                let waits = timeout.is_none();
                if self.waits != waits {
                    match set_waits(descriptor, waits) {
                        Ok(()) => self.waits = waits,
                        // Otherwise reading would be a busy loop.
                        Err(_) if waits => drop(is_readable(descriptor, Duration::MAX)),
                        Err(_) => {}
                    }
                }
                let [first, second] = match waited.map(|is_there| is_there.then(|| read(descriptor))) {
                    Ok(None) => return None,
                    Ok(Some(Ok(taken))) => taken,
                    // If the refusal lasts, signals still have to be taken.
                    Ok(Some(Err(error))) | Err(error) => {
                        let is_over =
                            matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
                        return signals::wait(EVERY, if is_over { Some(Duration::ZERO) } else { timeout });
                    }
                };
                let is_urgent = second.is_some_and(|second| self.urgent.contains(second.signal));
                let (first, second) = if is_urgent { (second, first) } else { (first, second) };
                self.next = second;
                first
            }
            (Source::Call(_), _) => self.look_for_urgent().or_else(|| signals::wait(EVERY, timeout)),
        }
    }

    /// Whether the signal was read already, or is pending.
    #[must_use]
    pub fn has(&self, signal: Signal) -> bool {
        self.next.is_some_and(|next| next.signal == signal) || signals::is_pending(signal)
    }

    /// With a timeout of zero the call leaves the mask alone.
    fn look_for_urgent(&self) -> Option<Received> {
        signals::wait(self.urgent, Some(Duration::ZERO))
    }
}

/// A descriptor on which every call of [`SignalQueue::take`] is allowed.
fn open_descriptor() -> io::Result<OwnedFd> {
    let every = EVERY.bits();
    // SAFETY: the set is 8 bytes, as the size says; the kernel leaves out what cannot be taken.
    let made = check(unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const every, size_of_val(&every), libc::SFD_CLOEXEC)
    })?;
    let descriptor = descriptors::above_standard(descriptors::made(made)?)?;
    // No descriptor has this number, and a ppoll(2) that works reports that (POLLNVAL). If a filter faked the call, each wait would be a busy
    // loop.
    if poll(i32::MAX, Duration::ZERO)? == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: no byte is written to the null pointer. The kernel finds the room too small (EINVAL) before it waits.
    let probed = unsafe { libc::read(descriptor.as_raw_fd(), ptr::null_mut(), 0) };
    match io::Error::last_os_error() {
        error if probed == -1 && error.raw_os_error() != Some(libc::EINVAL) => Err(error),
        _ => Ok(descriptor),
    }
}

/// Waits until a signal can be read, for at most `timeout`.
fn is_readable(descriptor: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    poll(descriptor.as_raw_fd(), timeout).map(|ready| ready > 0)
}

fn poll(descriptor: RawFd, timeout: Duration) -> io::Result<libc::c_long> {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let (poll, no_mask) = (&raw mut poll, ptr::null::<u64>());
    PPOLL.until(Some(timeout), |number, timeout| {
        // SAFETY: one pollfd of ours, a timeout that the call of that number takes, and no mask.
        unsafe { libc::syscall(number, poll, 1, timeout, no_mask, size_of::<u64>()) }
    })
}

fn set_waits(descriptor: &OwnedFd, waits: bool) -> nix::Result<()> {
    let flags = if waits { OFlag::empty() } else { OFlag::O_NONBLOCK };
    fcntl(descriptor, FcntlArg::F_SETFL(flags)).map(drop)
}

/// Reads a signal; waits for it if the descriptor is set to. A second one that is pending is read too: if there is none, nothing else was
/// pending.
fn read(descriptor: &OwnedFd) -> io::Result<[Option<Received>; 2]> {
    let mut infos = MaybeUninit::<[libc::signalfd_siginfo; 2]>::zeroed();
    // SAFETY: the pointer and the length are of one array of ours.
    let length =
        unsafe { libc::read(descriptor.as_raw_fd(), infos.as_mut_ptr().cast(), size_of_val(&infos)) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed are valid structs of numbers, filled in or not.
    let infos = unsafe { infos.assume_init() };
    let count = usize::try_from(length).unwrap_or(0) / size_of::<libc::signalfd_siginfo>();
    let [first, second] = infos.map(|info| received(&info));
    Ok([first.filter(|_| count > 0), second.filter(|_| count > 1)])
}

fn received(info: &libc::signalfd_siginfo) -> Option<Received> {
    Some(Received {
        signal: Signal::new(info.ssi_signo.cast_signed())?,
        code: info.ssi_code,
        sender: info.ssi_pid.cast_signed(),
        sender_uid: info.ssi_uid,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Sent to this thread alone, which blocks it: if it were sent to the process, another thread of the tests would take it.
    pub(crate) fn send(signal: Signal) {
        // SAFETY: no arguments.
        let thread = unsafe { libc::pthread_self() };
        // SAFETY: this thread is there, and the signal is a number.
        assert_eq!(unsafe { libc::pthread_kill(thread, signal.number()) }, 0);
    }

    fn take(queue: &mut SignalQueue) -> Option<i32> {
        queue.take(Some(Duration::ZERO)).map(|received| received.signal.number())
    }

    fn sources() -> [Source; 2] {
        let descriptor = open_descriptor().expect("a signalfd can be made");
        [Source::Descriptor(descriptor), Source::Call(io::ErrorKind::Unsupported.into())]
    }

    #[test]
    fn urgent_signals_overtake_the_others() {
        let _ = signals::block_all();
        let [other, urgent] = [34, 37].map(|number| Signal::new(number).expect("a signal"));
        for source in sources() {
            let mut queue =
                SignalQueue { source, urgent: SignalSet::default().with(urgent), next: None, waits: true };
            [other, other, other, other, urgent].into_iter().for_each(send);
            let order: Vec<i32> = std::iter::from_fn(|| take(&mut queue)).collect();
            let place = order.iter().position(|number| *number == urgent.number());
            // One other signal may come first: it was read in the same call, or before the urgent one was there.
            assert!(place.is_some_and(|place| place <= 1) && order.len() == 5, "{queue:?}: {order:?}");
            [other, urgent].into_iter().for_each(send);
            assert_eq!([take(&mut queue), take(&mut queue), take(&mut queue)], [Some(37), Some(34), None]);
        }
    }

    /// As if a STOP had taken a CONT back between the look and the read.
    #[test]
    fn with_a_deadline_nothing_but_the_look_waits() {
        let _ = signals::block_all();
        let source = Source::Descriptor(open_descriptor().expect("a signalfd can be made"));
        let mut queue = SignalQueue { source, urgent: SignalSet::default(), next: None, waits: true };
        send(Signal::USR1);
        assert_eq!(take(&mut queue), Some(Signal::USR1.number()));
        let Source::Descriptor(descriptor) = &queue.source else { panic!("{queue:?}") };
        let nothing = read(descriptor).expect_err("there is none left");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        // Without a deadline the read waits again.
        send(Signal::USR1);
        assert!(queue.take(None).is_some() && queue.waits);
    }

    #[test]
    fn what_was_read_along_is_still_to_be_taken() {
        let _ = signals::block_all();
        for source in sources() {
            let mut queue = SignalQueue { source, urgent: SignalSet::default(), next: None, waits: true };
            [Signal::USR1, Signal::CONT].into_iter().for_each(send);
            assert!(queue.has(Signal::USR1) && queue.has(Signal::CONT));
            assert_eq!(take(&mut queue), Some(Signal::USR1.number()));
            assert!(!queue.has(Signal::USR1) && queue.has(Signal::CONT));
            assert_eq!(take(&mut queue), Some(Signal::CONT.number()));
            assert!(!queue.has(Signal::CONT) && take(&mut queue).is_none());
        }
    }
}
