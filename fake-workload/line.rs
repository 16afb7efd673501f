//! Lines: each one write(2) that cannot kill the writer.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::time::Duration;

use drainit::signal::{Signal, SignalSet};
use drainit::sys::signals;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as NixSignal};

/// One line on stdout.
pub(crate) fn print(text: &[u8]) {
    write(std::io::stdout(), text);
}

/// One line on stderr.
pub(crate) fn complain(text: &str) {
    write(std::io::stderr(), format!("fake-workload: {text}").as_bytes());
}

fn write(descriptor: impl AsFd, text: &[u8]) {
    let line = [text, b"\n"].concat();
    without_sigpipe(|| {
        loop {
            match nix::unistd::write(&descriptor, &line) {
                Err(Errno::EINTR) => {}
                result => break result.map(drop),
            }
        }
    });
}

/// Carries out a write with SIGPIPE blocked, and takes the one that it raised.
///
/// Ignoring SIGPIPE would do too, but the tests look at the dispositions of this process.
fn without_sigpipe(write: impl FnOnce() -> nix::Result<()>) {
    let before = SigSet::from(NixSignal::SIGPIPE).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let pipe = SignalSet::default().with(Signal::PIPE);
    if write() == Err(Errno::EPIPE) {
        signals::wait(pipe, Some(Duration::ZERO));
    }
    if before.is_ok_and(|before| !before.contains(NixSignal::SIGPIPE)) {
        signals::unblock(pipe);
    }
}
