//! The clocks: time since start for the plan, ticks since boot for comparing with process start times.

use std::time::Duration;

use super::calls::CLOCK_GETTIME;

/// Time since the program began, on a clock that cannot be set.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Duration);

impl Clock {
    /// Starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self(read(libc::CLOCK_MONOTONIC))
    }

    /// Time since [`Clock::start`].
    #[must_use]
    pub fn now(self) -> Duration {
        read(libc::CLOCK_MONOTONIC).saturating_sub(self.0)
    }
}

/// By a system call: the kernel's own pages for this, vdso(7), would have to be mapped and searched, and an init reads the clock only a few
/// times.
fn read(clock: libc::clockid_t) -> Duration {
    // SAFETY: the pointer is to a time of ours, as the call of that number has it; it stays zero if there is no such clock.
    let time = CLOCK_GETTIME.get(|number, time| unsafe { libc::syscall(number, clock, time) });
    if time.is_zero() { read_from_pages(clock) } else { time }
}

/// This way cannot be refused by a system call filter. If the clock stood still, no deadline would ever come.
fn read_from_pages(clock: libc::clockid_t) -> Duration {
    #[cfg(target_pointer_width = "64")]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a time of ours; it stays zero if there is no such clock.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
    // On 32-bit processors the C library's time may have 32 bits.
    #[cfg(target_pointer_width = "32")]
    {
        let _ = clock;
        Duration::ZERO
    }
}

/// The present time as the start time in `/proc/PID/stat` counts it: clock ticks since boot (proc(5), field 22).
#[must_use]
pub fn boot_ticks() -> u64 {
    let now = read(libc::CLOCK_BOOTTIME);
    let per_second = ticks_per_second();
    now.as_secs() * per_second + u64::from(now.subsec_nanos()) * per_second / 1_000_000_000
}

/// Clock ticks in a second, as /proc counts them.
#[must_use]
pub fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes a number.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(per_second).unwrap_or(100).max(1)
}
