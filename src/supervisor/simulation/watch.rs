//! What must hold in every world, after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::spec::Reaction;
use super::world::{OWN, World, ticks};
use crate::outcome::Ended;
use crate::plan::{ExitReason, KillReason, StopPolicy, Target};
use crate::report::{ProcessEnd, ProcessRecord, Record};
use crate::signal::Signal;

/// What drainit signals at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sending {
    #[default]
    Nothing,
    /// It sends the signal of a stage, or looks for orphans.
    Stage,
    /// It signals the processes that the rule has left out.
    Others,
    Forwarding,
    Killing,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) sending: Sending,
    /// Whether a look or a signal has failed: then drainit does something less exact, and less must hold.
    pub(super) has_failed: bool,
    pub(super) has_list_failed: bool,
    /// `kill(-1)`, which reaches foreign processes too.
    pub(super) is_to_every_process: bool,
    /// How long drainit's own calls have taken, and how much too late it woke up.
    pub(super) slack: Duration,
    violations: Vec<String>,
    stage: u32,
    stage_at: Duration,
    is_auto: bool,
    /// When the first stage began in which a whole group was signalled at once.
    groups_since: Option<Duration>,
    last_call_at: Option<Duration>,
    /// A group was signalled in this stage, and it was still there.
    has_reached_group: bool,
    /// The last stage in which it was signalled.
    sent: BTreeMap<usize, u32>,
    refused: BTreeSet<usize>,
    killed_at: Option<Duration>,
    /// drainit woke up so late that it counts as held.
    pub(super) was_held: bool,
}

impl Watch {
    pub(super) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn first_violation(&self) -> Option<String> {
        self.violations.first().cloned()
    }

    pub(super) fn note_refused(&mut self, id: usize) {
        self.refused.insert(id);
    }

    pub(super) fn begin_stage(&mut self, now: Duration, target: Target) {
        self.stage += 1;
        self.stage_at = now;
        self.is_auto = target == Target::Auto;
        self.last_call_at = None;
        self.has_reached_group = false;
    }

    pub(super) fn note_group_reached(&mut self) {
        self.has_reached_group = true;
        self.groups_since.get_or_insert(self.stage_at);
    }

    pub(super) fn begin_last_call(&mut self, now: Duration) {
        self.last_call_at = Some(now);
    }
}

impl World {
    /// A signal of drainit's has reached this process.
    pub(super) fn note_sent(&mut self, to: usize, signal: Signal) {
        let proc = &self.procs[to];
        let name = format!("{signal} to p{to} ({})", proc.pid);
        if proc.is_reaped {
            self.watch.violation(format!("{name}, which was reaped"));
        }
        if self.procs[to].is_foreign && !self.watch.is_to_every_process {
            self.watch.violation(format!("{name}, which is not drainit's"));
        }
        let is_of_stage = matches!(self.watch.sending, Sending::Stage | Sending::Others);
        if matches!(signal, Signal::KILL | Signal::STOP | Signal::CONT) {
            return;
        }
        if !is_of_stage {
            // A process that removes its handler at a forwarded signal is about to exit, like one that was told.
            self.procs[to].was_told |= matches!(self.procs[to].reaction, Reaction::Once(_));
            return;
        }
        let stage = self.watch.stage;
        // It is not known later which processes were in a group that was signalled without a look, nor which was started between the look
        // and the signal.
        let is_unseen = self.watch.has_failed || self.watch.stage_at <= self.procs[to].born;
        let has_left_group = is_unseen && self.watch.stage_at <= self.procs[to].group_since;
        if self.watch.sent.insert(to, stage) == Some(stage) && !has_left_group {
            self.watch.violation(format!("{name} a second time in one stage"));
        }
        if self.watch.sending == Sending::Stage
            && self.watch.is_auto
            && !self.watch.has_failed
            && let Some(parent) = self.answering_parent(to)
        {
            self.watch.violation(format!("{name}, for which p{parent} answers"));
        }
    }

    /// An ancestor that has handled the signal since before the stage, and has been one for as long.
    fn answering_parent(&self, id: usize) -> Option<usize> {
        let since = self.watch.stage_at;
        let mut at = id;
        while self.procs[at].parent_since < since {
            let parent = self.procs[at].parent.filter(|&parent| parent != OWN)?;
            let its = &self.procs[parent];
            if its.ended.is_none() && its.reaction.handles() && its.reaction_since < since && !its.refuses {
                return Some(parent);
            }
            at = parent;
        }
        None
    }

    /// A stage has sent its signal: main has got it, unless it ended meanwhile.
    pub(super) fn check_first(&mut self, main: Option<i32>) {
        let Some(id) = main.and_then(|main| self.find(main)).filter(|&id| self.is_alive(id)) else { return };
        let was_sent = self.watch.sent.get(&id) == Some(&self.watch.stage);
        // Main may leave its group between the reading of its number and the signal for the group.
        let had_left_group =
            self.watch.has_reached_group && self.watch.stage_at <= self.procs[id].group_since;
        if !was_sent && !self.watch.has_failed && !self.procs[id].refuses && !had_left_group {
            self.watch.violation(format!("main (p{id}) was not signalled"));
        }
    }

    /// drainit's living descendants.
    pub(super) fn living(&self) -> impl Iterator<Item = usize> {
        (1..self.procs.len()).filter(|&id| self.is_alive(id) && !self.procs[id].is_foreign)
    }

    /// KILL is about to be sent for the first time.
    pub(super) fn check_before_kill(&mut self, reason: KillReason) {
        // KILL may be repeated: a process that ended between the two had not ended before the first.
        let is_first = self.watch.killed_at.is_none();
        self.watch.killed_at.get_or_insert(self.now);
        if !is_first || self.watch.has_failed || !self.watch.is_auto {
            return;
        }
        let known_since = match reason {
            KillReason::Elapsed => self.watch.last_call_at,
            KillReason::Ignored(_) => Some(self.watch.stage_at),
        };
        let Some(known_since) = known_since else { return };
        let was_asked = |id: usize| {
            let proc = &self.procs[id];
            // An exec between the reading of `stat` and of `status` looks as if the handler had been given up, as after a signal.
            let seems_told = proc.has_become_another() && self.watch.stage_at <= proc.reaction_since;
            seems_told
                || self.watch.sent.contains_key(&id)
                || self.watch.refused.contains(&id)
                || proc.was_told
        };
        let unasked = self.living().find(|&id| self.procs[id].born < known_since && !was_asked(id));
        if let Some(id) = unasked {
            self.watch.violation(format!("p{id} is killed and was sent no signal before ({reason:?})"));
        }
    }

    /// drainit has ended.
    pub(super) fn check_end(&mut self, reason: ExitReason, policy: &StopPolicy, record: &Record) {
        let left: Vec<usize> = match reason {
            ExitReason::NoneLeft => (1..self.procs.len())
                .filter(|&id| !self.procs[id].is_reaped && !self.procs[id].is_foreign)
                .collect(),
            // Without the table drainit kills only its own children, and later what they leave behind: it needs their list, the time for that, and the
            // right to kill each.
            ExitReason::SomeCannotBeKilled
                if self.watch.has_failed
                    && (self.watch.has_list_failed
                        || self.watch.was_held
                        || self.living().any(|id| self.procs[id].refuses)) =>
            {
                Vec::new()
            }
            ExitReason::SomeCannotBeKilled => self.living().filter(|&id| !self.procs[id].refuses).collect(),
        };
        if !left.is_empty() {
            self.watch.violation(format!("left behind ({reason:?}): {left:?}"));
        }
        if policy.grace_period != Some(Duration::ZERO) || !self.watch.has_failed {
            self.check_report(record);
        }
    }

    fn check_report(&mut self, record: &Record) {
        let mut wrong = Vec::new();
        for known in &record.processes {
            let is_it =
                |id: &usize| self.procs[*id].pid == known.pid && ticks(self.procs[*id].born) == known.start;
            let Some(id) = (1..self.procs.len()).find(is_it) else {
                wrong.push(format!("{} is in the report, and never was", known.pid));
                continue;
            };
            wrong.extend(
                self.disagrees(record, known, id).map(|what| format!("the report says that p{id} {what}")),
            );
        }
        wrong.into_iter().for_each(|what| self.watch.violation(what));
    }

    fn disagrees(&self, record: &Record, known: &ProcessRecord, id: usize) -> Option<&'static str> {
        let proc = &self.procs[id];
        if proc.is_foreign {
            // KILL by PID 1 reaches all.
            return (!self.is_pid_one || !proc.was_killed).then_some("is drainit's");
        }
        // kill(2) does not say which members of a group refused the signal, or had just exited, or left the group.
        let had_just_left = self.watch.groups_since.is_some_and(|since| {
            proc.ended.is_some_and(|(at, _)| since <= at) || proc.born < proc.group_since
        });
        let may_be_sent =
            self.watch.sent.contains_key(&id) || self.watch.refused.contains(&id) || had_just_left;
        if known.signalled.is_some() && !may_be_sent {
            return Some("was signalled");
        }
        let end = record.end_of(known).map(|end| end.what);
        let Some((at, ended)) = proc.ended else {
            return end.filter(|end| *end != ProcessEnd::LeftBehind).map(|_| "has ended");
        };
        if end.is_none() {
            return Some("may be there");
        }
        let said = record.was_killed(known);
        if ended == Ended::Killed(Signal::KILL) && proc.was_killed {
            // drainit learns of an orphan's end by its pid alone, and an orphan may have got this one.
            let is_pid_another_s = self.procs.iter().any(|other| other.pid == proc.pid && at <= other.born);
            return (!said && !is_pid_another_s).then_some("was not killed");
        }
        // A process that ended by itself while KILL was on its way looks like one that was killed.
        let had_left = self.watch.killed_at.is_none_or(|killed_at| at < killed_at);
        (said && had_left && !self.watch.has_failed).then_some("was killed, but it had left before")
    }
}
