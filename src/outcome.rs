//! How a process ended, and the exit code that says so. Pure.

#![forbid(unsafe_code)]

use std::fmt;

use crate::signal::Signal;

/// A rehearsal (`--rehearse`) failed: a process had to be killed, a step failed, or there was nothing to stop. (timeout(1) uses 124 when
/// the time has run out.)
pub const REHEARSAL_FAILED: u8 = 124;
/// drainit itself failed: bad options, or no process could be made. Nothing was started. (Docker uses 125 in the same way.)
pub const INIT_FAILED: u8 = 125;
/// The command was found and could not be executed (POSIX shells' rule).
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found (POSIX shells' rule).
pub const NOT_FOUND: u8 = 127;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It exited with this status.
    Exited(u8),
    /// It died of this signal.
    Killed(Signal),
}

impl Ended {
    /// Reads a wait status of the kernel (wait(2)); `None` if it is that of a stop or a continue, not of an end.
    ///
    /// The numbers are taken as they are: a death by a real-time signal is like any other.
    #[must_use]
    pub fn from_wait_status(status: i32) -> Option<Self> {
        match status & 0x7f {
            0 => u8::try_from((status >> 8) & 0xff).ok().map(Self::Exited),
            0x7f => None,
            signal => Signal::new(signal).map(Self::Killed),
        }
    }

    /// The exit status itself, or 128 + N for a death by signal N, as in shells.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => u8::try_from(128 + signal.number()).unwrap_or(u8::MAX),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with {status}"),
            Self::Killed(signal) => write!(f, "died of {signal}"),
        }
    }
}

/// The exit codes that `--remap-exit` replaces: pairs of the old code and the new one.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ExitMap(Vec<(u8, u8)>);

impl ExitMap {
    /// From now on `code` becomes `to`; a later rule for the same code wins.
    pub fn set(&mut self, code: u8, to: u8) {
        self.0.push((code, to));
    }

    /// The exit code that replaces `code`. Applied once: the result is not mapped again.
    #[must_use]
    pub fn apply(&self, code: u8) -> u8 {
        self.0.iter().rfind(|(from, _)| *from == code).map_or(code, |(_, to)| *to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_status_and_every_signal_is_read() {
        for status in 0..=255u8 {
            assert_eq!(Ended::from_wait_status(i32::from(status) << 8), Some(Ended::Exited(status)));
        }
        for signal in Signal::all() {
            for core_dump in [0, 0x80] {
                let ended = Ended::from_wait_status(signal.number() | core_dump);
                assert_eq!(ended, Some(Ended::Killed(signal)));
                assert_eq!(ended.map(|ended| i32::from(ended.code())), Some(128 + signal.number()));
            }
        }
        assert_eq!(Ended::from_wait_status(0x137f), None, "stopped by 19");
        assert_eq!(Ended::from_wait_status(0xffff), None, "continued");
    }

    #[test]
    fn a_map_applies_once_and_the_later_rule_wins() {
        let mut map = ExitMap::default();
        assert!((0..=255).all(|code| map.apply(code) == code));
        map.set(143, 0);
        map.set(0, 9);
        map.set(7, 1);
        map.set(7, 2);
        assert_eq!([143, 0, 7, 8].map(|code| map.apply(code)), [0, 9, 2, 8]);
    }
}
