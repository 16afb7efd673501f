//! System calls that 32-bit processors have twice.
//!
//! The first calls for ids take 16 bits of them: 65536 would become root. The first calls for times take 32 bits of seconds, which end in
//! 2038; Linux 5.1 added calls with 64. A kernel may be built without the old calls, and an old kernel, or a system call filter that is
//! older than the new ones, refuses those.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::time::Duration;

use libc::c_long;

#[cfg(target_pointer_width = "64")]
pub(super) use libc::{
    SYS_setfsgid as SETFSGID, SYS_setfsuid as SETFSUID, SYS_setgroups as SETGROUPS,
    SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID,
};
#[cfg(target_pointer_width = "32")]
pub(super) use libc::{
    SYS_setfsgid32 as SETFSGID, SYS_setfsuid32 as SETFSUID, SYS_setgroups32 as SETGROUPS,
    SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID,
};

/// A call that takes a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedCall {
    number: c_long,
    /// Its older form, which takes [`Old`] as its time.
    old: Option<c_long>,
}

#[cfg(target_pointer_width = "64")]
mod timed {
    use super::TimedCall;

    pub(in super::super) const CLOCK_GETTIME: TimedCall =
        TimedCall { number: libc::SYS_clock_gettime, old: None };
    pub(in super::super) const PPOLL: TimedCall = TimedCall { number: libc::SYS_ppoll, old: None };
    pub(in super::super) const RT_SIGTIMEDWAIT: TimedCall =
        TimedCall { number: libc::SYS_rt_sigtimedwait, old: None };
}

/// The newer calls have the same number on every processor.
#[cfg(target_pointer_width = "32")]
mod timed {
    use super::TimedCall;

    pub(in super::super) const CLOCK_GETTIME: TimedCall =
        TimedCall { number: 403, old: Some(libc::SYS_clock_gettime) };
    pub(in super::super) const PPOLL: TimedCall = TimedCall { number: 414, old: Some(libc::SYS_ppoll) };
    pub(in super::super) const RT_SIGTIMEDWAIT: TimedCall =
        TimedCall { number: 421, old: Some(libc::SYS_rt_sigtimedwait) };
}

pub(super) use timed::{CLOCK_GETTIME, PPOLL, RT_SIGTIMEDWAIT};

/// The kernel's `__kernel_timespec`.
#[repr(C)]
#[derive(Clone, Copy)]
struct New {
    seconds: i64,
    nanoseconds: i64,
}

/// The kernel's `old_timespec32`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Old {
    seconds: i32,
    nanoseconds: i32,
}

impl TimedCall {
    /// Makes the call: `make` gets its number and a pointer to the time, null for none.
    ///
    /// # Errors
    /// Those of the call.
    pub(super) fn until(
        self,
        timeout: Option<Duration>,
        make: impl Fn(c_long, *mut c_void) -> c_long,
    ) -> io::Result<c_long> {
        let mut new = timeout.map(New::from);
        let result = super::check(make(self.number, pointer(new.as_mut())));
        match (self.old, result) {
            (Some(number), Err(error)) if is_unknown(&error) => {
                let mut old = timeout.map(Old::from);
                super::check(make(number, pointer(old.as_mut())))
            }
            (_, result) => result,
        }
    }

    /// Makes a call that writes a time to the pointer; returns zero if it is refused.
    pub(super) fn get(self, make: impl Fn(c_long, *mut c_void) -> c_long) -> Duration {
        let mut new = New { seconds: 0, nanoseconds: 0 };
        let result = super::check(make(self.number, (&raw mut new).cast()));
        if let (Some(number), Err(_)) = (self.old, result) {
            let mut old = Old { seconds: 0, nanoseconds: 0 };
            make(number, (&raw mut old).cast());
            new = New { seconds: i64::from(old.seconds), nanoseconds: i64::from(old.nanoseconds) };
        }
        Duration::new(u64::try_from(new.seconds).unwrap_or(0), u32::try_from(new.nanoseconds).unwrap_or(0))
    }
}

/// Filters refuse a call that they do not know with EPERM or ENOSYS; the calls themselves return neither.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// ppoll(2) writes the remaining time there.
fn pointer<T>(time: Option<&mut T>) -> *mut c_void {
    time.map_or(ptr::null_mut(), |time| ptr::from_mut(time).cast())
}

impl From<Duration> for New {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: i64::from(duration.subsec_nanos()),
        }
    }
}

impl From<Duration> for Old {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: i32::try_from(duration.as_secs()).unwrap_or(i32::MAX),
            nanoseconds: duration.subsec_nanos().cast_signed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_call_can_express_is_the_longest() {
        let (new, old) = (New::from(Duration::MAX), Old::from(Duration::MAX));
        assert_eq!((new.seconds, old.seconds), (i64::MAX, i32::MAX));
        let past_2038 = Duration::new(1 << 31, 5);
        assert_eq!((New::from(past_2038).seconds, Old::from(past_2038).seconds), (1 << 31, i32::MAX));
        assert_eq!(Old::from(past_2038).nanoseconds, 5);
    }

    /// As on a 32-bit processor where an old kernel, or an old filter, refuses calls.
    #[test]
    fn if_the_newer_call_is_unknown_the_older_one_is_made() {
        let call = TimedCall { number: 1, old: Some(2) };
        for refusal in [libc::ENOSYS, libc::EPERM] {
            let made = call.until(Some(Duration::from_secs(7)), |number, time| {
                if number == 1 {
                    nix::errno::Errno::from_raw(refusal).set();
                    return -1;
                }
                // SAFETY: the older call has the older struct.
                let seconds = unsafe { (*time.cast::<Old>()).seconds };
                c_long::from(seconds)
            });
            assert_eq!(made.ok(), Some(7));
        }
        let timed_out = call.until(None, |_, time| {
            assert!(time.is_null());
            nix::errno::Errno::EAGAIN.set();
            -1
        });
        assert_eq!(timed_out.map_err(|error| error.raw_os_error()), Err(Some(libc::EAGAIN)));
    }

    #[test]
    fn a_clock_is_read_by_the_older_call_too() {
        let call = TimedCall { number: 1, old: Some(2) };
        let read = call.get(|number, time| {
            if number == 2 {
                // SAFETY: the older call has the older struct.
                unsafe { time.cast::<Old>().write(Old { seconds: 3, nanoseconds: 4 }) };
            }
            c_long::from(number == 2) - 1
        });
        assert_eq!(read, Duration::new(3, 4));
        assert_eq!(TimedCall { number: 1, old: None }.get(|_, _| -1), Duration::ZERO);
    }
}
