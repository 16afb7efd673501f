//! The rules of the steps.

use super::*;
use crate::plan::{Action, Event, Origin, Plan, Request, StopPolicy, When};
use crate::say::heard::lines_of;
use crate::supervisor::publish::Output;
use crate::supervisor::simulation::{Act, Life, Reaction, Sim, quiet};

const BEFORE: StepId = StepId { when: When::PreStop, at: 0 };
const AFTER: StepId = StepId { when: When::PostExit, at: 0 };
const SECOND: Duration = Duration::from_secs(1);

/// A step's process, and what keeps and notes the step.
struct Room {
    sim: Sim,
    steps: Steps<Sim>,
    recorder: Recorder<Sim>,
    pid: i32,
}

fn command() -> Step {
    Step::Command(vec!["/bin/save".into()])
}

fn http() -> Step {
    let (method, path) = ("GET".to_owned(), "/".to_owned());
    Step::Http(Request { method, host: "localhost".to_owned(), addresses: Vec::new(), path })
}

impl Room {
    fn new(life: Life) -> Self {
        let (sim, pid) = quiet(life);
        let steps = Steps {
            kernel: sim.clone(),
            mask: SignalSet::default(),
            directory: None,
            user: None,
            last: None,
        };
        let recorder = Recorder::new(sim.clone(), Output::kept(), "p".to_owned(), 1, None);
        Self { sim, steps, recorder, pid }
    }

    /// As `start` does when the process is there.
    fn begin(&mut self, id: StepId, step: &Step) {
        self.recorder.begin_step(id, step);
        self.recorder.step_started(self.pid);
        let (step, pid) = (step.clone(), self.pid);
        self.steps.last = Some(StepProcess { id, step, pid, is_gone: false, is_ended: false, failure: None });
    }

    /// Its process exits, and is reaped.
    fn exits(&mut self) {
        self.sim.end(self.pid);
        let _ = self.steps.reaped(Ended::Exited(0), &mut self.recorder);
    }

    fn outcome(&self) -> Option<StepOutcome> {
        Some(self.recorder.record().steps.last()?.ended?.what)
    }

    /// Tells the plan of the time, and carries out what it says about steps. Returns what was sent.
    fn tick(&mut self, plan: &mut Plan<'_>, now: Duration) -> Vec<String> {
        for action in plan.handle(now, Event::Tick) {
            if let Action::EndStep { step, why } = action {
                let it = plan.step(step).expect("it is the plan's").clone();
                self.steps.end(step, &it, why, &mut self.recorder);
            } else if action == Action::KillStep {
                self.steps.kill(&mut self.recorder);
            } else if action == Action::SignalLeftovers {
                self.steps.signal_leftovers();
            }
        }
        self.sim.take_sent()
    }
}

#[test]
fn how_a_step_ended_is_recorded_and_a_failure_that_was_not_said_yet_is_a_warning() {
    let (well, idle) = (Ended::Exited(0), Step::Idle(80));
    for (step, ended, outcome, line) in [
        (command(), well, StepOutcome::Succeeded, "INFO: pre-stop command /bin/save exited with 0"),
        (http(), well, StepOutcome::Succeeded, "INFO: pre-stop http localhost is done"),
        (idle.clone(), well, StepOutcome::Succeeded, "INFO: pre-stop idle 80: port 80 is idle"),
        // What the helper has said itself.
        (
            http(),
            Ended::Exited(1),
            StepOutcome::Failed(Ended::Exited(1)),
            "INFO: pre-stop http localhost failed",
        ),
        (
            idle.clone(),
            Ended::Exited(2),
            StepOutcome::Failed(Ended::Exited(2)),
            "INFO: pre-stop idle 80 failed",
        ),
        // What no one has said.
        (
            command(),
            Ended::Exited(1),
            StepOutcome::Failed(Ended::Exited(1)),
            "WARN: pre-stop command /bin/save exited with 1",
        ),
        (
            idle.clone(),
            Ended::Killed(Signal::SEGV),
            StepOutcome::Failed(Ended::Killed(Signal::SEGV)),
            "WARN: pre-stop idle 80 died of SEGV",
        ),
    ] {
        let mut room = Room::new(Life::new(Reaction::Dies));
        room.begin(BEFORE, &step);
        let mut which = None;
        let lines = lines_of(|| which = room.steps.reaped(ended, &mut room.recorder));
        assert_eq!((which, room.outcome(), lines), (Some(BEFORE), Some(outcome), vec![line.to_owned()]));
        let only_kept_alive = room.recorder.record().steps.iter().any(|step| step.only_kept_alive);
        assert_eq!(only_kept_alive, step == idle && ended == Ended::Exited(2), "{step} {ended}");
    }
}

#[test]
fn a_step_that_cannot_start_has_not_begun_and_is_a_warning() {
    let mut room = Room::new(Life::new(Reaction::Dies));
    let step = Step::Command(vec!["/bin/with\0nul".into()]);
    let context = Context { main: None, received: None, time_left: SECOND };
    let mut has_begun = true;
    let lines = lines_of(|| has_begun = room.steps.start(BEFORE, &step, context, &mut room.recorder));
    assert!(!has_begun && room.steps.running().is_none(), "{:?}", room.steps);
    assert_eq!(room.outcome(), Some(StepOutcome::NotStarted));
    let warnings = lines.iter().filter(|line| line.starts_with("WARN: ")).count();
    assert!(warnings == 1 && lines.iter().any(|line| line.contains(" cannot be started: ")), "{lines:?}");
}

#[test]
fn a_sleep_begins_without_a_process() {
    let mut room = Room::new(Life::new(Reaction::Dies));
    let context = Context { main: None, received: None, time_left: SECOND };
    assert!(room.steps.start(BEFORE, &Step::Sleep(SECOND), context, &mut room.recorder));
    assert_eq!((room.steps.running(), room.outcome()), (None, None));
}

#[test]
fn a_step_that_times_out_gets_term_and_two_seconds_later_kill() {
    let policy = StopPolicy { pre_stop: vec![command()], ..StopPolicy::default() };
    let mut plan = Plan::new(&policy);
    let mut room = Room::new(Life::new(Reaction::Ignores));
    let _ = plan.handle(Duration::ZERO, Event::Signal(Signal::TERM, Origin::Process));
    room.begin(BEFORE, &command());
    assert_eq!(room.tick(&mut plan, SECOND * 4), [""; 0], "it has five seconds");
    let mut sent = Vec::new();
    let lines = lines_of(|| sent = room.tick(&mut plan, SECOND * 5));
    let group = room.pid;
    assert_eq!(sent, [format!("TERM to group {group}"), format!("CONT to group {group}")]);
    assert!(
        lines.iter().any(|line| line.contains("WARN: ") && line.contains(" timed out after ")),
        "{lines:?}"
    );
    assert_eq!(room.tick(&mut plan, SECOND * 7 - Duration::from_millis(1)), [""; 0]);
    assert_eq!(room.tick(&mut plan, SECOND * 7), [format!("KILL to group {group}")]);
    assert!(room.recorder.record().step_killed.is_some());
    let lines = lines_of(|| _ = room.steps.reaped(Ended::Killed(Signal::KILL), &mut room.recorder));
    assert_eq!(lines, ["INFO: pre-stop command /bin/save died of KILL"], "drainit has ended it");
    assert_eq!(room.outcome(), Some(StepOutcome::TimedOut));
}

#[test]
fn a_step_without_time_or_without_a_command_is_noted_and_only_one_that_runs_is_signalled() {
    for (why, begins, outcome, level) in [
        (StepEnd::NoTimeLeft, false, StepOutcome::NotStarted, "WARN"),
        (StepEnd::MainIsGone, true, StepOutcome::Dropped, "INFO"),
    ] {
        let mut room = Room::new(Life::new(Reaction::Dies));
        if begins {
            room.begin(BEFORE, &command());
        }
        let lines = lines_of(|| room.steps.end(BEFORE, &command(), why, &mut room.recorder));
        assert_eq!(room.outcome(), Some(outcome));
        assert!(lines.len() == 1 && lines.iter().all(|line| line.starts_with(level)), "{lines:?}");
        assert_eq!(room.sim.take_sent().len(), if begins { 2 } else { 0 });
    }
}

#[test]
fn kill_is_noted_only_if_a_process_of_the_step_is_left() {
    for is_left in [true, false] {
        let child = Life::new(Reaction::Ignores);
        let children = if is_left { vec![child] } else { Vec::new() };
        let mut room = Room::new(Life { children, ..Life::new(Reaction::Dies) });
        room.begin(BEFORE, &command());
        room.exits();
        room.steps.kill(&mut room.recorder);
        // The number of a group whose leader is gone may be another group's.
        let child = format!("KILL to {}", room.pid + 1);
        assert_eq!(room.sim.take_sent(), Vec::from_iter(is_left.then_some(child)));
        assert_eq!(room.recorder.record().step_killed.is_some(), is_left);
    }
}

#[test]
fn leftovers_of_post_exit_steps_get_term_before_kill() {
    let policy =
        StopPolicy { post_exit: vec![command()], grace_period: Some(SECOND * 10), ..StopPolicy::default() };
    let mut plan = Plan::new(&policy);
    let daemon =
        Life { leads_group: true, acts: vec![(Duration::ZERO, Act::Stop)], ..Life::new(Reaction::Ignores) };
    let mut room = Room::new(Life { children: vec![daemon], ..Life::new(Reaction::Dies) });
    let _ = plan.handle(Duration::ZERO, Event::NoneLeft);
    room.begin(AFTER, &command());
    room.exits();
    let _ = plan.handle(SECOND, Event::StepEnded(AFTER));
    assert_eq!(room.tick(&mut plan, SECOND * 9), [""; 0], "it is waited for");
    let mut sent = Vec::new();
    let lines = lines_of(|| sent = room.tick(&mut plan, SECOND * 10));
    let daemon = room.pid + 1;
    assert_eq!(sent, [format!("TERM to {daemon}"), format!("CONT to {daemon}")], "it was stopped");
    assert!(lines.iter().any(|line| line.contains("which a step left behind")), "{lines:?}");
    let kills = |action| matches!(action, Action::Kill(_));
    assert!(!plan.handle(SECOND * 12 - Duration::from_millis(1), Event::Tick).into_iter().any(kills));
    assert!(plan.handle(SECOND * 12, Event::Tick).into_iter().any(kills), "two seconds later");
}

#[test]
fn a_post_exit_step_that_runs_is_no_leftover() {
    let daemon = Life { leads_group: true, ..Life::new(Reaction::Ignores) };
    let member = Life::new(Reaction::Ignores);
    let mut room = Room::new(Life { children: vec![member, daemon], ..Life::new(Reaction::Ignores) });
    room.begin(AFTER, &command());
    room.steps.signal_leftovers();
    assert_eq!(room.sim.take_sent(), [format!("TERM to {}", room.pid + 2)], "its group was sent TERM");
}
