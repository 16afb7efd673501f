//! Waiting for signals.

use std::time::Duration;

use log::info;

use super::Supervisor;
use crate::error::StartError;
use crate::plan;
use crate::signal::SignalSet;
use crate::sys::process;
use crate::sys::signal_queue::SignalQueue;
use crate::sys::signals::Received;

/// Opens the queue that all signals are taken from; `urgent` ones before the others.
pub(super) fn open_signals(urgent: SignalSet) -> Result<SignalQueue, StartError> {
    let signals = SignalQueue::open(urgent).map_err(StartError::Wait)?;
    if let Some(error) = signals.refusal() {
        info!(
            "no signalfd ({error}): waiting in rt_sigtimedwait, which hides blocked signals from /proc/PID/status"
        );
    }
    Ok(signals)
}

impl Supervisor {
    /// Waits for a signal, at most until something is due; for ever if nothing is.
    pub(super) fn wait(&mut self) -> Option<Received> {
        let noted = plan::earliest(self.next_note(), self.jobs.deadline());
        let deadline = plan::earliest(self.plan.deadline(), noted);
        let timeout = deadline.map(|deadline| deadline.saturating_sub(self.clock.now()));
        self.settle();
        self.signals.take(timeout)
    }

    /// Takes a signal that is there already.
    pub(super) fn look_for_signal(&mut self) -> Option<Received> {
        self.settle();
        self.signals.take(Some(Duration::ZERO))
    }

    /// The first turn still belongs to the start: what only they need goes when both are over.
    fn settle(&mut self) {
        if !std::mem::replace(&mut self.has_settled, true) {
            process::return_stack();
        }
    }
}
