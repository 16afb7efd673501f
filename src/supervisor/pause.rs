//! A pause container: nothing is run, and the orphans of others are reaped until TERM or INT comes.
//!
//! There is no process to signal, to wait for or to kill. In a pid namespace that several containers share, the processes belong to the
//! runtime, which stops them before this one; the kernel kills what is still there when PID 1 exits. If it is not PID 1, its children were
//! started by the program that it replaced by exec, and are left alone.

use std::time::Duration;

use super::REAP_AT_ONCE;
use super::inbox::Inbox;
use super::start::{ReapedLine, take_the_place_of_init};
use crate::error::StartError;
use crate::plan::Event;
use crate::say::info;
use crate::settings::Settings;
use crate::signal::{Signal, SignalSet};
use crate::sys::wait::{self, Reaped};
use crate::sys::{descriptors, process};

/// Stays until TERM or INT comes, and returns the exit code.
///
/// # Errors
/// Signals cannot be waited for.
pub fn pause(settings: &Settings) -> Result<u8, StartError> {
    let pending = take_the_place_of_init(settings);
    let mut inbox = Inbox::open(SignalSet::default().with(Signal::TERM).with(Signal::INT))?;
    process::leave_directory();
    descriptors::close_inherited(inbox.queue().descriptor().as_slice());
    let mut event = pending;
    loop {
        if let Some(Event::Signal(signal @ (Signal::TERM | Signal::INT), _)) = event {
            info!("{signal} ends the pause");
            return Ok(0);
        }
        let at_once = reap(settings);
        let received = inbox.take(at_once.then_some(Duration::ZERO));
        event = received.and_then(|received| inbox.to_event(received));
    }
}

/// Whether there may be more to reap: signals have their turn first, however fast processes end.
fn reap(settings: &Settings) -> bool {
    for _ in 0..REAP_AT_ONCE {
        match wait::reap(false) {
            Reaped::Child { pid, ended } => ReapedLine::new(settings).say(pid, ended),
            Reaped::Stopped { .. } | Reaped::Continued { .. } => {}
            Reaped::AllAlive | Reaped::NoChildren => return false,
        }
    }
    true
}
