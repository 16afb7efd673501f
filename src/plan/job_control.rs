//! Job control: the command has the terminal while it runs, and the shell that started drainit sees the command's stops.
//!
//! The command leads a process group of its own, so a shell that waits for drainit's group knows nothing of it. What the kernel
//! would do for a command in that group is decided here (POSIX 11.1, "Job Access Control"):
//!
//! | the command was stopped by | the terminal is held by | what is done |
//! |---|---|---|
//! | TTIN, TTOU: it wants the terminal | drainit's group, or a group without members | it gets the terminal, and is continued |
//! | TTIN, TTOU | another command of drainit's group | it waits until the terminal comes back |
//! | TTIN, TTOU | any other group | drainit's group stops too |
//! | TSTP, STOP | the command's group (Ctrl-Z went there) | drainit's group stops too |
//! | TSTP | any other group | drainit stops too; the terminal has signalled the others of its group itself |
//! | STOP | any other group | nothing yet: no terminal was involved |
//!
//! A stop signal that comes to drainit when the command is already stopped stops drainit too. When the command has ended, the processes
//! that it has left behind take its place.
//!
//! If no shell could continue drainit, the kernel would not stop a command in drainit's group either. So drainit does not stop:
//!
//! - After TSTP or STOP, the command's group is continued, unless a process sent the signal and drainit forwarded it.
//! - A command that wants a terminal that it cannot get would see its call fail if its group were orphaned. The group is not orphaned, because
//!   drainit, the command's parent, is in the same session and in another group. So drainit leaves the session, and continues the group.
//! - drainit cannot leave if it leads the session, or a group that has other members. Then the command's group gets HUP and CONT, once, like any
//!   stopped group that no process can continue any more. If that does not help, drainit joins the group for a moment; the leader of a session
//!   cannot do that.
//!
//! If the command ignores the signal, and only a child of the command is stopped, drainit is not told. So drainit leaves the session in
//! advance if it is alone in its group, because then it leaves no process behind. It does that at the start, and when its parent, which may
//! have been the shell, has ended. Otherwise it looks for stopped processes whenever it hears that something has happened.

use std::time::Duration;

use super::earliest;
use crate::signal::{Signal, SignalSet};

/// Time between two looks at a group that is to keep running.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long its last member may take to stop: a program may have to clean up before it stops.
const LOOK_FOR: Duration = Duration::from_secs(2);
/// The longest time between two looks for what drainit is not told of. The first is `LOOK_EVERY`, and each is twice the one before: a shell may
/// be slow to take the terminal back from a job, and a command to end its children.
const LOOK_LAST: Duration = Duration::from_secs(60);

/// Whose group has the terminal's foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// drainit's own.
    Own,
    /// A group that has no members any more.
    Empty,
    /// The group of the process that was stopped.
    Job,
    /// Another command that was started by drainit's group: the rest of a pipeline or a script.
    Sibling,
    /// Any other.
    Other,
}

/// A process of the job was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub pid: i32,
    pub group: i32,
    pub by: Signal,
    pub terminal: Holder,
    /// Whether the kernel would stop drainit for this signal, and a shell could continue it.
    pub can_suspend: bool,
    /// Whether drainit is PID 1, whose processes may have been stopped by a terminal outside of the namespace.
    pub is_pid_one: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAction {
    Nothing,
    /// Give the terminal to this group, and continue it.
    HandOver {
        group: i32,
    },
    /// Stop drainit's whole group with this signal. If `takes_back`, the group gets the terminal first.
    SuspendGroup {
        signal: Signal,
        takes_back: bool,
    },
    /// Stop drainit alone.
    SuspendSelf {
        signal: Signal,
    },
    /// Continue this group.
    Continue {
        group: i32,
    },
    /// Let this group become orphaned, so that the kernel refuses it the terminal, and continue it.
    LetGo {
        group: i32,
        otherwise: Otherwise,
    },
}

/// What to do if drainit cannot leave the session, so that the group is not orphaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Send HUP and continue the group, as the kernel does with a group that loses its shell.
    HangUp,
    /// Join the group for a moment, and continue it, because without drainit outside of it, it is orphaned.
    Join,
    /// If drainit cannot join it either, continue it all the same.
    JoinOrContinue,
}

/// How matters stand when something has happened, and drainit was not told of a stop. drainit is not PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// A group of the job: a stopped one if there is any.
    pub group: i32,
    pub has_stopped: bool,
    pub terminal: Holder,
    /// Whether no shell could bring drainit's group to the foreground.
    pub is_orphaned: bool,
    /// Whether drainit's group has no other member.
    pub is_alone: bool,
    /// Whether the session still has its terminal.
    pub has_terminal: bool,
}

/// Why drainit was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended {
    pub group: i32,
    /// That group had the foreground.
    pub in_foreground: bool,
}

/// A group that is to keep running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GoesOn {
    group: i32,
    /// When to look next whether any member is stopped.
    next: Duration,
    until: Duration,
}

/// Looks that become rarer, and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looks {
    next: Duration,
    /// From then to the following one.
    pause: Duration,
}

/// What is known of the job.
#[derive(Clone, Debug, Default)]
pub struct JobControl {
    /// Which process of the job is stopped, and its group.
    stopped: Option<(i32, i32)>,
    /// drainit was stopped, and has not taken the CONT that continued it yet.
    suspended: Option<Suspended>,
    /// What was forwarded: the sender wants the command to have it.
    forwarded: SignalSet,
    /// Members of this group may stop a little later than the command, and are then to be continued.
    goes_on: Option<GoesOn>,
    /// Something has happened that may need more than one look.
    looks: Option<Looks>,
    /// A group was sent HUP.
    has_hung_up: bool,
}

impl JobControl {
    /// A process of the job was stopped.
    pub fn stopped(&mut self, now: Duration, stop: Stopped) -> JobAction {
        let Stopped { pid, group, by, terminal, can_suspend, is_pid_one } = stop;
        self.stopped = Some((pid, group));
        let wants_terminal = matches!(by, Signal::TTIN | Signal::TTOU);
        let in_foreground = terminal == Holder::Job;
        match terminal {
            Holder::Own | Holder::Empty if wants_terminal => return JobAction::HandOver { group },
            Holder::Sibling if wants_terminal => return JobAction::Nothing,
            Holder::Own | Holder::Empty | Holder::Sibling | Holder::Other if !by.is_of_terminal() => {
                return JobAction::Nothing;
            }
            Holder::Own | Holder::Empty | Holder::Job | Holder::Sibling | Holder::Other => {}
        }
        if can_suspend {
            self.suspended = Some(Suspended { group, in_foreground });
            // STOP would stop drainit even if no process could continue it.
            let signal = if by.is_of_terminal() { by } else { Signal::TSTP };
            return if in_foreground || wants_terminal {
                JobAction::SuspendGroup { signal, takes_back: in_foreground }
            } else {
                JobAction::SuspendSelf { signal }
            };
        }
        if !wants_terminal {
            if self.forwarded.contains(by) {
                return JobAction::Nothing;
            }
            let (next, until) = (now.saturating_add(LOOK_EVERY), now.saturating_add(LOOK_FOR));
            self.goes_on = Some(GoesOn { group, next, until });
            return JobAction::Continue { group };
        }
        if is_pid_one {
            return JobAction::Nothing;
        }
        JobAction::LetGo {
            group,
            otherwise: if self.has_hung_up { Otherwise::Join } else { Otherwise::HangUp },
        }
    }

    /// Something has happened that may have made the terminal unreachable, or stopped a process without a word to drainit.
    pub fn look(&mut self, standing: Standing) -> JobAction {
        let Standing { group, has_stopped, terminal, is_orphaned, is_alone, has_terminal } = standing;
        if !(is_orphaned && has_terminal) {
            self.looks = None;
        }
        // Without a terminal no process will stop any more.
        let goes_ahead = is_alone && has_terminal;
        if is_orphaned && terminal == Holder::Other && (has_stopped || goes_ahead) {
            JobAction::LetGo { group, otherwise: Otherwise::JoinOrContinue }
        } else {
            JobAction::Nothing
        }
    }

    /// Begins a series of looks: at the start, when drainit's parent has ended, or when a stop is requested.
    pub fn begin_looks(&mut self, now: Duration) {
        self.looks = Some(Looks { next: now, pause: LOOK_EVERY });
    }

    /// drainit has left the session.
    pub fn left(&mut self) {
        (self.goes_on, self.looks) = (None, None);
    }

    /// The group was sent HUP.
    pub fn hung_up(&mut self) {
        self.has_hung_up = true;
    }

    /// A stop signal came to drainit. While the job is stopped, it is meant for drainit.
    pub fn stop_signal(&mut self, signal: Signal, can_suspend: bool) -> JobAction {
        match self.stopped {
            Some((_, group)) if signal.is_of_terminal() && can_suspend => {
                self.suspended = Some(Suspended { group, in_foreground: false });
                JobAction::SuspendSelf { signal }
            }
            Some(_) | None => JobAction::Nothing,
        }
    }

    /// Whether a process of the job is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// A process was continued, or has ended.
    pub fn continued(&mut self, pid: i32) {
        self.stopped = self.stopped.filter(|(stopped, _)| *stopped != pid);
    }

    /// A signal is forwarded. If it came from a key, the command need not stay stopped, unless a shell outside of the namespace has drainit as
    /// its job: that shell has seen the key, too. Returns the group to continue: Ctrl-C after Ctrl-Z ends it.
    pub fn forwarded(&mut self, signal: Signal, by_key: bool, has_outer_shell: bool) -> Option<i32> {
        if !(by_key && signal.is_of_terminal()) || has_outer_shell {
            self.forwarded = self.forwarded.with(signal);
        }
        let ends = by_key && matches!(signal, Signal::INT | Signal::QUIT);
        self.stopped.filter(|_| ends).map(|(_, group)| group)
    }

    /// The command has ended, perhaps of a signal. If that was a key's and not sent by drainit, the key has not reached the other processes of
    /// drainit's group: a script would go on. Returns the signal that they get if the command had the terminal.
    #[must_use]
    pub fn ended(&mut self, pid: i32, died_of: Option<Signal>, is_stopping: bool) -> Option<Signal> {
        self.continued(pid);
        died_of.filter(|signal| {
            matches!(*signal, Signal::INT | Signal::QUIT) && !is_stopping && !self.forwarded.contains(*signal)
        })
    }

    /// CONT came; returns what drainit had been stopped for.
    pub fn resumed(&mut self) -> Option<Suspended> {
        for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU] {
            self.forwarded = self.forwarded.without(signal);
        }
        self.suspended.take()
    }

    /// When to look again.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let goes_on = self.goes_on.map(|goes_on| goes_on.next);
        earliest(goes_on, self.looks.map(|looks| looks.next))
    }

    /// The time may have come. If it has, returns the group to look at, which is to be continued if any member is stopped.
    pub fn tick(&mut self, now: Duration) -> Option<i32> {
        let GoesOn { group, until, .. } = self.goes_on.filter(|goes_on| goes_on.next <= now)?;
        self.goes_on = (now < until).then(|| GoesOn { group, next: now.saturating_add(LOOK_EVERY), until });
        Some(group)
    }

    /// Whether it is time for a look.
    pub fn tick_looks(&mut self, now: Duration) -> bool {
        let Some(Looks { pause, .. }) = self.looks.filter(|looks| looks.next <= now) else { return false };
        let following = Looks { next: now.saturating_add(pause), pause: pause * 2 };
        self.looks = (pause <= LOOK_LAST).then_some(following);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: i32 = 7;

    fn stopped(by: Signal, terminal: Holder) -> Stopped {
        Stopped { pid: 7, group: GROUP, by, terminal, can_suspend: true, is_pid_one: false }
    }

    fn action(stop: Stopped) -> JobAction {
        JobControl::default().stopped(Duration::ZERO, stop)
    }

    #[test]
    fn the_table_holds() {
        let (own, empty, job) = (Holder::Own, Holder::Empty, Holder::Job);
        let (sibling, other) = (Holder::Sibling, Holder::Other);
        for by in [Signal::TTIN, Signal::TTOU] {
            for terminal in [own, empty] {
                assert_eq!(action(stopped(by, terminal)), JobAction::HandOver { group: GROUP });
            }
            assert_eq!(action(stopped(by, sibling)), JobAction::Nothing);
            assert_eq!(action(stopped(by, other)), JobAction::SuspendGroup { signal: by, takes_back: false });
        }
        let whole = JobAction::SuspendGroup { signal: Signal::TSTP, takes_back: true };
        assert_eq!([Signal::TSTP, Signal::STOP].map(|by| action(stopped(by, job))), [whole; 2]);
        for terminal in [own, empty, sibling, other] {
            assert_eq!(
                action(stopped(Signal::TSTP, terminal)),
                JobAction::SuspendSelf { signal: Signal::TSTP }
            );
            assert_eq!(action(stopped(Signal::STOP, terminal)), JobAction::Nothing);
        }
    }

    #[test]
    fn without_a_shell_nothing_stays_stopped() {
        let alone = |by, terminal| Stopped { can_suspend: false, ..stopped(by, terminal) };
        let mut jobs = JobControl::default();
        assert_eq!(
            jobs.stopped(Duration::ZERO, alone(Signal::TSTP, Holder::Job)),
            JobAction::Continue { group: GROUP }
        );
        let mut at = Duration::ZERO;
        while let Some(next) = jobs.deadline() {
            at = next;
            assert_eq!(jobs.tick(at), Some(GROUP));
        }
        assert_eq!((at, jobs.tick(at)), (LOOK_FOR, None), "and then its members have stopped, or will not");
        let wants = alone(Signal::TTIN, Holder::Other);
        let let_go = JobAction::LetGo { group: GROUP, otherwise: Otherwise::HangUp };
        assert_eq!([jobs.stopped(at, wants), jobs.stopped(at, wants)], [let_go; 2]);
        jobs.hung_up();
        let without_hup = JobAction::LetGo { group: GROUP, otherwise: Otherwise::Join };
        assert_eq!(jobs.stopped(at, wants), without_hup, "once");
        let as_pid_one = Stopped { is_pid_one: true, ..alone(Signal::TTIN, Holder::Other) };
        assert_eq!(action(as_pid_one), JobAction::Nothing);
    }

    #[test]
    fn a_session_is_left_only_by_those_that_no_shell_can_bring_to_the_foreground() {
        let let_go = JobAction::LetGo { group: GROUP, otherwise: Otherwise::JoinOrContinue };
        for terminal in [Holder::Own, Holder::Empty, Holder::Job, Holder::Sibling, Holder::Other] {
            for bits in 0..16 {
                let [is_orphaned, has_stopped, is_alone, has_terminal] =
                    [1, 2, 4, 8].map(|bit| bits & bit != 0);
                let standing =
                    Standing { group: GROUP, has_stopped, terminal, is_orphaned, is_alone, has_terminal };
                let goes_ahead = is_alone && has_terminal;
                let expected = is_orphaned && terminal == Holder::Other && (has_stopped || goes_ahead);
                let action = if expected { let_go } else { JobAction::Nothing };
                assert_eq!(JobControl::default().look(standing), action, "{standing:?}");
            }
        }
    }

    #[test]
    fn what_a_new_parent_means_is_looked_at_for_a_while() {
        let standing = Standing {
            group: GROUP,
            has_stopped: false,
            terminal: Holder::Job,
            is_orphaned: true,
            is_alone: true,
            has_terminal: true,
        };
        let mut jobs = JobControl::default();
        assert!(!jobs.tick_looks(LOOK_FOR));
        jobs.begin_looks(Duration::ZERO);
        let (mut at, mut looks) = (Duration::ZERO, 0);
        while let Some(next) = jobs.deadline() {
            at = next;
            assert!(jobs.tick_looks(at) && !jobs.tick_looks(at));
            assert_eq!(jobs.look(standing), JobAction::Nothing);
            looks += 1;
        }
        assert_eq!((at, looks), (LOOK_EVERY * (2048 - 1), 12), "102 seconds");
        jobs.begin_looks(at);
        let _ = jobs.look(Standing { is_orphaned: false, ..standing });
        assert_eq!(jobs.deadline(), None, "a shell is there");
        jobs.begin_looks(at);
        let _ = jobs.look(Standing { has_terminal: false, ..standing });
        assert_eq!(jobs.deadline(), None, "no process will want the terminal");
        jobs.begin_looks(at);
        jobs.left();
        assert_eq!(jobs.deadline(), None, "the terminal is of no more concern");
    }

    #[test]
    fn a_stop_that_was_forwarded_is_a_wish_and_one_of_a_key_is_none() {
        let alone = Stopped { can_suspend: false, ..stopped(Signal::TSTP, Holder::Other) };
        for (by_key, action) in [(false, JobAction::Nothing), (true, JobAction::Continue { group: GROUP })] {
            let mut jobs = JobControl::default();
            assert_eq!(jobs.forwarded(Signal::TSTP, by_key, false), None);
            assert_eq!(jobs.stopped(Duration::ZERO, alone), action);
            let _ = jobs.resumed();
            let again = JobAction::Continue { group: GROUP };
            assert_eq!(jobs.stopped(Duration::ZERO, alone), again, "a continue ends the wish");
        }
    }

    #[test]
    fn a_stop_signal_while_the_job_is_stopped_is_for_drainit() {
        let mut jobs = JobControl::default();
        assert_eq!(jobs.stop_signal(Signal::TSTP, true), JobAction::Nothing);
        let _ = jobs.stopped(Duration::ZERO, stopped(Signal::STOP, Holder::Other));
        assert_eq!(jobs.stop_signal(Signal::TERM, true), JobAction::Nothing);
        assert_eq!(jobs.stop_signal(Signal::TSTP, false), JobAction::Nothing);
        assert_eq!(jobs.stop_signal(Signal::TSTP, true), JobAction::SuspendSelf { signal: Signal::TSTP });
        assert_eq!(jobs.resumed(), Some(Suspended { group: GROUP, in_foreground: false }));
        jobs.continued(7);
        assert!(!jobs.is_stopped());
    }

    #[test]
    fn a_key_that_an_outer_shell_has_seen_too_is_its_wish() {
        let alone = Stopped { can_suspend: false, ..stopped(Signal::TSTP, Holder::Other) };
        let mut jobs = JobControl::default();
        let _ = jobs.forwarded(Signal::TSTP, true, true);
        assert_eq!(jobs.stopped(Duration::ZERO, alone), JobAction::Nothing);
    }

    #[test]
    fn ctrl_c_continues_what_ctrl_z_has_stopped() {
        for (signal, by_key, continues) in [
            (Signal::INT, true, true),
            (Signal::QUIT, true, true),
            (Signal::INT, false, false),
            (Signal::HUP, true, false),
            (Signal::TSTP, true, false),
        ] {
            let mut jobs = JobControl::default();
            assert_eq!(jobs.forwarded(signal, by_key, false), None, "nothing is stopped");
            let _ = jobs.stopped(Duration::ZERO, stopped(Signal::TSTP, Holder::Job));
            assert_eq!(
                jobs.forwarded(signal, by_key, false),
                continues.then_some(GROUP),
                "{signal} {by_key}"
            );
        }
    }

    #[test]
    fn a_key_that_the_command_died_of_is_for_the_others_of_drainit_s_group_too() {
        for (died_of, forwarded, is_stopping, reaches) in [
            (Some(Signal::INT), None, false, true),
            (Some(Signal::QUIT), None, false, true),
            (Some(Signal::TERM), None, false, false),
            (None, None, false, false),
            // drainit has sent it.
            (Some(Signal::INT), Some(Signal::INT), false, false),
            (Some(Signal::INT), None, true, false),
            (Some(Signal::INT), Some(Signal::HUP), false, true),
        ] {
            let mut jobs = JobControl::default();
            let _ = jobs.stopped(Duration::ZERO, stopped(Signal::TSTP, Holder::Job));
            let _ = forwarded.map(|signal| jobs.forwarded(signal, false, false));
            assert_eq!(jobs.ended(7, died_of, is_stopping), died_of.filter(|_| reaches), "{died_of:?}");
            assert!(!jobs.is_stopped(), "the stopped process was the command");
        }
    }
}
