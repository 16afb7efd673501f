//! Work that may take for ever, such as writing to a disk that does not answer, done by a copy of this process.

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::ptr::NonNull;
use std::time::Duration;

use super::super::clock::Clock;
use super::super::process::{self, Helper};
use super::super::{check, signals, wait};
use super::shared::Shared;
use super::stack::Stack;
use crate::signal::SignalSet;

/// How long to wait at first before looking again whether the work is done; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Where the work is done, and what it remembers from one time to the next: plain data in memory that the copies share.
///
/// The copy is no process of the run: it is not seen by a look at the processes, no wait for any child finds it, and its end sends no
/// signal.
#[derive(Debug)]
pub struct Aside<T> {
    state: Shared<T>,
    copy: Option<Helper>,
}

struct Work<'a, T> {
    state: NonNull<T>,
    work: &'a mut dyn FnMut(&mut T),
}

impl<T: Copy> Aside<T> {
    /// # Errors
    /// No memory can be shared.
    pub fn new(state: T) -> io::Result<Self> {
        Ok(Self { state: Shared::new(state)?, copy: None })
    }

    /// Does the work if nothing is under way, and waits for its end for at most this long. Returns whether it has ended.
    ///
    /// If no process can be made, this one does the work itself: it is not lost because of that.
    pub fn run(&mut self, patience: Duration, work: &mut dyn FnMut(&mut T)) -> bool {
        if !self.is_done_within(Duration::ZERO) {
            return false;
        }
        let mut work = Work { state: self.state.place(), work };
        match copy(&raw mut work) {
            Ok(pid) => self.copy = Some(Helper::note(pid)),
            // SAFETY: nobody else uses the state now: the last copy has ended.
            Err(_) => (work.work)(unsafe { work.state.as_mut() }),
        }
        self.is_done_within(patience)
    }

    /// Whether nothing is under way, or comes to its end within this time.
    pub fn is_done_within(&mut self, patience: Duration) -> bool {
        let Some(copy) = &self.copy else { return true };
        let clock = Clock::start();
        let mut pause = FIRST_PAUSE;
        while !wait::has_ended(copy.pid()) {
            if patience <= clock.now() {
                return false;
            }
            let _ = signals::wait(SignalSet::default(), Some(pause));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.copy = None;
        true
    }
}

/// Makes a copy of this process that does the work, and nothing else. All signals stay blocked in it.
fn copy<T>(work: *mut Work<'_, T>) -> io::Result<i32> {
    let stack = Stack::new()?;
    // Without a signal for its end, no wait for any child finds it (wait(2), `__WCLONE`).
    let no_signal = 0;
    // SAFETY: the copy has memory of its own, in which `work` and the stack are as they are here; this process has one thread, so no lock
    // is held by another one. The copy does not unwind.
    let cloned = unsafe { libc::clone(begin::<T>, stack.top(), no_signal, work.cast::<c_void>()) };
    let pid = check(c_long::from(cloned))?;
    i32::try_from(pid).map_err(io::Error::other)
}

extern "C" fn begin<T>(work: *mut c_void) -> c_int {
    // SAFETY: what `copy` has passed, in this process's own memory. Nobody else uses it here.
    let work = unsafe { &mut *work.cast::<Work<'_, T>>() };
    // SAFETY: the parent does not use the state before this process has ended.
    (work.work)(unsafe { work.state.as_mut() });
    process::exit_now(0)
}
