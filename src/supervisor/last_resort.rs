//! The plan alone, after an allocation has failed.
//!
//! The allocator cannot return, so the loop cannot go on. This takes its place, beginning with the event that was being handled, and runs
//! until drainit exits. Nothing is allocated here, so no process is looked at, no step is started, and nothing is logged or reported.
//! Signals are sent as if there were no /proc, except that a subreaper reads its own children from it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use log::LevelFilter;

use super::kernel::{self, Linux};
use super::stopper::send;
use super::{Main, REAP_AT_ONCE, Supervisor, die_as_the_command_did, inbox};
use crate::outcome::{ExitMap, INIT_FAILED};
use crate::plan::processes::ignoring::Outlook;
use crate::plan::{Action, Event, Plan, Recipients, Target};
use crate::signal::{Signal, SignalSet};
use crate::sys::clock::Clock;
use crate::sys::wait::{self, Reaped};
use crate::sys::{kill, process, procfs, signals};

static NOTED: Mutex<Option<Noted>> = Mutex::new(None);

/// What is known of a run, without anything that is allocated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) plan: Plan<'static>,
    pub(super) clock: Clock,
    pub(super) main: Main,
    pub(super) is_killing: bool,
    /// The event that the plan is about to be told, and the signals that it has not been told of.
    pub(super) events: [Option<Event>; 3],
    pub(super) exit_map: &'static ExitMap,
    pub(super) propagate_signal: bool,
    /// The group of the step that runs. It is only told to end.
    pub(super) step: Option<i32>,
    /// The next turn begins without a wait: a step was left out, so no child's end will wake drainit, or more children have ended than were
    /// reaped.
    pub(super) goes_on: bool,
    /// The process that noted it: its forked children have these notes, too.
    pub(super) pid: i32,
}

impl Supervisor {
    /// Notes what [`go_on`] needs, before anything that may need memory.
    pub(super) fn note(&self, event: Option<Event>) {
        let noted = Noted {
            plan: self.plan,
            clock: self.clock,
            main: self.main,
            is_killing: self.stopper.is_killing(),
            events: [event, self.signal, self.inbox.next()],
            exit_map: self.exit_map,
            propagate_signal: self.propagate_signal,
            step: self.steps.running(),
            goes_on: false,
            pid: self.inbox.own_pid(),
        };
        noted.note();
    }
}

impl Noted {
    pub(super) fn note(self) {
        kernel::forget_sent();
        *noted() = Some(self);
    }
}

fn noted() -> MutexGuard<'static, Option<Noted>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether [`go_on`] would go on.
#[must_use]
pub fn is_there() -> bool {
    noted().is_some_and(|noted| noted.pid == process::id())
}

/// Goes on to the end of the run, and returns the exit code; `None` if this process has started no command.
#[must_use]
pub fn go_on() -> Option<u8> {
    let noted = noted().take().filter(|noted| noted.pid == process::id())?;
    log::set_max_level(LevelFilter::Off);
    Some(noted.run())
}

impl Noted {
    fn run(mut self) -> u8 {
        let mut events = self.events;
        // What has been sent already for the event that was being handled is not sent twice.
        let mut sends = !kernel::has_sent();
        loop {
            let reaped = self.reap();
            let main_ended =
                (self.plan.main_lives() && self.main.ended().is_some()).then_some(Event::MainEnded);
            for event in events.into_iter().chain([main_ended, reaped, Some(Event::Tick)]).flatten() {
                if let Some(code) = self.handle(event, std::mem::replace(&mut sends, true)) {
                    return code;
                }
            }
            if std::mem::take(&mut self.goes_on) {
                events = [None; 3];
                continue;
            }
            let timeout = self.plan.deadline().map(|deadline| deadline.saturating_sub(self.clock.now()));
            let received = signals::wait(SignalSet::from_bits(u64::MAX), timeout);
            events = [received.and_then(|received| inbox::event(received, self.pid)), None, None];
        }
    }

    fn reap(&mut self) -> Option<Event> {
        let mut event = None;
        for _ in 0..REAP_AT_ONCE {
            match wait::reap(!process::is_pid_one()) {
                Reaped::Child { pid, ended } if self.main.is(pid) => self.main = Main::Gone(ended),
                Reaped::Child { pid, .. } => {
                    self.step = self.step.filter(|step| *step != pid);
                    event = Some(Event::ChildEnded);
                }
                // No shell gets its terminal back now.
                Reaped::Stopped { pid, by: Signal::TSTP } if !process::is_pid_one() => {
                    if let Some(group) = process::group_of(pid) {
                        let _ = kill::send_to_group(group, Signal::CONT);
                    }
                }
                Reaped::Stopped { .. } | Reaped::Continued { .. } => {}
                Reaped::AllAlive => return event,
                Reaped::NoChildren => return Some(Event::NoneLeft),
            }
        }
        self.goes_on = true;
        event
    }

    /// Tells the plan of the event and performs what follows; `sends` is whether the signals that follow are sent.
    fn handle(&mut self, event: Event, sends: bool) -> Option<u8> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in self.plan.handle(self.clock.now(), event) {
                match action {
                    Action::Forward { .. } | Action::Signal { .. } | Action::LastCall { .. } if !sends => {}
                    Action::Forward { signal, to } => self.send(signal, target(to)),
                    Action::Signal { signal, target, .. } => self.send(signal.rewritten, target),
                    // It is not known which of the remaining processes were signalled, so all are. Those that were have had time to
                    // handle it.
                    Action::Look { judges: true } if self.main.pid().is_none() => {
                        self.send_to_all();
                        next = Some(Event::Looked(Some(Outlook::Unknown)));
                    }
                    Action::Look { judges } => {
                        next = Some(Event::Looked(judges.then_some(Outlook::KeepWaiting)));
                    }
                    Action::LastCall { .. } => self.send_to_all(),
                    Action::StartStep { step, .. } => {
                        self.goes_on = true;
                        next = Some(Event::StepEnded(step));
                    }
                    Action::Kill(_) => {
                        self.is_killing = true;
                        self.send(Signal::KILL, Target::All);
                    }
                    Action::Leave(_) => return Some(self.exit_code()),
                    Action::BeginStop { .. }
                    | Action::SignalOthers
                    | Action::SayWaiting { .. }
                    | Action::Observe
                    | Action::SignalLeftovers => {}
                    Action::EndStep { .. } => self.send_to_step(Signal::TERM),
                    Action::KillStep => self.send_to_step(Signal::KILL),
                }
            }
        }
        None
    }

    fn send_to_step(&self, signal: Signal) {
        if let Some(step) = self.step {
            let _ = kill::send_to_group(step, signal);
        }
    }

    /// The stop's signal, to every process that is left.
    fn send_to_all(&self) {
        let signal = self.plan.stop_signal().and_then(|signal| self.plan.policy().rewrites.apply(signal).to);
        signal.into_iter().for_each(|signal| self.send(signal, Target::All));
    }

    /// If drainit is a subreaper, its other children are signalled as well, if the target is every process or main has ended. Their own
    /// children follow when drainit has adopted them.
    fn send(&self, signal: Signal, target: Target) {
        let (is_pid_one, main_is_gone) = (process::is_pid_one(), self.main.pid().is_none());
        if is_pid_one || !main_is_gone {
            let _ = send::without_table(&Linux { clock: self.clock }, signal, target, self.main);
        }
        if !is_pid_one && (main_is_gone || target == Target::All) {
            let _ = procfs::each_own_child(|child| {
                if !self.main.is(child) {
                    let _ = kill::send(child, signal);
                }
            });
        }
    }

    /// A rehearsal that was not seen to its end proves nothing.
    fn exit_code(&self) -> u8 {
        if self.plan.policy().observes {
            return INIT_FAILED;
        }
        let code = self.main.exit_code(self.is_killing, self.exit_map);
        if self.propagate_signal {
            die_as_the_command_did(self.main, code);
        }
        code
    }
}

fn target(to: Recipients) -> Target {
    match to {
        Recipients::Main | Recipients::MainOrGroup => Target::Main,
        Recipients::Group => Target::Group,
        Recipients::Adopted | Recipients::AdoptedOrGroups | Recipients::All => Target::All,
    }
}
