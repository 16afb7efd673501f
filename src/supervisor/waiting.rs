//! Waiting for signals, and passing on what is only to be passed on.

use std::time::Duration;

use log::{Level, debug, log_enabled, trace};

use super::jobs::Jobs;
use super::{Main, Supervisor, meaning};
use crate::plan::{self, Action};
use crate::signal::{Signal, SignalSet};
use crate::sys::process;
use crate::sys::signals::{self, Received};

/// After so many signals that were only passed on a look at the children is due, however fast others come.
const PASS_ON_AT_ONCE: usize = 64;

impl Supervisor {
    /// Waits, and passes on at once what changes nothing else: no look at the children first.
    ///
    /// Whoever has ended meanwhile keeps its number until it is reaped, so that nobody else gets the signal, and its SIGCHLD
    /// stays pending, so that the next wait is over at once.
    pub(super) fn wait_passing_on(&mut self) -> Option<Received> {
        // What is passed on does not change when something is due.
        let noted = plan::earliest(self.next_note(), self.jobs.deadline());
        let deadline = plan::earliest(self.plan.deadline(), noted);
        let mut left = PASS_ON_AT_ONCE;
        while left > 0 {
            let received = match (deadline, self.main) {
                (None, Main::Alive(main)) => {
                    self.settle();
                    signals::wait_sending_on(self.sent_on(), main, &mut left)
                }
                (deadline, _) => self.wait(deadline),
            }?;
            // These may be about drainit itself: it is to stop, or was stopped.
            let is_job_control = received.signal == Signal::CONT || received.signal.is_of_terminal();
            if !self.plan.only_passes_on(received.signal) || is_job_control {
                return Some(received);
            }
            left = left.saturating_sub(1);
            self.last_received = Some(received);
            if let Some(event) = meaning(received, self.own_pid) {
                trace!("{event:?}");
                if let Some(action @ Action::Forward { signal, target }) = self.plan.pass_on(received.signal)
                {
                    // As in `perform`, which is far away from here, where time counts.
                    debug!("{action:?}");
                    self.pass_on(signal, target);
                }
            }
        }
        None
    }

    /// Waits for a signal, at most until the deadline; for ever where there is none.
    pub(super) fn wait(&mut self, deadline: Option<Duration>) -> Option<Received> {
        let timeout = deadline.map(|deadline| deadline.saturating_sub(self.clock.now()));
        self.settle();
        signals::wait(SignalSet::from_bits(u64::MAX), timeout)
    }

    /// The first turn still belongs to the start: what only they need goes when both are over.
    fn settle(&mut self) {
        if !std::mem::replace(&mut self.has_settled, true) {
            process::return_memory();
        }
    }

    /// The signals that go to the command's group as they come, and of which nobody wants to know.
    fn sent_on(&self) -> SignalSet {
        if log_enabled!(Level::Info) || self.output.is_wanted() {
            return SignalSet::default();
        }
        SignalSet::from_bits(self.plan.sent_on().bits() & !Jobs::MINDED.bits())
    }
}
