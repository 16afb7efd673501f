//! Whether drainit was held: frozen, stopped, or suspended with the machine. The processes may have been held with it.
//!
//! Being late is no proof: drainit's own work takes time, and if many processes want the processor, it waits for its turn while they run.

use std::time::Duration;

use crate::plan::HELD_AFTER;
use crate::sys::procfs::{self, TimeUsed};

/// If drainit waits for a processor for longer than this, it would miss its deadlines.
const STARVED_AFTER: Duration = Duration::from_millis(100);

/// How the time has been spent since the last check.
#[derive(Debug, Default)]
pub(super) struct Held {
    before: Option<Before>,
    /// Whether any check has found it.
    was_starved: bool,
}

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Nothing,
    /// Other processes have kept drainit from a processor.
    Starved,
    /// drainit was held for more than [`HELD_AFTER`].
    Held,
}

#[derive(Debug)]
struct Before {
    now: Duration,
    /// `None` if the kernel does not say.
    used: Option<TimeUsed>,
    /// How long drainit has planned to wait since.
    planned: Duration,
}

impl Held {
    /// drainit is about to wait for this long.
    pub(super) fn waits(&mut self, time: Duration) {
        if let Some(before) = &mut self.before {
            before.planned = time;
        }
    }

    /// What became of the time since the last check.
    pub(super) fn check(&mut self, now: Duration) -> Finding {
        let used = procfs::time_used();
        let before = self.before.replace(Before { now, used, planned: Duration::ZERO });
        let found = before.map_or(Finding::Nothing, |before| before.until(now, used));
        self.was_starved |= found == Finding::Starved;
        found
    }

    /// Whether the processes have kept drainit from a processor.
    pub(super) fn was_starved(&self) -> bool {
        self.was_starved
    }

    /// There is nothing to check, for now.
    pub(super) fn rest(&mut self) {
        self.before = None;
    }
}

impl Before {
    fn until(&self, now: Duration, used: Option<TimeUsed>) -> Finding {
        let (before, used) = self.used.zip(used).unwrap_or_default();
        let ran = used.ran.saturating_sub(before.ran);
        let starved = used.starved.saturating_sub(before.starved);
        let unplanned = now.saturating_sub(self.now).saturating_sub(self.planned);
        if HELD_AFTER < unplanned.saturating_sub(ran + starved) {
            Finding::Held
        } else if STARVED_AFTER < starved {
            Finding::Starved
        } else {
            Finding::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_that_was_neither_planned_nor_used_counts_as_held() {
        let seconds = Duration::from_secs;
        let used = |ran, starved| TimeUsed { ran: seconds(ran), starved: seconds(starved) };
        let before = Before { now: seconds(10), used: Some(used(1, 2)), planned: seconds(2) };
        for (now, now_used, expected) in [
            (12, Some(used(1, 2)), Finding::Nothing),
            // It was interrupted early.
            (11, Some(used(1, 2)), Finding::Nothing),
            (17, Some(used(1, 2)), Finding::Held),
            (17, Some(used(5, 2)), Finding::Nothing),
            (17, Some(used(1, 6)), Finding::Starved),
            (17, Some(used(1, 3)), Finding::Held),
            // The kernel does not say.
            (17, None, Finding::Held),
        ] {
            assert_eq!(before.until(seconds(now), now_used), expected, "{now} {now_used:?}");
        }
    }
}
