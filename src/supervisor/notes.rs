//! Noting what happens, and saying what is waited for.

use std::time::Duration;

use log::{Level, info, log_enabled};

use super::Supervisor;
use crate::outcome::Ended;
use crate::plan::{self, Event, Farewell, StepId};
use crate::plan::{Step, Target};
use crate::report::{self, Fate, Killed, Reason, Receiver, StepOutcome};
use crate::signal::Signal;
use crate::survivors::{self, Process};
use crate::sys::process;

/// Between two words on who is waited for.
const WORD_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at who is left, at least, where their ends are wanted; in a rehearsal at most, too.
const WATCH_EVERY: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Notes how the stop began, when it has.
    pub(super) fn note_stop(&mut self, event: Event) {
        let (None, Some(signal)) = (self.record.stop, self.plan.stop_signal()) else { return };
        let reason = match (event, self.last_received) {
            (Event::Signal(_), Some(received)) => {
                Reason::Signal { sender: received.sender, uid: received.sender_uid }
            }
            (Event::MainEnded, _) => Reason::OwnExit,
            (
                Event::Signal(_) | Event::StepEnded(_) | Event::Looked(_) | Event::NobodyLeft | Event::Tick,
                _,
            ) => Reason::Time,
        };
        self.record.stop = Some(report::Stop { at: self.clock.now(), reason, signal });
    }

    /// The stop goes on because a look has found that the signal is ignored.
    pub(super) fn note_passed_over(&mut self, next: Signal) {
        let at = self.clock.now();
        self.record.passed_over.get_or_insert(report::Event { at, what: next });
    }

    pub(super) fn begin_asking(&mut self) {
        let now = self.clock.now();
        self.end_sleep(now);
        self.record.asked_at.get_or_insert(now);
        self.next_word.get_or_insert(now.saturating_add(WORD_EVERY));
    }

    pub(super) fn note_sent(&mut self, signal: Signal, to: Receiver) {
        if self.output.is_wanted() {
            self.record.note_sent(self.clock.now(), signal, to);
        }
    }

    /// Notes those who are asked with this signal.
    pub(super) fn note_members(&mut self, everyone: &[Process], signal: Signal) {
        if !self.output.is_wanted() {
            return;
        }
        let now = self.clock.now();
        let main = self.main.pid();
        let (first, rest): (Vec<&Process>, Vec<&Process>) =
            everyone.iter().partition(|process| main == Some(process.pid));
        for process in first.into_iter().chain(rest) {
            if self.is_of_step(process) {
                continue;
            }
            let is_main = main == Some(process.pid);
            let Some(member) = self.record.member(now, process, is_main) else { continue };
            member.state = process.state;
            if member.asked.is_some() {
                continue;
            }
            self.roster.find_nested_inits(std::slice::from_ref(process), survivors::is_nested_init);
            if let Some(attitude) = self.roster.asked(process) {
                member.attitude = attitude;
                member.asked = Some(report::Event { at: now, what: signal });
            }
        }
    }

    pub(super) fn note_main_end(&mut self, pid: i32, ended: Ended) {
        let at = self.clock.now();
        self.record.main_ended = Some(report::Event { at, what: ended });
        if self.record.members.iter().any(|member| member.pid == pid) {
            self.record.note_reaped(|| at, pid, ended);
        }
    }

    pub(super) fn note_reaped(&mut self, pid: i32, ended: Ended) {
        let clock = self.clock;
        self.record.note_reaped(|| clock.now(), pid, ended);
    }

    pub(super) fn note_kill(&mut self, left: &[Process], reason: plan::Reason) {
        let what = match reason {
            plan::Reason::TimeIsUp => Killed::TimeIsUp,
            plan::Reason::Ignored(signal) => Killed::Ignored(signal),
        };
        let at = self.clock.now();
        self.record.killed.get_or_insert(report::Event { at, what });
        if self.output.is_wanted() {
            for process in left {
                if self.is_of_step(process) {
                    continue;
                }
                let is_main = self.main.is(process.pid);
                let _ = self.record.member(at, process, is_main);
            }
        }
        self.note_sent(Signal::KILL, Receiver::Target(Target::All));
    }

    pub(super) fn note_step(&mut self, id: StepId, outcome: StepOutcome) {
        self.record.end_step(self.clock.now(), id, outcome);
    }

    /// A step that is a sleep is over when the next thing happens.
    pub(super) fn end_sleep(&mut self, now: Duration) {
        let Some(last) = self.record.steps.last().map(|step| step.id) else { return };
        if matches!(self.plan.step(last), Some(Step::Sleep(_))) {
            self.record.end_step(now, last, StepOutcome::Succeeded);
        }
    }

    /// Everybody has left, or those who have not cannot be ended. Steps may follow.
    pub(super) fn note_end(&mut self) {
        if self.record.ended_at.is_zero() {
            self.record.ended_at = self.clock.now();
        }
    }

    pub(super) fn close_record(&mut self, farewell: Farewell, exit_code: u8) {
        let now = self.clock.now();
        self.end_sleep(now);
        self.note_end();
        self.see_who_has_gone(now);
        if farewell == Farewell::SomeCannotBeKilled {
            let left = self.record.members.iter_mut().filter(|member| member.ended.is_none());
            left.for_each(|member| {
                member.ended = Some(report::Event { at: now, what: Fate::LeftBehind });
            });
        }
        self.record.exit_code = exit_code;
    }

    /// Those who were reaped by their own parents are only seen to be missing.
    fn see_who_has_gone(&mut self, now: Duration) {
        for member in self.record.members.iter_mut().filter(|member| member.ended.is_none()) {
            let still_there = survivors::look_at(member.pid)
                .is_some_and(|seen| seen.start == member.start && (seen.is_alive() || is_ours(&seen)));
            if !still_there {
                member.ended = Some(report::Event { at: now, what: Fate::Gone });
            }
        }
    }

    /// When the loop is to wake up though nothing has to be done: somebody wants to know.
    pub(super) fn next_note(&self) -> Option<Duration> {
        if !self.plan.is_waiting() {
            return None;
        }
        let word = self.next_word.filter(|_| log_enabled!(Level::Info));
        let watch = self.output.is_rehearsal().then(|| self.clock.now().saturating_add(WATCH_EVERY));
        plan::earliest(word, watch)
    }

    /// Says who is waited for, from time to time.
    // Cold: see `perform`.
    #[cold]
    pub(super) fn note_waiting(&mut self) {
        let now = self.clock.now();
        if self.output.is_wanted() && self.next_watch.is_none_or(|next| next <= now) {
            self.next_watch = Some(now.saturating_add(WATCH_EVERY));
            self.see_who_has_gone(now);
        }
        if self.next_word.is_some_and(|next| next <= now) && log_enabled!(Level::Info) {
            self.next_word = Some(now.saturating_add(WORD_EVERY));
            if let (Some(everyone), Some(signal)) = (survivors::look(), self.asked_with) {
                info!("waiting for {}", self.in_words(&everyone, signal));
            }
        }
    }

    /// The first few of them, and what each does about the signal.
    pub(super) fn in_words(&self, everyone: &[Process], signal: Signal) -> String {
        let one = |process: &Process| {
            let attitude = survivors::attitude(process, signal).map(|attitude| (attitude, signal));
            survivors::describe(process, attitude, everyone)
        };
        super::listed(everyone, "; ", one)
    }
}

/// A zombie of ours is about to be reaped, and then its status is known.
fn is_ours(process: &Process) -> bool {
    process.parent == process::id()
}
