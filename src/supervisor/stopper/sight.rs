//! What this kernel does not show.

use super::super::kernel::Kernel;
use super::Stopper;
use crate::plan::processes::Table;
use crate::say::warn;
use crate::signal::Signal;

/// How many looks have to fail before that is logged.
pub(super) const FAILURES: u32 = 3;

impl<K: Kernel> Stopper<K> {
    /// Some kernels that resemble Linux (gVisor) show nothing of signals in /proc. Then a process that ignores the signal is waited for
    /// like any other, for ever if there is no grace period. That is logged once.
    pub(super) fn say_what_is_hidden(&mut self, table: &Table, signal: Signal) {
        let waits_for_ever = self.limit.is_none() && self.checks_ignoring;
        let is_shown = table.iter().next().is_none() || table.iter().any(|process| process.signals.is_some());
        if !waits_for_ever || is_shown || self.has_said_hidden {
            return;
        }
        if self.kernel.status(self.kernel.own_pid()).signals.is_none() {
            self.has_said_hidden = true;
            warn!("cannot see which processes ignore {signal} here: set --grace-period");
        }
    }

    /// `count` looks have failed. A single failure may pass. After [`FAILURES`] of them, if drainit cannot read even its own entry in /proc, that
    /// is logged, once. A failed look at the beginning of a stage counts as [`FAILURES`].
    pub(super) fn note_failed_look(&mut self, count: u32) {
        let before = self.failed_looks;
        self.failed_looks = before.saturating_add(count);
        let is_time = before < FAILURES && FAILURES <= self.failed_looks && !self.is_over();
        // A /proc that hides other users' processes still shows drainit.
        let is_blind = || self.kernel.has_own_proc() && self.kernel.process(self.kernel.own_pid()).is_none();
        if is_time && is_blind() {
            warn!("cannot read /proc: the stop goes on without a look at the processes");
        }
    }

    pub(super) fn looks_fail(&self) -> bool {
        FAILURES <= self.failed_looks
    }

    #[cfg(test)]
    pub(in super::super) fn has_said_hidden(&self) -> bool {
        self.has_said_hidden
    }
}
