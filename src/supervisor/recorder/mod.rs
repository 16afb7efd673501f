//! The recorder: notes what happens, and says which processes are waited for.

#![forbid(unsafe_code)]

use std::time::Duration;

use log::Level;

use super::NAMED;
use super::kernel::{Kernel, Linux};
use super::publish::Output;
use crate::outcome::Ended;
use crate::plan::processes::signalled::Signalled;
use crate::plan::processes::{Disposition, Process, Table};
use crate::plan::{Cause, ExitReason, KillReason, Step, StepId, StopReason, Target};
use crate::report::format::ShellWait;
use crate::report::{self, ProcessEnd, Receiver, Record, Sender, StepOutcome, StopRecord, Timed, format};
use crate::say::{at, info, is_logged, warn};
use crate::signal::Signal;
use crate::sys::signals::Received;

/// What is known of a run.
#[derive(Debug)]
pub(super) struct Recorder<K = Linux> {
    kernel: K,
    record: Record,
    output: Output,
    main_pid: Option<i32>,
    /// The process of the last step, whose pid is also its group's number, and whether it was reaped.
    step: Option<(i32, bool)>,
    /// The first signal of the stop.
    first_signal: Option<Signal>,
    /// Shells, and the foreground commands that they waited for when they were signalled.
    foreground: Vec<(i32, i32)>,
    /// Shells of which it is not known what they wait for.
    in_doubt: Vec<i32>,
    /// The last step is a sleep: it is over when the next thing happens.
    sleeps: Option<StepId>,
    /// A warning has named processes that are waited for.
    has_warned: bool,
    /// A stop with such a warning has ended.
    was_slow: bool,
    /// Something worth writing has happened since the record was written ahead.
    is_dirty: bool,
}

impl<K: Kernel> Recorder<K> {
    pub(super) fn new(
        kernel: K,
        output: Output,
        command: String,
        main_pid: i32,
        grace: Option<Duration>,
    ) -> Self {
        let mut record =
            Record { command, main_pid: Some(main_pid), grace_period: grace, ..Record::default() };
        if output.is_wanted() {
            record.make_room();
        }
        Self {
            kernel,
            record,
            output,
            main_pid: Some(main_pid),
            step: None,
            first_signal: None,
            foreground: Vec::new(),
            in_doubt: Vec::new(),
            sleeps: None,
            has_warned: false,
            was_slow: false,
            is_dirty: false,
        }
    }

    /// A stop begins.
    pub(super) fn begin_stop(&mut self, reason: StopReason, signal: Signal, received: Option<Received>) {
        if reason == StopReason::Elapsed {
            let option = if self.output.is_rehearsal() { "--rehearse" } else { "--stop-after" };
            info!("{option} elapsed: the stop begins");
        }
        // Without a sender the parent had ended before the parent death signal was set: this counts as the signal.
        let sender = received
            .filter(|_| reason == StopReason::Signal)
            .map(|received| Sender { pid: received.sender, uid: received.sender_uid })
            .unwrap_or_default();
        self.is_dirty = true;
        self.record.stop = Some(StopRecord { at: self.kernel.now(), reason, signal, sender });
    }

    /// A signal came that stops other images, and began no stop here.
    pub(super) fn no_stop_began(&mut self, signal: Signal) {
        let at = self.kernel.now();
        self.record.unheeded.get_or_insert(Timed { at, what: signal });
    }

    /// Main has ended: logs what is left.
    pub(super) fn say_left(&self) {
        let left = self.kernel.table().unwrap_or_default();
        let left = self.waiting(&left);
        if !left.is_empty() {
            info!(
                "still there: {}",
                format::list(left.iter().map(|process| format::process(process.name, process.pid)), NAMED)
            );
        }
    }

    /// The processes are signalled from now on.
    pub(super) fn begin_signalling(&mut self, now: Duration, signal: Signal, target: Target) {
        self.end_sleep(now);
        self.is_dirty = true;
        self.first_signal.get_or_insert(signal);
        self.record.target.get_or_insert(target);
        self.record.signalled_at.get_or_insert(now);
    }

    /// The stop goes on to another signal.
    pub(super) fn escalates(&mut self, before: Signal, signal: Signal, cause: Cause, left: &str) {
        match cause {
            Cause::Ignored(ignored) => {
                warn!(
                    "{ignored} is ignored, so waiting cannot help: going on to {signal}; still there: {left}"
                );
                let at = self.kernel.now();
                self.record.escalated.get_or_insert(Timed { at, what: signal });
            }
            Cause::Elapsed | Cause::Requested | Cause::OwnExit => {
                warn!("the time for {before} is up: going on to {signal}; still there: {left}");
            }
        }
    }

    /// These processes are there as a stage begins; main is noted first.
    pub(super) fn present(&mut self, table: &Table) {
        if !self.output.is_wanted() {
            return;
        }
        let now = self.kernel.now();
        let main = self.main_pid.and_then(|main| table.find(main));
        for process in main.into_iter().chain(table.iter()) {
            if !self.is_of_step(process) {
                let is_main = self.main_pid == Some(process.pid);
                let _ = self.record.process(now, process, is_main);
            }
        }
    }

    /// A signal was sent.
    pub(super) fn sent(&mut self, signal: Signal, to: Receiver) {
        if self.output.is_wanted() {
            self.record.note_sent(self.kernel.now(), signal, to);
        }
    }

    /// A signal was sent to one process.
    pub(super) fn sent_to(&mut self, process: &Process, signal: Signal) {
        let is_main = self.main_pid == Some(process.pid);
        self.sent(signal, if is_main { Receiver::Main } else { Receiver::Process(process.pid) });
    }

    /// A process got the signal of a stage, or the kernel refused it.
    pub(super) fn signalled(
        &mut self,
        process: &Process,
        disposition: Option<Disposition>,
        signal: Signal,
        was_refused: bool,
    ) {
        if !self.output.is_wanted() {
            return;
        }
        let (at, is_main) = (self.kernel.now(), self.main_pid == Some(process.pid));
        let Some(known) = self.record.process(at, process, is_main) else { return };
        known.state = process.state;
        let what = Some(Timed { at, what: signal });
        if was_refused {
            known.refused = known.refused.or(what);
        } else if known.signalled.is_none() {
            known.signalled = what;
            known.disposition = disposition;
        }
    }

    /// The shell waits in the foreground for this command.
    pub(super) fn in_foreground(&mut self, shell: i32, command: i32) {
        self.foreground.push((shell, command));
    }

    /// It is not known what this shell waits for.
    pub(super) fn in_doubt(&mut self, shell: i32) {
        self.in_doubt.push(shell);
    }

    /// `10.0s after the stop began`.
    pub(super) fn since_the_stop_began(&self) -> String {
        let began = self.record.stop.map(|stop| stop.at).unwrap_or_default();
        format!("{} after the stop began", format::duration(self.kernel.now().saturating_sub(began)))
    }

    /// KILL is sent to these processes; those that are missing had ended before.
    pub(super) fn killing(&mut self, left: &Table, reason: KillReason) {
        #[cfg(test)]
        if self.kernel.has_bug(super::simulation::Bug::PhantomKill) {
            return self.note_kill(left, reason);
        }
        self.seen(left);
        self.note_kill(left, reason);
    }

    fn note_kill(&mut self, left: &Table, reason: KillReason) {
        self.is_dirty = true;
        let at = self.kernel.now();
        self.record.killed.get_or_insert(Timed { at, what: reason });
        self.present(left);
        self.sent(Signal::KILL, Receiver::All);
    }

    pub(super) fn main_ended(&mut self, pid: i32, ended: Ended) {
        let at = self.kernel.now();
        self.main_pid = None;
        self.record.main_ended = Some(Timed { at, what: ended });
        if self.record.processes.iter().any(|process| process.pid == pid) {
            self.record.note_reaped(|| at, pid, ended);
        }
    }

    pub(super) fn reaped(&mut self, pid: i32, ended: Ended) {
        self.record.note_reaped(|| self.kernel.now(), pid, ended);
    }

    /// A child died of a KILL from elsewhere.
    pub(super) fn note_foreign_kill(&mut self) {
        self.record.foreign_kills += 1;
    }

    /// Main died of a KILL from elsewhere; `is_so` if memory had run out.
    pub(super) fn note_out_of_memory(&mut self, is_so: bool) {
        self.record.out_of_memory = is_so;
    }

    /// A step begins.
    pub(super) fn begin_step(&mut self, id: StepId, step: &Step) {
        let now = self.kernel.now();
        self.end_sleep(now);
        self.record.begin_step(now, id, step.to_string());
        self.sleeps = matches!(step, Step::Sleep(_)).then_some(id);
    }

    /// How long a step has been under way.
    pub(super) fn step_took(&self, id: StepId) -> Duration {
        let step = self.record.steps.iter().find(|step| step.id == id);
        step.map(|step| self.kernel.now().saturating_sub(step.began)).unwrap_or_default()
    }

    /// The step has a process.
    pub(super) fn step_started(&mut self, pid: i32) {
        self.step = Some((pid, false));
    }

    /// The step's process was reaped.
    pub(super) fn step_reaped(&mut self) {
        self.step = self.step.map(|(pid, _)| (pid, true));
    }

    pub(super) fn end_step(&mut self, id: StepId, outcome: StepOutcome) {
        self.record.end_step(self.kernel.now(), id, outcome);
    }

    /// The step waited for connections on which nothing happened.
    pub(super) fn only_kept_alive(&mut self, id: StepId) {
        for step in self.record.steps.iter_mut().filter(|step| step.id == id) {
            step.only_kept_alive = true;
        }
    }

    pub(super) fn step_killed(&mut self, id: StepId) {
        let at = self.kernel.now();
        self.record.step_killed = Some(Timed { at, what: id });
    }

    /// Whether this is the process of the last step, and was not reaped yet.
    pub(super) fn is_step(&self, pid: i32) -> bool {
        self.step == Some((pid, false))
    }

    /// Whether it is in the group of the last step.
    pub(super) fn is_of_step(&self, process: &Process) -> bool {
        self.step.is_some_and(|(group, _)| group == process.group)
    }

    fn end_sleep(&mut self, now: Duration) {
        if let Some(id) = self.sleeps.take() {
            self.record.end_step(now, id, StepOutcome::Succeeded);
        }
    }

    /// A look found these processes: those that are missing are gone, the others were alive then.
    pub(super) fn seen(&mut self, table: &Table) {
        if !self.output.is_wanted() {
            return;
        }
        let now = self.kernel.now();
        for known in self.record.processes.iter_mut().filter(|known| known.ended.is_none()) {
            match table.find(known.pid).filter(|seen| seen.start == known.start) {
                Some(seen) => (known.last_seen, known.state) = (Some(now), seen.state),
                None => see_one(&self.kernel, known, now),
            }
        }
    }

    /// Looks which processes have ended: those that their own parents reap just disappear.
    pub(super) fn observe(&mut self) {
        if !self.output.is_wanted() {
            return;
        }
        let now = self.kernel.now();
        self.record
            .processes
            .iter_mut()
            .filter(|known| known.ended.is_none())
            .for_each(|known| see_one(&self.kernel, known, now));
    }

    /// Logs which processes are waited for.
    pub(super) fn say_waiting(&mut self, since: Duration, signalled: &Signalled) {
        let (Some(table), Some(signal)) = (self.kernel.table(), signalled.signal()) else { return };
        self.seen(&table);
        self.present(&table);
        self.is_dirty = true;
        if !self.waiting(&table).is_empty() {
            self.has_warned = true;
            let (since, signal) = (format::duration(since), signal.rewritten);
            let left = self.waited_for(&table, signal, signalled);
            warn!("{since} after {}, waiting for {left}", self.first_signal.unwrap_or(signal));
        }
    }

    /// The first few processes that are left, and what each does about the signal, if it was sent.
    pub(super) fn waited_for(&self, table: &Table, signal: Signal, signalled: &Signalled) -> String {
        let left = self.waiting(table);
        if left.is_empty() {
            return "every remaining process".to_owned();
        }
        let words = left.iter().map(|process| {
            if signalled.was_refused(process) {
                return format::refused(process);
            }
            if !signalled.is_done(process) {
                return format::not_sent(process, signal);
            }
            let disposition = self.kernel.disposition(process, signal);
            let waits = self.shell_waits(process, table).filter(|_| disposition == Some(Disposition::Caught));
            format::waited_for(process, disposition.map(|disposition| (disposition, signal)), waits)
        });
        format::long_list(words, NAMED)
    }

    /// What a shell waits for, as seen before the signal: after it the shell may be in its trap.
    fn shell_waits<'a>(&self, shell: &Process, table: &'a Table) -> Option<ShellWait<'a>> {
        let in_front = self.foreground.iter().filter(|(known, _)| *known == shell.pid);
        let in_front = in_front.filter_map(|&(_, command)| table.find(command)).next();
        let youngest = || table.children(shell.pid).max_by_key(|child| (child.start, child.pid));
        match in_front.filter(|command| command.parent == shell.pid) {
            Some(command) => Some(ShellWait::Foreground(command)),
            None if self.in_doubt.contains(&shell.pid) => youngest().map(ShellWait::Doubt),
            None if shell.name.is_shell() => youngest().map(ShellWait::Trap),
            None => None,
        }
    }

    fn waiting<'a>(&self, table: &'a Table) -> Vec<&'a Process> {
        table.iter().filter(|process| !self.is_of_step(process)).collect()
    }

    /// No process is left, or those that are left cannot be ended. Steps may follow.
    pub(super) fn none_left(&mut self) {
        let now = self.kernel.now();
        self.record.ended_at.get_or_insert(now);
        if std::mem::take(&mut self.has_warned) {
            let since = self.record.signalled_at.unwrap_or_default();
            let how = if self.record.killed.is_some() {
                "some processes were killed"
            } else {
                "every process ended by itself"
            };
            warn!("the stop is over after {}: {how}", format::duration(now.saturating_sub(since)));
            self.was_slow = true;
        }
    }

    /// Writes the record ahead if something worth it has happened: the runtime's KILL would leave no time for it.
    pub(super) fn write_ahead(&mut self) {
        if self.is_dirty && self.output.is_idle() {
            self.is_dirty = false;
            self.output.write_ahead(&self.record, self.kernel.now());
        }
    }

    /// A rehearsal prints the advice below its drawing. Without a report too little is noted to derive any.
    fn say_advice(&self) {
        let level = if self.was_slow || !self.record.went_well() { Level::Warn } else { Level::Info };
        let is_told = self.output.is_wanted() && !self.output.is_rehearsal();
        if is_told && is_logged(level) {
            report::advice(&self.record).iter().for_each(|sentence| at!(level, "advice: {sentence}"));
        }
    }

    /// The run is over. Writes what was configured, and returns the exit code.
    pub(super) fn close(&mut self, reason: ExitReason, exit_code: u8) -> u8 {
        self.complete(reason, exit_code);
        self.say_advice();
        let code = self.output.write(&self.record, exit_code);
        let own = self.record.main_ended.map_or(code, |end| end.what.code());
        if code == exit_code && code != own {
            info!("exiting with {code}, remapped from {own}");
        } else {
            info!("exiting with {code}");
        }
        code
    }

    #[cfg(test)]
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Completes the record: nothing is added to it afterwards.
    pub(super) fn complete(&mut self, reason: ExitReason, exit_code: u8) {
        let now = self.kernel.now();
        self.end_sleep(now);
        self.none_left();
        self.observe();
        if reason == ExitReason::SomeCannotBeKilled {
            let left = self.record.processes.iter_mut().filter(|process| process.ended.is_none());
            left.for_each(|process| process.ended = Some(Timed { at: now, what: ProcessEnd::LeftBehind }));
        }
        self.record.exit_code = Some(exit_code);
    }
}

/// Notes whether it is still there. A zombie that is drainit's own child is about to be reaped, which gives its status.
fn see_one(kernel: &impl Kernel, known: &mut report::ProcessRecord, now: Duration) {
    let seen = kernel.process(known.pid).filter(|seen| seen.start == known.start);
    match seen {
        Some(seen) if seen.is_alive() => known.last_seen = Some(now),
        Some(seen) if seen.parent == kernel.own_pid() => {}
        Some(_) | None => known.ended = Some(Timed { at: now, what: ProcessEnd::Gone }),
    }
}

#[cfg(test)]
mod tests;
