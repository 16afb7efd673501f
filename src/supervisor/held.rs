//! Whether drainit was held: frozen, stopped, or suspended with the machine. The processes may have been held with it.
//!
//! That drainit is late does not show it. Its own work takes time, and where many processes want the processor it has to wait for its
//! turn, while they go on.

use std::time::Duration;

use crate::plan::HELD_AFTER;
use crate::sys::procfs;

/// How the time has been spent since the last check.
#[derive(Debug, Default)]
pub(super) struct Held {
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    now: Duration,
    /// The time on a processor or waiting for one, if the kernel tells.
    used: Option<Duration>,
    /// How long drainit has meant to wait since.
    meant: Duration,
}

impl Held {
    /// drainit is about to wait for this long.
    pub(super) fn waits(&mut self, time: Duration) {
        if let Some(before) = &mut self.before {
            before.meant = time;
        }
    }

    /// Whether much of the time since the last check is not accounted for.
    pub(super) fn check(&mut self, now: Duration) -> bool {
        let used = procfs::time_used();
        let before = self.before.replace(Before { now, used, meant: Duration::ZERO });
        before.is_some_and(|before| HELD_AFTER < before.unaccounted(now, used))
    }

    /// There is nothing to check, for now.
    pub(super) fn rest(&mut self) {
        self.before = None;
    }
}

impl Before {
    fn unaccounted(&self, now: Duration, used: Option<Duration>) -> Duration {
        let used = used.zip(self.used).map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
        now.saturating_sub(self.now).saturating_sub(self.meant).saturating_sub(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_that_was_neither_meant_nor_used_counts() {
        let seconds = Duration::from_secs;
        let before = Before { now: seconds(10), used: Some(seconds(1)), meant: seconds(2) };
        for (now, used, expected) in [
            (12, Some(1), 0),
            // Interrupted early.
            (11, Some(1), 0),
            (17, Some(1), 5),
            (17, Some(5), 1),
            (17, Some(9), 0),
            // The kernel does not tell.
            (17, None, 5),
        ] {
            assert_eq!(
                before.unaccounted(seconds(now), used.map(seconds)),
                seconds(expected),
                "{now} {used:?}"
            );
        }
    }
}
