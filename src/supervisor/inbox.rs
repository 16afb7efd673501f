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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::say::heard::lines_of;
    use crate::sys::signal_queue::tests::send;
    use crate::sys::signals;

    const OWN: i32 = 5;
    const OTHER: i32 = 9;
    /// `si_code` of a signal that the kernel made (`SI_KERNEL`), and of one that a process sent (`SI_USER`, `SI_QUEUE`, `SI_TKILL`).
    const BY_KERNEL: i32 = 0x80;
    const BY_PROCESS: [i32; 3] = [0, -1, -6];

    fn received(signal: Signal, code: i32, sender: i32) -> Received {
        Received { signal, code, sender, sender_uid: 0 }
    }

    fn meaning(signal: Signal, code: i32, sender: i32) -> Option<Event> {
        event(received(signal, code, sender), OWN)
    }

    #[test]
    fn what_a_process_sends_is_an_event_whichever_signal_it_is_except_chld() {
        for signal in Signal::all() {
            let expected = (signal != Signal::CHLD).then_some(Event::Signal(signal, Origin::Process));
            for (code, sender) in BY_PROCESS.iter().flat_map(|&code| [(code, OTHER), (code, 0)]) {
                assert_eq!(meaning(signal, code, sender), expected, "{signal}, si_code {code}");
            }
        }
    }

    #[test]
    fn a_genuine_fault_is_drainit_s_own_and_no_event() {
        let faults =
            [Signal::ILL, Signal::TRAP, Signal::ABRT, Signal::BUS, Signal::FPE, Signal::SEGV, Signal::SYS];
        for fault in faults {
            assert_eq!([1, BY_KERNEL].map(|code| meaning(fault, code, 0)), [None; 2], "{fault}");
        }
        let others = Signal::all().filter(|signal| !faults.contains(signal) && *signal != Signal::CHLD);
        for signal in others {
            assert!(meaning(signal, BY_KERNEL, 0).is_some(), "{signal} of the kernel");
        }
    }

    #[test]
    fn what_drainit_itself_has_caused_is_neither_an_event_nor_logged() {
        let inbox = Inbox { own_pid: OWN, ..Inbox::open(SignalSet::default()).expect("a queue") };
        let own = received(Signal::PIPE, 0, OWN);
        assert_eq!(inbox.to_event(own), None);
        assert_eq!(lines_of(|| inbox.say(own)), [""; 0], "the line might be its cause");
        let other = received(Signal::PIPE, 0, OTHER);
        assert_eq!(inbox.to_event(other), Some(Event::Signal(Signal::PIPE, Origin::Process)));
    }

    #[test]
    fn only_a_key_a_hangup_and_a_new_size_come_from_the_terminal() {
        let of_terminal = [Signal::INT, Signal::QUIT, Signal::HUP, Signal::WINCH];
        for signal in Signal::all().filter(|signal| !signal.is_fault() && *signal != Signal::CHLD) {
            let is_of_terminal = of_terminal.contains(&signal);
            let origin = if is_of_terminal { Origin::Terminal } else { Origin::Process };
            assert_eq!(meaning(signal, BY_KERNEL, 0), Some(Event::Signal(signal, origin)));
        }
    }

    #[test]
    fn a_line_says_where_a_signal_came_from_and_there_is_none_for_chld() {
        let inbox = Inbox { own_pid: OWN, ..Inbox::open(SignalSet::default()).expect("a queue") };
        for (code, sender, line) in [
            (0, 0, "INFO: received HUP from outside the container (uid 1000)"),
            (BY_KERNEL, 0, "INFO: received HUP from the kernel"),
            (0, OTHER, "INFO: received HUP from process 9 (uid 1000)"),
        ] {
            let hangup = Received { sender_uid: 1000, ..received(Signal::HUP, code, sender) };
            assert_eq!(lines_of(|| inbox.say(hangup)), [line]);
        }
        assert_eq!(lines_of(|| inbox.say(received(Signal::CHLD, 1, OTHER))), [""; 0]);
    }

    #[test]
    fn a_stop_signal_is_taken_before_a_flood_of_others() {
        let _ = signals::block_all();
        let mut inbox = Inbox::open(SignalSet::default().with(Signal::TERM)).expect("a queue");
        [Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::TERM].into_iter().for_each(send);
        let taken: Vec<Signal> =
            std::iter::from_fn(|| inbox.take(Some(Duration::ZERO))).map(|received| received.signal).collect();
        // One other may have been read together with it.
        let place = taken.iter().position(|signal| *signal == Signal::TERM);
        assert!(place.is_some_and(|place| place <= 1) && taken.len() == 5, "{taken:?}");
    }

    #[test]
    fn a_wait_that_ends_without_a_signal_leaves_the_last_one_known() {
        let _ = signals::block_all();
        let mut inbox = Inbox::open(SignalSet::default()).expect("a queue");
        assert_eq!(inbox.last(), None);
        send(Signal::USR2);
        let taken = inbox.take(Some(Duration::ZERO));
        assert_eq!(taken.map(|received| received.signal), Some(Signal::USR2));
        assert_eq!((inbox.take(Some(Duration::ZERO)), inbox.last()), (None, taken));
    }

    #[test]
    fn what_was_read_with_another_signal_is_known_as_the_next_event() {
        let _ = signals::block_all();
        // What this test sends itself would count as caused by drainit.
        let mut inbox = Inbox { own_pid: 0, ..Inbox::open(SignalSet::default()).expect("a queue") };
        [Signal::HUP, Signal::TERM].into_iter().for_each(send);
        let taken = inbox.take(Some(Duration::ZERO));
        assert_eq!(taken.map(|received| received.signal), Some(Signal::HUP));
        assert_eq!(inbox.next(), Some(Event::Signal(Signal::TERM, Origin::Process)));
    }
}
