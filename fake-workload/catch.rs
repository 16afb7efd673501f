//! Signals caught by a handler.
//!
//! Each handler writes a byte to a stream of its signal, which counts, and then one to a stream that all share, which
//! wakes. signal-hook's iterator would do without the former, but makes one of all that came since it was read.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use drainit::signal::Signal;
use signal_hook::low_level::pipe;

/// What catching a signal leads to, beside the line that it prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    GoOn,
    Finish {
        delay: Duration,
        code: u8,
    },
    /// [`Reaction::Finish`], and the signal gets its default action back.
    FinishOnce {
        delay: Duration,
        code: u8,
    },
}

/// The handlers of this process.
pub(crate) struct Catcher {
    wake: UnixStream,
    /// The handlers' end of it; each has its own copy.
    waker: UnixStream,
    caught: Vec<Caught>,
    descriptors: Vec<RawFd>,
}

struct Caught {
    signal: Signal,
    arrivals: UnixStream,
    reaction: Reaction,
    is_installed: bool,
}

impl Catcher {
    pub(crate) fn new() -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        let descriptors = vec![wake.as_raw_fd(), waker.as_raw_fd()];
        Ok(Self { wake, waker, caught: Vec::new(), descriptors })
    }

    /// Installs a handler, or gives the one that there is another reaction.
    pub(crate) fn catch(&mut self, signal: Signal, reaction: Reaction) -> io::Result<()> {
        if let Some(known) = self.caught.iter_mut().find(|caught| caught.signal == signal) {
            if !known.is_installed {
                // signal-hook takes its handler for installed and would not do it again.
                return Err(io::Error::other("caught before, and had another disposition since"));
            }
            known.reaction = reaction;
            return Ok(());
        }
        let (arrivals, arrival) = UnixStream::pair()?;
        let waker = self.waker.try_clone()?;
        arrivals.set_nonblocking(true)?;
        self.descriptors.extend([arrivals.as_raw_fd(), arrival.as_raw_fd(), waker.as_raw_fd()]);
        // In this order: a reader that is woken finds the count.
        pipe::register(signal.number(), arrival)?;
        pipe::register(signal.number(), waker)?;
        self.caught.push(Caught { signal, arrivals, reaction, is_installed: true });
        Ok(())
    }

    /// Notes that the signal has another disposition now.
    pub(crate) fn displace(&mut self, signal: Signal) {
        for caught in self.caught.iter_mut().filter(|caught| caught.signal == signal) {
            caught.is_installed = false;
        }
    }

    /// A signal that came since the last call, with the times that it came.
    pub(crate) fn next(&mut self) -> Option<(Signal, usize, Reaction)> {
        self.caught.iter_mut().find_map(|caught| {
            let count = caught.count();
            (count > 0).then_some((caught.signal, count, caught.reaction))
        })
    }

    /// How often this signal came since the last look.
    pub(crate) fn count(&mut self, signal: Signal) -> usize {
        self.caught.iter_mut().filter(|caught| caught.signal == signal).map(Caught::count).sum()
    }

    /// Returns when a signal has come, after `timeout`, or a little earlier; `None` is for ever.
    pub(crate) fn rest(&mut self, timeout: Option<Duration>) {
        // Zero would be refused; what other errors mean (a timeout, an interruption) the caller sees by looking again.
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_micros(1)));
        let _ = self.wake.set_read_timeout(timeout);
        let _ = self.wake.read(&mut [0; 64]);
    }

    /// The descriptors that all this takes.
    pub(crate) fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }
}

impl Caught {
    fn count(&mut self) -> usize {
        let mut bytes = [0; 512];
        let mut total = 0;
        while let Ok(count @ 1..) = self.arrivals.read(&mut bytes) {
            total += count;
        }
        total
    }
}
