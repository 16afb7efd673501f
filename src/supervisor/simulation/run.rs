//! A run of drainit in a simulated world: the loop of the supervisor, with the real plan, stopper and recorder.

use std::collections::VecDeque;
use std::time::Duration;

use super::Bug;
use super::sim::Sim;
use super::spec::Spec;
use super::watch::Sending;
use super::world::{OWN, World};
use crate::outcome::Ended;
use crate::plan::{
    Action, Event, ExitReason, HELD_AFTER, HELD_PATIENCE, KILL_PATIENCE, Origin, Plan, earliest,
};
use crate::signal::Signal;
use crate::supervisor::Main;
use crate::supervisor::kernel::Kernel;
use crate::supervisor::publish::Output;
use crate::supervisor::recorder::Recorder;
use crate::supervisor::stopper::Stopper;

/// Nothing that a test could wait for happens after this time.
const END: Duration = Duration::from_secs(30);

/// With more turns than this, the loop waits for nothing.
const TURNS: u32 = 10_000;

struct Run<'a> {
    spec: &'a Spec,
    sim: Sim,
    plan: Plan<'a>,
    stopper: Stopper<Sim>,
    recorder: Recorder<Sim>,
    main: Main,
    received: VecDeque<(Duration, Signal)>,
    /// When drainit has to have ended, apart from its own slowness.
    bound: Option<Duration>,
    /// When the slowness that counts began.
    slack_before: Duration,
    left: Option<ExitReason>,
    /// drainit has just woken up, after it was held.
    was_held: bool,
}

/// Runs drainit in this world, with an old bug if one is given, and returns what went wrong.
pub(super) fn run(spec: &Spec, bug: Option<Bug>) -> Result<(), String> {
    Run::new(spec, bug).until_the_end()
}

/// Whether drainit sends KILL in this world, in which nothing goes wrong.
pub(super) fn kills(spec: &Spec) -> bool {
    let mut run = Run::new(spec, None);
    run.until_the_end().expect("nothing goes wrong");
    run.recorder.record().killed.is_some()
}

impl<'a> Run<'a> {
    fn new(spec: &'a Spec, bug: Option<Bug>) -> Self {
        let (world, main) = World::new(spec);
        let sim = Sim::new(world, bug);
        let mut received = spec.received.clone();
        received.sort();
        let grace = spec.policy.grace_period;
        Self {
            spec,
            plan: Plan::new(&spec.policy),
            stopper: Stopper::new(sim.clone(), spec.policy.ignored_after),
            recorder: Recorder::new(sim.clone(), Output::kept(), "p".to_owned(), main, grace),
            sim,
            main: Main::Alive(main),
            received: received.into(),
            bound: None,
            slack_before: Duration::ZERO,
            left: None,
            was_held: false,
        }
    }
}

impl Run<'_> {
    fn until_the_end(&mut self) -> Result<(), String> {
        let mut turns = 0;
        loop {
            turns += 1;
            if TURNS < turns {
                return Err(format!("at {:?}: waits for nothing; {:?}", self.sim.now(), self.plan));
            }
            for event in self.events() {
                self.handle(event);
                self.check()?;
                if let Some(reason) = self.left {
                    self.sim.world().check_end(reason, &self.spec.policy, self.recorder.record());
                    return self.check();
                }
            }
            if !self.wait() {
                return Ok(());
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let world = self.sim.world();
        let slack = world.watch.slack.saturating_sub(self.slack_before);
        match world.watch.first_violation() {
            Some(what) => Err(format!("at {:?}: {what}", world.now)),
            None if self.bound.is_some_and(|bound| bound + slack < world.now) => {
                Err(format!("at {:?}: the bound was {:?}", world.now, self.bound))
            }
            None => Ok(()),
        }
    }

    /// Handles what has happened, in the supervisor's order.
    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let (mut main_ended, mut child_ended) = (false, false);
        let dead: Vec<usize> = {
            let world = self.sim.world();
            let is_dead = |&id: &usize| world.procs[id].parent == Some(OWN) && !world.is_alive(id);
            world.all().into_iter().filter(is_dead).collect()
        };
        for id in dead {
            let (pid, ended) = {
                let mut world = self.sim.world();
                world.reap(id);
                (world.procs[id].pid, world.procs[id].ended)
            };
            let ended = ended.map_or(Ended::Exited(0), |(_, ended)| ended);
            if self.main.is(pid) {
                self.main = Main::Gone(ended);
                self.recorder.main_ended(pid, ended);
                main_ended = true;
            } else {
                self.recorder.reaped(pid, ended);
                child_ended = true;
            }
        }
        let none_left = {
            let world = self.sim.world();
            !world.all().into_iter().any(|id| world.procs[id].parent == Some(OWN))
        };
        if none_left {
            events.push(Event::NoneLeft);
        } else if main_ended {
            events.push(Event::MainEnded);
        } else if child_ended {
            events.push(Event::ChildEnded);
        }
        let now = self.sim.now();
        if let Some((_, signal)) = self.received.pop_front_if(|(at, _)| *at <= now) {
            events.push(Event::Signal(signal, Origin::Process));
        }
        if self.was_held {
            events.push(Event::Held);
        }
        events.push(Event::Tick);
        events
    }

    /// Waits as the supervisor does; false if nothing will ever happen.
    fn wait(&mut self) -> bool {
        if END < self.sim.now() {
            return false;
        }
        self.was_held = false;
        let deadline = self.plan.deadline();
        let due = self.received.front().map(|(at, _)| *at);
        loop {
            let mut world = self.sim.world();
            let has_dead =
                world.all().into_iter().any(|id| world.procs[id].parent == Some(OWN) && !world.is_alive(id));
            let is_due = |time: Option<Duration>| time.is_some_and(|time| time <= world.now);
            if has_dead || is_due(due) {
                return true;
            }
            if is_due(deadline) {
                break;
            }
            match earliest(earliest(deadline, due), world.next_at()) {
                Some(next) if next < END => world.advance(next),
                Some(_) | None => return false,
            }
        }
        self.wake_late();
        true
    }

    fn wake_late(&mut self) {
        let mut world = self.sim.world();
        let delay = world.delay();
        let until = world.now + delay;
        world.advance(until);
        if HELD_AFTER < delay {
            world.watch.was_held = true;
            self.was_held = true;
            let anew = world.now + HELD_PATIENCE + KILL_PATIENCE;
            self.bound = self.bound.map(|bound| bound.max(anew));
        } else {
            world.watch.slack += delay;
        }
    }

    fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            if event == Event::NoneLeft {
                self.recorder.none_left();
            }
            let now = self.sim.now();
            // With several stages the next deadline may be another signal.
            let is_kill = self.spec.policy.schedule.as_ref().is_none_or(|it| it.stage(1).is_none());
            let is_late =
                is_kill && self.was_held && self.plan.limit().is_some_and(|limit| limit + HELD_AFTER < now);
            for action in self.plan.handle(now, event) {
                if let (true, Action::Kill(_)) = (is_late && event == Event::Tick, action) {
                    self.sim.world().watch.violation("killed at once after it was held".to_owned());
                }
                next = self.perform(action).or(next);
                if self.left.is_some() {
                    return;
                }
            }
        }
    }

    fn sending(&self, sending: Sending) {
        self.sim.world().watch.sending = sending;
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        self.stopper.set_limit(self.plan.limit());
        let (main, recorder, now) = (self.main, &mut self.recorder, self.sim.now());
        match action {
            Action::BeginStop { reason, signal } => {
                let grace = self.spec.policy.grace_period;
                self.bound = grace.map(|grace| now + grace + KILL_PATIENCE);
                self.slack_before = self.sim.world().watch.slack;
                recorder.begin_stop(reason, signal, None);
            }
            Action::Forward { signal, to } => {
                self.sim.world().watch.sending = Sending::Forwarding;
                self.stopper.forward(signal, to, main, recorder);
            }
            Action::Signal { signal, target, cause } => {
                self.sim.world().watch.sending = Sending::Stage;
                self.sim.world().watch.begin_stage(now, target);
                self.stopper.begin_stage(signal, target, cause, main, recorder);
                self.sim.world().check_first(main.pid());
            }
            Action::SignalOthers => {
                self.sending(Sending::Others);
                self.stopper.signal_others(main, &mut self.recorder);
            }
            Action::LastCall { until_kill } => {
                self.sending(Sending::Others);
                self.sim.world().watch.begin_last_call(now);
                self.stopper.last_call(until_kill, &mut self.recorder);
            }
            Action::Look { judges } => {
                self.sim.world().watch.sending = Sending::Stage;
                let outlook = self.stopper.look(judges, main, recorder);
                recorder.observe();
                return Some(Event::Looked(outlook));
            }
            Action::SayWaiting { since } => recorder.say_waiting(since, self.stopper.signalled()),
            Action::Observe => recorder.observe(),
            Action::StartStep { step, .. } => {
                if let Some(it) = self.plan.step(step) {
                    recorder.begin_step(step, it);
                }
            }
            Action::Kill(reason) => {
                self.sim.world().check_before_kill(reason);
                self.sending(Sending::Killing);
                // It makes no difference to what is signalled.
                let is_starved = now.subsec_millis() % 2 == 1;
                self.stopper.kill(reason, main, is_starved, &mut self.recorder);
            }
            Action::Leave(reason) => {
                recorder.complete(reason, 0);
                self.left = Some(reason);
            }
            // Steps that are processes are started by `steps`, not simulated here.
            Action::EndStep { .. } | Action::SignalLeftovers | Action::KillStep => {}
        }
        None
    }
}
