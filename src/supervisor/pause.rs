//! A pause container: nothing is run, and the orphans of others are reaped until somebody asks for an end.
//!
//! There is nobody to ask, to wait for or to kill. In a pid namespace that several containers share, the processes are the
//! runtime's, which stops them before this one; whoever is still there when PID 1 leaves is the kernel's to kill. Where it
//! is not PID 1, its children are those of a program that it took the place of, and are left alone.

use std::time::Duration;

use log::info;

use super::waiting::open_signals;
use super::{REAP_AT_ONCE, meaning, reaped_level, say_reaped, take_the_place_of_init};
use crate::error::StartError;
use crate::plan::Event;
use crate::settings::Settings;
use crate::signal::{Signal, SignalSet};
use crate::sys::wait::{self, Reaped};
use crate::sys::{descriptors, process};

/// Stays until TERM or INT comes, and returns the exit code.
///
/// # Errors
/// Signals cannot be waited for.
pub fn pause(settings: &Settings) -> Result<u8, StartError> {
    let own_pid = process::id();
    take_the_place_of_init(settings, own_pid);
    let mut signals = open_signals(SignalSet::default().with(Signal::TERM).with(Signal::INT))?;
    process::leave_directory();
    descriptors::close_inherited(signals.descriptor().as_slice());
    process::return_stack();
    loop {
        let at_once = reap(settings);
        let timeout = at_once.then_some(Duration::ZERO);
        if let Some(Event::Signal(signal @ (Signal::TERM | Signal::INT))) =
            signals.take(timeout).and_then(|received| meaning(received, own_pid))
        {
            info!("{signal} ends the pause");
            return Ok(0);
        }
    }
}

/// Whether there may be more: a signal has its turn, however fast processes end.
fn reap(settings: &Settings) -> bool {
    for _ in 0..REAP_AT_ONCE {
        match wait::reap(false) {
            Reaped::Child { pid, ended } => say_reaped(reaped_level(settings), pid, ended),
            Reaped::Stopped { .. } | Reaped::Continued { .. } => {}
            Reaped::AllAlive | Reaped::NoChildren => return false,
        }
    }
    true
}
