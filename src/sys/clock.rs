//! The clocks: time since start for the plan, ticks since boot for comparing with process start times.

use std::time::{Duration, Instant};

/// Time since the program began, on the clock that no one can set.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since [`Clock::start`].
    #[must_use]
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }
}

/// Now, as the start time in `/proc/PID/stat` counts it: clock ticks since boot (proc(5), field 22).
#[must_use]
pub fn boot_ticks() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) } == -1 {
        return 0;
    }
    // SAFETY: sysconf takes a number.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * per_second + nanoseconds * per_second / 1_000_000_000
}
