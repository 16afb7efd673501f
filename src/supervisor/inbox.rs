//! The inbox: here, and nowhere else, raw signals become events of the plan.

use std::time::Duration;

use crate::error::StartError;
use crate::plan::{Event, Origin};
use crate::say::info;
use crate::signal::{Signal, SignalSet};
use crate::sys::process;
use crate::sys::signal_queue::SignalQueue;
use crate::sys::signals::Received;
use crate::text::plain;

/// What a terminal sends to a process group: by a key, by a hangup, by a new size.
const KEYS: [Signal; 4] = [Signal::INT, Signal::QUIT, Signal::HUP, Signal::WINCH];

/// Where signals come from.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: SignalQueue,
    own_pid: i32,
    /// The last signal that was taken, SIGCHLD included.
    last: Option<Received>,
    has_waited: bool,
}

impl Inbox {
    /// Opens the queue that all signals are taken from; `urgent` ones before the others.
    pub(super) fn open(urgent: SignalSet) -> Result<Self, StartError> {
        let queue = SignalQueue::open(urgent).map_err(StartError::Wait)?;
        if let Some(error) = queue.refusal() {
            info!(
                "no signalfd ({}): waiting in rt_sigtimedwait, which hides blocked signals from /proc/PID/status",
                plain(error)
            );
        }
        Ok(Self { queue, own_pid: process::id(), last: None, has_waited: false })
    }

    pub(super) fn own_pid(&self) -> i32 {
        self.own_pid
    }

    /// What has been read, and is taken next.
    pub(super) fn next(&self) -> Option<Event> {
        self.queue.next().and_then(|received| self.to_event(received))
    }

    pub(super) fn queue(&self) -> &SignalQueue {
        &self.queue
    }

    /// Waits for a signal, for at most `timeout`; `None` is for ever.
    pub(super) fn take(&mut self, timeout: Option<Duration>) -> Option<Received> {
        // The start and the first turn use more stack than the loop does later; it is given back before the first wait.
        if !std::mem::replace(&mut self.has_waited, true) {
            process::return_stack();
        }
        let received = self.queue.take(timeout);
        self.last = received.or(self.last);
        received
    }

    /// The last signal that was taken.
    pub(super) fn last(&self) -> Option<Received> {
        self.last
    }

    /// What a received signal means to the plan.
    pub(super) fn to_event(&self, received: Received) -> Option<Event> {
        event(received, self.own_pid)
    }

    /// Logs a received signal.
    pub(super) fn say(&self, received: Received) {
        let Received { signal, code, sender, sender_uid } = received;
        // A signal that this process has caused itself is not logged: the line might be its cause.
        if signal == Signal::CHLD || sender == self.own_pid {
            return;
        }
        if sender == 0 && code <= 0 {
            info!("received {signal} from outside the container (uid {sender_uid})");
        } else if code > 0 {
            info!("received {signal} from the kernel");
        } else {
            info!("received {signal} from process {sender} (uid {sender_uid})");
        }
    }
}

/// What a received signal means to the plan. Not forwarded: news of drainit's own children, what this process caused itself (the PIPE of a
/// log line that is not read), and a genuine fault.
pub(super) fn event(received: Received, own_pid: i32) -> Option<Event> {
    let Received { signal, code, sender, .. } = received;
    let is_fault = signal.is_fault() && code > 0;
    if signal == Signal::CHLD || sender == own_pid || is_fault {
        return None;
    }
    let is_key = code > 0 && KEYS.contains(&signal);
    Some(Event::Signal(signal, if is_key { Origin::Terminal } else { Origin::Process }))
}
