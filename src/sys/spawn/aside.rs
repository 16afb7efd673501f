//! Work that may take for ever, such as writing to a disk that does not answer, done by a forked helper.

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::ptr::NonNull;
use std::time::Duration;

use super::super::clock::Clock;
use super::super::process::{self, Helper};
use super::super::{check, signals, wait};
use super::shared::Shared;
use super::stack::Stack;
use crate::outcome::Ended;
use crate::signal::SignalSet;

/// How long to wait at first before looking again whether the work is done; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Where the work is done, and what it remembers from one time to the next: plain data in memory that the helpers share.
///
/// A helper is no process of the run: no look at the processes sees it, no wait for any child finds it, and its end sends no signal.
#[derive(Debug)]
pub struct Aside<T> {
    state: Shared<T>,
    helper: Option<Helper>,
}

/// What has become of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// The helper ended before the work was done: it was killed, or it failed.
    Failed,
    UnderWay,
}

struct Work<'a, T> {
    state: NonNull<T>,
    work: &'a mut dyn FnMut(&mut T),
}

impl<T: Copy> Aside<T> {
    /// A helper may be killed in the middle of a write, so every mixture of an old and a new value's bytes must be a valid `T`.
    ///
    /// # Errors
    /// No memory can be shared.
    pub fn new(state: T) -> io::Result<Self> {
        Ok(Self { state: Shared::new(state)?, helper: None })
    }

    /// Does the work in a helper, unless some work is still under way, and waits for its end for at most `patience`.
    ///
    /// If no process can be made, this one does the work itself, for however long it takes, rather than lose it.
    pub fn run(&mut self, patience: Duration, work: &mut dyn FnMut(&mut T)) -> Progress {
        if self.progress_within(Duration::ZERO) == Progress::UnderWay {
            return Progress::UnderWay;
        }
        let mut work = Work { state: self.state.place(), work };
        match fork_helper(&raw mut work) {
            Ok(pid) => self.helper = Some(Helper::note(pid)),
            // SAFETY: nothing else uses the state now: the last helper has ended.
            Err(_) => (work.work)(unsafe { work.state.as_mut() }),
        }
        self.progress_within(patience)
    }

    /// What is remembered, if nothing is under way.
    pub fn state(&self) -> Option<T> {
        // SAFETY: no helper uses it now. One may have been killed in the middle of a write, but `new` asks for a `T` that is valid even then.
        self.helper.is_none().then(|| unsafe { *self.state.place().as_ptr() })
    }

    /// Waits for at most `patience` for the work that is under way, and says how far it is. `Done` if there is none.
    pub fn progress_within(&mut self, patience: Duration) -> Progress {
        let Some(helper) = &self.helper else { return Progress::Done };
        // The command may have sent STOP to every process, and so to the helper.
        // SAFETY: our own child, which has not been reaped.
        unsafe { libc::kill(helper.pid(), libc::SIGCONT) };
        let clock = Clock::start();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(ended) = wait::end_of(helper.pid()) {
                self.helper = None;
                return if ended == Some(Ended::Exited(0)) { Progress::Done } else { Progress::Failed };
            }
            if patience <= clock.now() {
                return Progress::UnderWay;
            }
            let _ = signals::wait(SignalSet::default(), Some(pause));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Forks a helper that does the work, and nothing else. All signals stay blocked in it.
fn fork_helper<T>(work: *mut Work<'_, T>) -> io::Result<i32> {
    let stack = Stack::new()?;
    // Without a signal for its end, no wait for any child finds it (wait(2), `__WCLONE`).
    let no_signal = 0;
    // SAFETY: the helper has memory of its own, in which `work` and the stack are as they are here; this process has one thread, so no lock
    // is held by another one. The helper does not unwind.
    let cloned = unsafe { libc::clone(begin::<T>, stack.top(), no_signal, work.cast::<c_void>()) };
    let pid = check(c_long::from(cloned))?;
    i32::try_from(pid).map_err(io::Error::other)
}

extern "C" fn begin<T>(work: *mut c_void) -> c_int {
    // SAFETY: what `fork_helper` has passed, in this process's own memory. Nothing else uses it here.
    let work = unsafe { &mut *work.cast::<Work<'_, T>>() };
    // A process that reads what the command writes waits until no process can write there any more, and this one may take long.
    for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: no Rust value owns a standard descriptor. A panic's line, or the allocator's, may still be written to 2, which does no harm:
        // the work has at most one file of its own open at a time, and that gets the number 0.
        unsafe { libc::close(standard) };
    }
    // SAFETY: the parent does not use the state before this process has ended.
    (work.work)(unsafe { work.state.as_mut() });
    process::exit_now(0)
}

#[cfg(test)]
mod tests {
    use super::super::super::procfs;
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// One after the other: there is one helper at a time. They allocate nothing, because this process has other threads.
    #[test]
    fn work_is_done_or_fails_or_is_under_way() {
        let mut aside = Aside::new(1).expect("memory");
        assert_eq!(aside.run(SOON, &mut |state| *state += 1), Progress::Done);
        assert_eq!((aside.state(), process::helper()), (Some(2), None), "the helper's work is remembered");

        assert_eq!(aside.run(SOON, &mut |_| process::exit_now(1)), Progress::Failed);

        let mut hangs = |_: &mut i32| loop {
            // SAFETY: no pointer is passed.
            unsafe { libc::pause() };
        };
        let begun = aside.run(Duration::ZERO, &mut hangs);
        let meanwhile = (aside.state(), aside.run(Duration::ZERO, &mut |state| *state += 1));
        let helper = process::helper().expect("it hangs");
        let mut is_seen = false;
        procfs::each_process(|pid, _| is_seen |= pid == helper);
        // SAFETY: our own child, which has not been reaped.
        unsafe { libc::kill(helper, libc::SIGKILL) };
        assert_eq!((begun, meanwhile), (Progress::UnderWay, (None, Progress::UnderWay)));
        assert!(!is_seen, "it is no process of the run");
        assert_eq!(aside.progress_within(SOON), Progress::Failed);
        assert_eq!((aside.run(SOON, &mut |state| *state += 1), aside.state()), (Progress::Done, Some(3)));
    }
}
